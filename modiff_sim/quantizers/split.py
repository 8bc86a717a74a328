"""Split: ranges of channels with a scale of their own, for the concatenated inputs of a U-Net's skip connections.

A layer that reads concat([hidden, skip]) sees two distributions; one scale for both wastes levels on the narrower one.
Q-Diffusion's "shortcut-splitting quantization" (Li et al., ICCV 2023, arXiv 2302.04304) quantizes the two parts apart,
each with its own grid.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from numbers import Integral
from typing import Any

from array_api_compat import array_namespace

from ..arguments import namespace
from ..typing import Array
from .base import QParams, Quantizer
from .laws import Laws


@dataclass(frozen=True)
class SplitQParams(QParams):
    """``QParams`` of a ``Split``, in the blocked layout of the whole array.

    ``scale``, ``zero_point`` and ``empty`` have one value per index of the split axis, so that they broadcast as every
    quantizer's; ``zero_range`` has one per block, as it is counted, and ``empty`` is the same, spread. Part i has
    ``sizes[i]`` indices of axis ``axis`` of the blocked array.
    """

    empty: Array | None = None
    axis: int = 0
    sizes: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Split(Quantizer):
    """The parts of an array along ``axis``, cut before the indices ``at``, each quantized apart.

    Every part equals its quantizer's result on that slice, bit for bit. A split needs to know where to cut, so it is
    not a member of ``QUANTIZERS``, whose members are made from bits alone.

    Parameters
    ----------
    parts : Quantizer or tuple of Quantizer
        One quantizer for every part, or len(at) + 1 of them with the same bits and granularity.
    at : tuple of int
        The indices before which the axis is cut, ascending, >= 1.
    axis : int, default 1
        The axis that is cut.

    Raises
    ------
    TypeError
        If ``parts`` holds something other than quantizers, or ``axis`` is not an int.
    ValueError
        For cuts or parts that do not fit; and, at a call, where an array has no index beyond the last cut.

    Notes
    -----
    A part is a block of fewer entries, and every c(d) and kappa(d) grows with d. So c and kappa of the whole are at
    most the largest of the parts' (a sum of squares, or a maximum, over parts), and any other law holds if it holds for
    every part.

    Examples
    --------
    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> Q = ms.Split(ms.AbsMax(3), at=(2,))  # one dynamic scale for each part
    >>> Q(np.array([[30.0, 12.0, 0.3, 0.1]]))
    array([[30. , 10. ,  0.3,  0.1]])
    >>> Q = ms.Split((ms.Static(3, scale=10.0), ms.Static(3, scale=0.1)), at=(2,))  # one quantizer per part
    >>> Q.quantizers[1].scale
    0.1
    """

    min_bits = 0  # the parts have their own

    bits: int = field(init=False)
    granularity: Any = field(init=False)
    parts: Quantizer | tuple[Quantizer, ...] = field(kw_only=False)
    at: tuple[int, ...]
    axis: int = 1

    def __post_init__(self) -> None:
        given = self.parts if isinstance(self.parts, tuple) else (self.parts,)
        if not given or not all(isinstance(Q, Quantizer) for Q in given):
            raise TypeError(f"Split takes a quantizer or a tuple of quantizers, got {self.parts!r}")
        if isinstance(self.axis, bool) or not isinstance(self.axis, Integral):
            raise TypeError(f"Split: axis must be an int, got {self.axis!r}")
        cuts = self.at if isinstance(self.at, tuple) else tuple(self.at)
        ints = all(isinstance(i, Integral) and not isinstance(i, bool) and i >= 1 for i in cuts)
        if not cuts or not ints or sorted(set(cuts)) != list(cuts):
            raise ValueError(f"Split: at must be ascending indices >= 1, such as (128,), got {self.at!r}")
        if len(given) not in (1, len(cuts) + 1):
            raise ValueError(f"Split at {cuts} has {len(cuts) + 1} parts, got {len(given)} quantizers")
        for what in ("bits", "granularity"):
            if len(found := {getattr(Q, what) for Q in given}) > 1:
                raise ValueError(f"Split: the parts must have the same {what}, got {', '.join(map(str, found))}")
            object.__setattr__(self, what, getattr(given[0], what))
        object.__setattr__(self, "at", tuple(map(int, cuts)))
        super().__post_init__()

    # -- properties that follow from the parts ------------------------------------------------------------------------
    @property
    def quantizers(self) -> tuple[Quantizer, ...]:
        """One quantizer per part."""
        if isinstance(self.parts, Quantizer):
            return (self.parts,) * (len(self.at) + 1)
        return self.parts if len(self.parts) > 1 else self.parts * (len(self.at) + 1)

    @property
    def laws(self) -> Laws:  # type: ignore[override]
        """The laws that hold for every part."""
        laws = [Q.laws for Q in self.quantizers]
        errors = [law.error for law in laws]
        flags = ("idempotent", "sign_equivariant", "scale_equivariant", "zero_to_zero", "unbiased")
        return Laws(
            error=None if None in errors else max(e for e in errors if e is not None),
            c="upper",
            kappa="upper",
            randomised=any(law.randomised for law in laws),
            **{flag: all(getattr(law, flag) for law in laws) for flag in flags},
        )

    @property
    def saturates(self) -> bool:  # type: ignore[override]
        """Whether a part's grid saturates."""
        return any(Q.saturates for Q in self.quantizers)

    @property
    def has_codes(self) -> bool:  # type: ignore[override]
        """Whether a part is quantized at all."""
        return any(Q.has_codes for Q in self.quantizers)

    @property
    def integer_codes(self) -> bool:  # type: ignore[override]
        """Whether the codes of all parts are integers."""
        return all(Q.integer_codes for Q in self.quantizers)

    @property
    def scale_from_extremes(self) -> bool:  # type: ignore[override]
        """Whether the scales of all parts come from the extremes of their blocks."""
        return all(Q.scale_from_extremes for Q in self.quantizers)

    @property
    def reach(self) -> float:
        """The largest ``reach`` of a part."""
        return max(Q.reach for Q in self.quantizers)

    @property
    def limits(self) -> tuple[float, float]:
        """The limits that all parts agree on; where they differ (``clipped`` knows), the widest."""
        return min(Q.limits[0] for Q in self.quantizers), max(Q.limits[1] for Q in self.quantizers)

    def c(self, d: int) -> float:
        """Declared c for d entries that share a scale; d >= 1."""
        return max(Q.c(d) for Q in self.quantizers)

    def kappa(self, d: int) -> float:
        """Declared kappa for d entries that share a scale; d >= 1."""
        return max(Q.kappa(d) for Q in self.quantizers)

    # -- cutting ------------------------------------------------------------------------------------------------------
    def cut(self, a: Array) -> list[Array]:
        """The parts of an array."""
        if not -a.ndim <= self.axis < a.ndim or a.shape[self.axis] <= self.at[-1]:
            raise ValueError(
                f"{self}: shape {tuple(a.shape)} has no index {self.at[-1]} on axis {self.axis}: is it another layer's "
                "input?"
            )
        ends = (0, *self.at, a.shape[self.axis])
        axis = self.axis % a.ndim
        return [_slice(a, axis, start, stop) for start, stop in pairwise(ends)]

    def check(self, a: Array) -> None:
        """Raise unless every part is an array that its quantizer takes."""
        namespace(str(self), a)
        for Q, part in zip(self.quantizers, self.cut(a), strict=True):
            Q.check(part)

    def _layout(self, shape: tuple[int, ...], parts: list[Array]) -> tuple[int, tuple[int, ...]]:
        """The axis along which the *blocked* parts lie beside each other, and their sizes on it.

        It is where the blocked shapes of a part and of the whole differ: groups, for example, add an axis.
        """
        whole, _ = self.granularity.blocked(shape)
        blocked = [self.granularity.blocked(tuple(part.shape))[0] for part in parts]
        axis = next(i for i, (w, p) in enumerate(zip(whole, blocked[0], strict=True)) if w != p)
        return axis, tuple(shape[axis] for shape in blocked)

    def _parts(self, blocked: Array, qparams: QParams) -> Iterator[tuple[Quantizer, Array, QParams]]:
        """Every part's quantizer, blocks and parameters, of a blocked array."""
        assert isinstance(qparams, SplitQParams)
        start = 0
        for Q, size in zip(self.quantizers, qparams.sizes, strict=True):
            spread = (qparams.scale, qparams.zero_point, qparams.empty)
            own = [None if v is None else _slice(v, qparams.axis, start, start + size) for v in spread]
            yield Q, _slice(blocked, qparams.axis, start, start + size), QParams(*own)
            start += size

    # -- the three steps ------------------------------------------------------------------------------------------
    def choose_qparams(self, a: Array) -> SplitQParams:
        """Scales (and zero points) of all parts, beside each other."""
        xp = array_namespace(a)
        parts = self.cut(a)
        axis, sizes = self._layout(tuple(a.shape), parts)
        found = [Q.choose_qparams(part) for Q, part in zip(self.quantizers, parts, strict=True)]
        zeros = [xp.zeros_like(q.scale) if q.zero_point is None else q.zero_point for q in found]
        return SplitQParams(
            _spread(xp, [q.scale for q in found], axis, sizes),
            None if all(q.zero_point is None for q in found) else _spread(xp, zeros, axis, sizes),
            xp.concat([q.zero_range for q in found], axis=axis),
            _spread(xp, [q.zero_range for q in found], axis, sizes),
            axis,
            sizes,
        )

    def quantize(self, blocks: Array, qparams: QParams, *, random: Array | None = None) -> Array:
        """Codes of a blocked array, in its dtype."""
        xp = array_namespace(blocks)
        if len(set(self.quantizers)) == 1:  # elementwise, given the scales: one pass serves all parts
            own = QParams(qparams.scale, qparams.zero_point, qparams.empty)  # type: ignore[attr-defined]
            return self.quantizers[0].quantize(blocks, own, random=random)
        bits = [None] * len(self.quantizers)
        if random is not None:
            bits = [r for _, r, _ in self._parts(random, qparams)]
        codes = [Q.quantize(x, q, random=r) for (Q, x, q), r in zip(self._parts(blocks, qparams), bits, strict=True)]
        return xp.concat(codes, axis=qparams.axis)  # type: ignore[attr-defined]

    def clipped(self, a: Array, qparams: QParams) -> Array:
        """Per entry of the blocked array: whether it lies beyond its part's ``limits``."""
        xp = array_namespace(a)
        out = []
        for Q, x, q in self._parts(self.blocks(xp, a)[0], qparams):
            low, high = Q.limits
            codes = x / q.scale
            out.append((codes < low) | (codes > high))
        return xp.concat(out, axis=qparams.axis)  # type: ignore[attr-defined]

    def in_domain(self, a: Array) -> Array:
        """Per block, whether its part's laws, c and kappa hold for it."""
        xp = array_namespace(a)
        parts = self.cut(a)
        axis, sizes = self._layout(tuple(a.shape), parts)
        return _spread(xp, [Q.in_domain(part) for Q, part in zip(self.quantizers, parts, strict=True)], axis, sizes)

    def probe(self, a: Array, qparams: QParams) -> Array:
        """The probes of all parts, which are non-finite where a part holds NaN or Inf or its grid overflows."""
        xp = array_namespace(a)
        found = []
        for Q, part, (_, _, own) in zip(
            self.quantizers, self.cut(a), self._parts(self.blocks(xp, a)[0], qparams), strict=True
        ):
            found.append(xp.reshape(Q.probe(part, own), (-1,)))
        return xp.concat(found)


def _slice(a: Array, axis: int, start: int, stop: int) -> Array:
    return a[(*(slice(None),) * axis, slice(start, stop), ...)]


def _spread(xp: Any, values: list[Array], axis: int, sizes: tuple[int, ...]) -> Array:
    """Values of the parts beside each other, each repeated for all indices of its part."""
    wide = [
        xp.broadcast_to(v, (*v.shape[:axis], size, *v.shape[axis + 1 :])) for v, size in zip(values, sizes, strict=True)
    ]
    return xp.concat(wide, axis=axis)
