"""The integer codes of one layer's weight, with their scales."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ...quantizers import granularity
from ...quantizers.granularity import PerBatch, PerChannel, PerGroup

MIN_BITS, MAX_BITS = 2, 8
Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class LayerCodes:
    """The integer codes of one layer: weight = scale·(code - zero point), computed in the scale's dtype.

    Parameters
    ----------
    codes : torch.Tensor
        Integers of the weight's shape (out, in, ...). They are kept as int8 (two's complement, -2^(b-1) ... 2^(b-1)-1)
        or, as affine grids have them, as uint8 (0 ... 2^b-1). Wider integer tensors are narrowed.
    scale : torch.Tensor
        Floating, finite, > 0, with as many axes as the weight. On each axis it has n scales that divide the weight's
        size N, and N/n neighbours share one: (out, 1, 1, 1) is per channel, (out, in/32, kh, kw) is groups of 32. A 0-d
        scale is taken as per tensor, a 1-d one as per output channel.
    zero_point : torch.Tensor or None
        Integers of the scale's shape, of any dtype.
    bits : int
        2 to 8.
    scheme : str, default ""
        How the codes came about, for tables.
    info : mapping of str to Any
        Numbers about the codes (JSON values), which are kept in the file.

    Raises
    ------
    TypeError
        For codes that are not an integer tensor, and for a scale or zero point that is not a tensor of its kind.
    ValueError
        For shapes that do not fit together, codes beyond the bits, and a scale that is NaN, Inf or not positive.

    Examples
    --------
    >>> import torch
    >>> from modiff_sim.nn import LayerCodes
    >>> layer = LayerCodes(torch.tensor([[1, -2], [7, 0]]), torch.tensor([0.5, 0.25]), None, bits=4)
    >>> layer.dequantize().tolist(), layer.granularity, layer.stored_bits
    ([[0.5, -1.0], [1.75, 0.0]], 'channel:axis=0', 80)
    """

    codes: Tensor
    scale: Tensor
    zero_point: Tensor | None
    bits: int
    scheme: str = ""
    info: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if isinstance(self.bits, bool) or not isinstance(self.bits, int) or not MIN_BITS <= self.bits <= MAX_BITS:
            raise ValueError(f"weights have {MIN_BITS} to {MAX_BITS} bits as integer codes, got bits={self.bits!r}")
        object.__setattr__(self, "codes", _narrowed(self.codes, self.bits))
        shape = tuple(self.codes.shape)
        object.__setattr__(self, "scale", scale := _full_scale(self.scale, shape, "scale"))
        if not scale.is_floating_point():
            raise TypeError(f"the scale must be a floating tensor, got {scale.dtype}")
        if not bool((torch.isfinite(scale) & (scale > 0)).all()):
            raise ValueError("the scale must be finite and > 0 everywhere; it holds NaN, Inf, zeros or negative values")
        if self.zero_point is not None:
            zero = _full_scale(self.zero_point, shape, "zero_point").to(scale.dtype)
            if zero.shape != scale.shape:
                raise ValueError(f"zero_point has shape {tuple(zero.shape)}, the scale {tuple(scale.shape)}")
            if not bool((torch.isfinite(zero) & (zero == torch.round(zero))).all()):
                raise ValueError("zero_point must hold finite integers")
            object.__setattr__(self, "zero_point", zero)

    def dequantize(self) -> Tensor:
        """The weight that the codes stand for, in the scale's dtype."""
        codes, shape = self.codes.to(self.scale.dtype), tuple(self.codes.shape)
        if self.zero_point is not None:
            codes = codes - spread(self.zero_point, shape)
        return spread(self.scale, shape) * codes

    @property
    def code_range(self) -> tuple[int, int]:
        """The lowest and the highest code of this width, signed or unsigned as the codes are."""
        return _range(self.codes.dtype, self.bits)

    @property
    def granularity(self) -> str:
        """Which entries of the weight (out, in, ...) share a scale, as ``granularity.parse`` reads it.

        "channel:axis=0" is one per output channel, "batch" one for all, and "group:32:axis=1" runs of input channels.
        Blocks of several axes, for which there is no such text, are called "blocks of 1×32×3×3".
        """
        shape, counts = self.codes.shape, self.scale.shape
        whole = [i for i, (n, k) in enumerate(zip(shape, counts, strict=True)) if k == n]
        cut = [i for i in range(len(shape)) if i not in whole and counts[i] > 1]
        if counts[0] == shape[0] and math.prod(counts) == shape[0]:
            return granularity.name(PerChannel(0))
        if math.prod(counts) == 1:
            return granularity.name(PerBatch())
        if len(cut) == 1 and len(whole) == len(shape) - 1:
            return granularity.name(PerGroup(shape[cut[0]] // counts[cut[0]], axis=cut[0]))
        if not cut:
            return granularity.name(PerChannel(tuple(whole)))
        return "blocks of " + "×".join(str(n // k) for n, k in zip(shape, counts, strict=True))

    @property
    def stored_bits(self) -> int:
        """Size in bits: codes and zero points packed at ``bits`` each, scales at their dtype's width."""
        scales = self.scale.numel() * self.scale.element_size() * 8
        return (
            self.codes.numel() * self.bits + scales + (0 if self.zero_point is None else self.bits * self.scale.numel())
        )


def _range(dtype: torch.dtype, bits: int) -> tuple[int, int]:
    return (0, 2**bits - 1) if dtype == torch.uint8 else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def _narrowed(codes: Tensor, bits: int) -> Tensor:
    """Codes as int8 or uint8. Raises TypeError or ValueError for what does not fit into the bits."""
    if not isinstance(codes, Tensor) or codes.is_floating_point() or codes.is_complex() or codes.dtype == torch.bool:
        raise TypeError(f"codes must be an integer tensor, got {getattr(codes, 'dtype', type(codes).__name__)}")
    if codes.ndim < 2 or not codes.numel():
        raise ValueError(f"codes must have the shape of a weight (out, in, ...), got {tuple(codes.shape)}")
    low, high = int(codes.min()), int(codes.max())
    kinds = (codes.dtype,) if codes.dtype in (torch.int8, torch.uint8) else (torch.int8, torch.uint8)
    for kind in kinds:
        least, most = _range(kind, bits)
        if least <= low and high <= most:
            return codes.to(kind)
    allowed = " or ".join("{} ... {}".format(*_range(kind, bits)) for kind in kinds)
    raise ValueError(f"codes span {low} ... {high}, {bits} bits as {codes.dtype} hold {allowed}")


def _full_scale(scale: Tensor, shape: Shape, what: str) -> Tensor:
    """The scale with as many axes as the weight."""
    if not isinstance(scale, Tensor):
        raise TypeError(f"{what} must be a tensor, got {type(scale).__name__}")
    full = scale.reshape((-1,) + (1,) * (len(shape) - 1)) if scale.ndim < 2 else scale
    if full.ndim != len(shape) or any(k == 0 or n % k for n, k in zip(shape, full.shape, strict=True)):
        raise ValueError(
            f"{what} of shape {tuple(scale.shape)} does not fit a weight of shape {shape}: it must have as many axes, "
            "and its size on each must divide the weight's ((out, 1, ...) per channel, (out, in/32, ...) groups of 32)"
        )
    return full


def spread(scale: Tensor, shape: Shape) -> Tensor:
    """The scale, or zero point, repeated so that it broadcasts against a weight of this shape."""
    for axis, (n, k) in enumerate(zip(shape, scale.shape, strict=True)):
        if 1 < k < n:
            scale = scale.repeat_interleave(n // k, dim=axis)
    return scale
