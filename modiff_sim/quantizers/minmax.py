"""Affine integer grids from a block's minimum and maximum, with a zero point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from array_api_compat import array_namespace

from ..arguments import number
from ..typing import Array
from .absmax import guarded
from .base import QParams, Quantizer
from .laws import Laws
from .worst_case import need_dimension


@dataclass(frozen=True, kw_only=True)
class MinMax(Quantizer):
    """Affine dynamic quantizer whose range includes zero: s = (max-min)/(2^b-1), zero point z = round(-min/s).

    Parameters
    ----------
    bits : int
        Bits b of a code, from 1 to 32.
    granularity : Granularity, default PerSample()
        Which entries share a scale.

    Notes
    -----
    kappa = 1/(2^b-1). c = d/(d-2+2N²), N = 2^b-1, d >= 2: the extremes at ±N/2 steps (a tie, half a step lost each) and
    all others at half a step. Not idempotent: at b=4, (-17, 13, 2) has grid step 2, and its image (-16, 12, 2) has not.

    References
    ----------
    docs/theory.md, section 11.

    Examples
    --------
    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> ms.MinMax(bits=2)(np.array([[0.0, 1.25, 3.0]]))
    array([[0., 1., 3.]])
    """

    laws = Laws(error=0.5, c="tight", kappa="tight", scale_equivariant=True, zero_to_zero=True)

    @property
    def levels(self) -> int:
        """N = 2^b - 1, the number of steps between the lowest and the highest code."""
        return int(2**self.bits - 1)

    @property
    def reach(self) -> float:
        """The largest distance between zero and a value of the grid, in scales."""
        return self.levels

    def range(self, xp: Any, blocks: Array, axes: tuple[int, ...]) -> tuple[Array, Array]:
        """Lowest and highest value of the grid, per block."""
        low = xp.min(blocks, axis=axes, keepdims=True)
        high = xp.max(blocks, axis=axes, keepdims=True)
        zero = xp.zeros_like(low)
        return xp.minimum(low, zero), xp.maximum(high, zero)

    def choose_qparams(self, a: Array) -> QParams:
        """Scale (and zero point) of every block of ``a``."""
        xp = array_namespace(a)
        low, high = self.range(xp, *self.blocks(xp, a))
        safe = guarded(xp, (high - low) / self.levels)
        return QParams(safe.scale, xp.round(-low / safe.scale), safe.zero_range)

    def quantize(self, blocks: Array, qparams: QParams, *, random: Array | None = None) -> Array:
        """Codes of a blocked array, in its dtype."""
        xp = array_namespace(blocks)
        return xp.clip(xp.round(blocks / qparams.scale) + qparams.zero_point, 0, self.levels)

    def c(self, d: int) -> float:
        """Declared c for d entries that share a scale; d >= 1."""
        return 0.0 if need_dimension(d) == 1 else d / (d - 2 + 2 * self.levels**2)

    def kappa(self, d: int) -> float:
        """Declared kappa for d entries that share a scale; d >= 1."""
        return 0.0 if need_dimension(d) == 1 else 1 / self.levels


@dataclass(frozen=True, kw_only=True)
class MinMaxRaw(MinMax):
    """Affine min-max quantizer of the official code: the range need not include zero, the scale is at least ``floor``.

    s = max((max-min)/(2^b-1), floor), z = round(-min/s). A constant block is reproduced exactly (s = |x|; the official
    floor reproduces it to eps).

    Parameters
    ----------
    bits : int
        Bits b of a code, from 1 to 32.
    granularity : Granularity, default PerSample()
        Which entries share a scale.
    floor : float, default 1e-8
        The smallest scale, >= 0.

    Notes
    -----
    Below ``floor`` (residuals under 1.5e-7 at 4 bits) everything rounds as on a static grid. Power-of-two scaling is
    therefore not declared, and c and kappa hold for blocks whose range exceeds floor·(2^b-1).

    Examples
    --------
    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> ms.MinMaxRaw(bits=2)(np.array([[10.0, 11.25, 13.0]]))
    array([[10., 11., 13.]])
    """

    laws = Laws(error=0.5, c="tight", kappa="tight", zero_to_zero=True)
    floor: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        number(f"{type(self).__name__}: floor", self.floor)

    def range(self, xp: Any, blocks: Array, axes: tuple[int, ...]) -> tuple[Array, Array]:
        """Lowest and highest value of every block."""
        return xp.min(blocks, axis=axes, keepdims=True), xp.max(blocks, axis=axes, keepdims=True)

    def choose_qparams(self, a: Array) -> QParams:
        """Scale (and zero point) of every block of ``a``."""
        xp = array_namespace(a)
        low, high = self.range(xp, *self.blocks(xp, a))
        raw = (high - low) / self.levels
        floored = xp.where(raw < self.floor, xp.full_like(raw, self.floor), raw)
        safe = guarded(xp, xp.where(raw == 0, xp.abs(low), floored))
        return QParams(safe.scale, xp.round(-low / safe.scale), raw == 0)

    def in_domain(self, a: Array) -> Array:
        """Per block, whether the laws, c and kappa hold for it."""
        xp = array_namespace(a)
        low, high = self.range(xp, *self.blocks(xp, a))
        spread = (high - low) / self.levels
        return (spread == 0) | (spread > self.floor)


@dataclass(frozen=True, kw_only=True)
class Floor(MinMaxRaw):
    """The quantizer of Theorem 4.3's proof: affine min-max rounding down, |x - Q(x)| <= s.

    It is not a contraction: c exceeds 1 from d of about N²/2 on, N = 2^b-1.

    Parameters
    ----------
    bits : int
        Bits b of a code, from 1 to 32.
    granularity : Granularity, default PerSample()
        Which entries share a scale.
    floor : float, default 1e-8
        The smallest scale, >= 0.

    Notes
    -----
    c = max(2(d-1)/(N²+1), (2d-3)/N²), d >= 2. kappa = 2/(N+1) for d = 2, 2/N beyond.

    Proof, in steps: let the extremes be -a and N-a, a = k+f with integer k and 0 <= f < 1. For f <= ½ the zero point is
    k, the lowest entry is clipped (error f), the highest loses 1-f; for f >= ½ it is k+1 and both lose 1-f <= ½. All
    others lose less than 1, approached just below 0. With u = 2(f-½)² the squared error is at most d-3/2+u, and ||x||²
    >= a²+(N-a)² >= N²/2+u because N is odd. The ratio is monotone in u, 0 <= u <= ½, so one of its ends is the
    supremum: u = 0 at the extremes ±N/2, u = ½ near (N±1)/2. In the max norm the error stays below 1, and the largest
    entry is at least N/2; with d = 2 that is a tie (error ½), and the best is error 1 at (N+1)/2.

    References
    ----------
    Theorem 4.3.

    Examples
    --------
    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> ms.Floor(bits=2)(np.array([[0.0, 1.75, 3.0]]))
    array([[0., 1., 3.]])
    """

    laws = Laws(error=1.0, c="tight", kappa="tight", zero_to_zero=True)

    def quantize(self, blocks: Array, qparams: QParams, *, random: Array | None = None) -> Array:
        """Codes of a blocked array, in its dtype."""
        xp = array_namespace(blocks)
        return xp.clip(xp.floor(blocks / qparams.scale) + qparams.zero_point, 0, self.levels)

    def c(self, d: int) -> float:
        """Declared c for d entries that share a scale; d >= 1."""
        N = self.levels
        return 0.0 if need_dimension(d) == 1 else max(2 * (d - 1) / (N**2 + 1), (2 * d - 3) / N**2)

    def kappa(self, d: int) -> float:
        """Declared kappa for d entries that share a scale; d >= 1."""
        return 0.0 if need_dimension(d) == 1 else 2 / (self.levels + (d == 2))


QUANTIZERS = {"minmax": MinMax, "minmax_raw": MinMaxRaw, "floor": Floor}
