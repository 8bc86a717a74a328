"""A dynamic grid that always lies on one fixed grid: what a state of exact small integers needs."""

from __future__ import annotations

import math
from dataclasses import dataclass

from array_api_compat import array_namespace

from ..arguments import number
from ..typing import Array
from .base import QParams, Quantizer
from .formats import power_of_two
from .laws import Laws
from .worst_case import need_dimension


@dataclass(frozen=True, kw_only=True)
class GridAligned(Quantizer):
    """Symmetric dynamic quantizer whose grid always lies on one fixed grid, that of ``base``.

    The scale is 2^j·base, where j >= 0 is the smallest with max|x| <= qmax·2^j·base.

    Parameters
    ----------
    bits : int
        Bits b of a code, from 2 to 32.
    granularity : Granularity, default PerSample()
        Which entries share a scale.
    base : float, default 1.0
        The base step S, > 0.

    Notes
    -----
    Every value is a multiple of S, so a sum of residuals is S times an exact integer, whatever the number of calls: a
    closed loop's â never drifts (kept as ``Storage(ref=Static(8, scale=S))``).

    ||x - Q(x)||_∞ <= max(S/2, ||x||_∞/qmax): at most twice absmax's error, and no finer than the base grid. Below half
    a base step nothing is removed, so as a contraction it promises c = kappa = 1.

    Examples
    --------
    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> ms.GridAligned(bits=3, base=0.5)(np.array([[5.0, 1.2, -1.4]]))  # the scale is 2
    array([[ 4.,  2., -2.]])
    """

    laws = Laws(error=0.5, c="tight", kappa="tight", idempotent=True, sign_equivariant=True, zero_to_zero=True)
    min_bits = 2
    base: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        number("GridAligned: base", self.base, above=0, what="a step")

    @property
    def qmax(self) -> int:
        """The largest code, 2^(b-1) - 1."""
        return int(2 ** (self.bits - 1) - 1)

    @property
    def reach(self) -> float:
        """The largest distance between zero and a value of the grid, in scales."""
        return self.qmax

    def check(self, a: Array) -> None:
        """Raise unless ``a`` is an array that this quantizer takes, whose dtype can hold the scale times its codes."""
        super().check(a)
        info = array_namespace(a).finfo(a.dtype)
        if not float(info.smallest_normal) <= self.base <= float(info.max) / self.qmax:
            raise ValueError(f"{self}: {a.dtype} cannot hold this base step times its codes: use float32 or another")

    def choose_qparams(self, a: Array) -> QParams:
        """Scale (and zero point) of every block of ``a``."""
        xp = array_namespace(a)
        blocks, axes = self.blocks(xp, a)
        top = xp.max(xp.abs(blocks), axis=axes, keepdims=True)
        highest = math.frexp(float(xp.finfo(a.dtype).max))[1] - 1
        steps = top / (self.qmax * self.base)
        below = power_of_two(xp, steps, 0, highest)  # NaN and Inf stay, so that the scale reveals them
        # The quotient may have been rounded down onto a power of two: compare with what the grid really reaches.
        reached = below * self.base * self.qmax >= top
        return QParams(xp.where(reached, below, 2 * below) * self.base, zero_range=top == 0)

    def quantize(self, blocks: Array, qparams: QParams, *, random: Array | None = None) -> Array:
        """Codes of a blocked array, in its dtype."""
        xp = array_namespace(blocks)
        return xp.clip(xp.round(blocks / qparams.scale), -self.qmax, self.qmax)

    def c(self, d: int) -> float:
        """Declared c for d entries that share a scale; d >= 1."""
        return 1.0 if need_dimension(d) else 0.0

    def kappa(self, d: int) -> float:
        """Declared kappa for d entries that share a scale; d >= 1."""
        return 1.0 if need_dimension(d) else 0.0


QUANTIZERS = {"grid_aligned": GridAligned}
