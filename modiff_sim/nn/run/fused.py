"""The fused path of the commonest case: absmax with a scale per sample or batch, state as computed, nothing observed.

Same operations in the same order as ``recursion`` and ``AbsMax``, in place on one temporary per layer: bit-equal to
them (tested). What it saves is passes over memory and allocations, which decide on a CPU.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from ...quantizers import AbsMax
from ...quantizers.base import Quantizer
from ...quantizers.granularity import PerBatch, PerSample
from ..integer.grid import scales
from ..layers import Operator
from ..states import Step, owned, writable


class Scratch:
    """One temporary per shape, layout, dtype and device, shared by all layers of a run: fresh memory is slow."""

    def __init__(self) -> None:
        self._kept: dict[tuple, Tensor] = {}

    def residual(self, a: Tensor, ref: Tensor | None) -> Tensor:
        """Return a - ref, or a copy of a."""
        key = a.shape, a.stride(), None if ref is None else ref.stride(), a.dtype, a.device
        if (kept := self._kept.get(key)) is None:
            # what the operation itself returns has the layout that the definition's temporary has
            kept = self._kept[key] = owned(lambda: a.clone() if ref is None else a - ref)
            return kept
        return kept.copy_(a) if ref is None else torch.sub(a, ref, out=kept)

    def clear(self) -> None:
        """Let go of all temporaries."""
        self._kept.clear()

    def bytes(self) -> int:
        """Bytes of all temporaries."""
        return sum(x.numel() * x.element_size() for x in self._kept.values())


def _sum(ref: Tensor, x: Tensor, spare: Tensor | None) -> Tensor:
    """Return ref + x, in the spare if that can be written."""
    return torch.add(ref, x, out=spare) if writable(spare, ref) else owned(lambda: ref + x)


def _copy(a: Tensor, spare: Tensor | None) -> Tensor:
    """A copy of a, in the spare if that can be written."""
    return spare.copy_(a) if spare is not None and writable(spare, a) else owned(a.clone)


_FIELDS = {"bits", "granularity"}


def fits(Q: Quantizer, a: Tensor) -> bool:
    """Whether this quantizer has a fused path for this input."""
    if type(Q) is not AbsMax or type(Q.granularity) not in (PerSample, PerBatch) or not a.is_floating_point():
        return False
    if vars(Q).keys() != _FIELDS or vars(Q.granularity):  # something was put on this instance
        return False
    return _unclamped(Q.bits, a.dtype)


@cache
def _unclamped(bits: int, dtype: torch.dtype) -> bool:
    """Whether max|x|/scale rounds to qmax at most: else codes are clamped."""
    return 4 * (2 ** (bits - 1) - 1) * torch.finfo(dtype).eps < 1


def _quantize_(x: Tensor, Q: AbsMax) -> list[float]:
    """Q(x), written into x; returns max|x| per block."""
    axes = tuple(range(1, x.ndim)) if type(Q.granularity) is PerSample else tuple(range(x.ndim))
    # two vectorised reductions: 20 times as fast as vector_norm(inf) or aminmax, and no array of |x|
    top = torch.maximum(x.amax(axes, keepdim=True), -x.amin(axes, keepdim=True))
    scale, largest = scales(top, Q)
    x.div_(scale).round_().mul_(scale)
    return largest


def direct(operator: Operator, Q: AbsMax, a: Tensor, scratch: Scratch) -> Step:
    """ô = A(Q(a)) + bias."""
    x = scratch.residual(a, None)
    largest = _quantize_(x, Q)
    return Step(None, None, operator.affine(x), largest)


def modulated(
    operator: Operator,
    Q: AbsMax,
    a: Tensor,
    ref: Tensor,
    o_hat: Tensor,
    scratch: Scratch,
    *,
    compensates: bool,
    spare: tuple[Tensor, ...] | None = (),
) -> Step:
    """One step of the closed loop (``compensates``) or the open loop; nothing of the state before is written."""
    x = scratch.residual(a, ref)
    largest = _quantize_(x, Q)
    spare_ref, spare_o = spare or (None, None)
    after = _sum(ref, x, spare_ref) if compensates else _copy(a, spare_ref)
    output = operator.linear(x)
    # under an autocast that the state was not made under the dtypes differ, and the sum has the wider one
    output = output.add_(o_hat) if output.dtype == o_hat.dtype else output + o_hat
    return Step(after, _copy(output, spare_o), output, largest, () if spare is None else (ref, o_hat))
