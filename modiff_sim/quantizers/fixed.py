"""Quantizers whose scale does not depend on the data: static grids, nothing kept, everything kept."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import ClassVar

from array_api_compat import array_namespace

from ..arguments import number
from ..typing import Array
from .base import QParams, Quantizer
from .laws import NEAREST, Laws
from .worst_case import need_dimension


@dataclass(frozen=True, kw_only=True)
class FixedScale(Quantizer):
    """Base of quantizers whose scale does not depend on the data.

    Such a scale cannot reveal NaN or Inf, so ``probe`` looks at the data.

    Parameters
    ----------
    bits : int
        Bits b of a code, from 1 to 32.
    granularity : Granularity, default PerSample()
        Which entries share a scale.
    """

    worst: ClassVar[float] = 1.0  # c and kappa, whatever the dimension

    @property
    def step(self) -> float:
        """The scale."""
        return 1.0

    def choose_qparams(self, a: Array) -> QParams:
        """Scale (and zero point) of every block of ``a``."""
        xp = array_namespace(a)
        shape = self.granularity.scale_shape(tuple(a.shape))
        scale = xp.full(shape, self.step, dtype=a.dtype, device=a.device)
        return QParams(scale, zero_range=scale < 0)  # never degenerate

    def probe(self, a: Array, qparams: QParams) -> Array:
        """The largest magnitude of ``a``, which is non-finite if ``a`` holds NaN or Inf."""
        xp = array_namespace(a)
        return xp.max(xp.abs(a))

    def c(self, d: int) -> float:
        """Declared c for d entries that share a scale; d >= 1."""
        return self.worst if need_dimension(d) else 0.0

    def kappa(self, d: int) -> float:
        """Declared kappa for d entries that share a scale; d >= 1."""
        return self.worst if need_dimension(d) else 0.0


@dataclass(frozen=True, kw_only=True)
class Static(FixedScale):
    """Symmetric quantizer with a fixed scale: codes clip(round(x/scale), -(qmax+1), qmax), as two's complement.

    Parameters
    ----------
    bits : int
        Bits b of a code, from 2 to 32.
    granularity : Granularity, default PerSample()
        Which entries share a scale.
    scale : float, default 1.0
        The step, > 0.

    Notes
    -----
    It never expands (c = kappa = 1: 0 is a level, and the nearest level is no further than it). But below half a step
    it removes nothing and beyond the last level it saturates, so as a contraction it promises no more.
    ``bounds.static_error`` says what it loses.

    Examples
    --------
    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> ms.Static(bits=3, scale=0.5)(np.array([[0.2, 0.6, 9.0]]))
    array([[0. , 0.5, 1.5]])
    """

    laws = Laws(c="tight", kappa="tight", idempotent=True, zero_to_zero=True)
    min_bits = 2
    saturates = True
    scale: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        number("Static: scale", self.scale, above=0)

    @property
    def step(self) -> float:
        """The scale."""
        return self.scale

    @property
    def qmax(self) -> int:
        """The largest code, 2^(b-1) - 1."""
        return int(2 ** (self.bits - 1) - 1)

    @property
    def limits(self) -> tuple[float, float]:
        """Entries below or above these, in scales, are clipped."""
        return -(self.qmax + 1.5), self.qmax + 0.5

    def check(self, a: Array) -> None:
        """Raise unless ``a`` is an array that this quantizer takes, whose dtype can hold the scale times its codes."""
        super().check(a)
        info = array_namespace(a).finfo(a.dtype)
        if not float(info.smallest_normal) <= self.scale <= float(info.max) / (self.qmax + 1):
            raise ValueError(f"{self}: {a.dtype} cannot hold this scale times its codes: use float32 or another scale")

    def quantize(self, blocks: Array, qparams: QParams, *, random: Array | None = None) -> Array:
        """Codes of a blocked array, in its dtype."""
        xp = array_namespace(blocks)
        return xp.clip(xp.round(blocks / qparams.scale), -(self.qmax + 1), self.qmax)


@dataclass(frozen=True, kw_only=True)
class StaticAffine(FixedScale):
    """Affine quantizer with a fixed range [low, high], which includes zero: s = (high-low)/(2^b-1), z = round(-low/s).

    Parameters
    ----------
    bits : int
        Bits b of a code, from 1 to 32.
    granularity : Granularity, default PerSample()
        Which entries share a scale.
    low, high : float, default -1.0 and 1.0
        The ends of the range, low <= 0 <= high, not equal.

    Notes
    -----
    Codes are clip(round(x/s)+z, 0, 2^b-1), as ``MinMax``'s on data with these extremes; zero is a level. As for
    ``Static``, c = kappa = 1 and no more. The grid's ends, s·(0-z) and s·(2^b-1-z), differ from low and high by at most
    half a step, because the zero point is an integer.

    Examples
    --------
    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> ms.StaticAffine(bits=2, low=-1.0, high=2.0)(np.array([[-3.0, 0.4, 1.6]]))
    array([[-1.,  0.,  2.]])
    """

    laws = Laws(c="tight", kappa="tight", idempotent=True, zero_to_zero=True)
    saturates = True
    low: float = -1.0
    high: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("low", "high"):
            number(f"StaticAffine: {name}", getattr(self, name), least=-math.inf)
        if not (-math.inf < self.low <= 0 <= self.high < math.inf and self.low < self.high):
            raise ValueError(
                f"StaticAffine needs finite low <= 0 <= high that differ, so that zero is a level; got {self.low}, "
                f"{self.high}"
            )
        if not self.step > 0:
            raise ValueError(f"StaticAffine: the step of the range {self.low}, {self.high} is below the smallest float")

    @property
    def levels(self) -> int:
        """N = 2^b - 1, the number of steps between the lowest and the highest code."""
        return int(2**self.bits - 1)

    @property
    def step(self) -> float:
        """The scale, (high-low)/(2^b-1)."""
        return (self.high - self.low) / self.levels

    @property
    def zero_point(self) -> int:
        """The code of zero, in 0 ... N; ties to even."""
        return round(-self.low / self.step)

    @property
    def reach(self) -> float:
        """The largest distance between zero and a value of the grid, in scales."""
        return max(self.zero_point, self.levels - self.zero_point)

    @property
    def limits(self) -> tuple[float, float]:
        """Entries below or above these, in scales, are clipped."""
        return -self.zero_point - 0.5, self.levels - self.zero_point + 0.5

    def check(self, a: Array) -> None:
        """Raise unless ``a`` is an array that this quantizer takes, whose dtype can hold the scale times its codes."""
        super().check(a)
        info = array_namespace(a).finfo(a.dtype)
        if not float(info.smallest_normal) <= self.step <= float(info.max) / self.reach:
            raise ValueError(f"{self}: {a.dtype} cannot hold this step times its codes: use float32 or another range")

    def choose_qparams(self, a: Array) -> QParams:
        """Scale and zero point, the same for every block."""
        xp = array_namespace(a)
        qparams = super().choose_qparams(a)
        return QParams(qparams.scale, xp.full_like(qparams.scale, float(self.zero_point)), qparams.zero_range)

    def quantize(self, blocks: Array, qparams: QParams, *, random: Array | None = None) -> Array:
        """Codes of a blocked array, in its dtype."""
        xp = array_namespace(blocks)
        return xp.clip(xp.round(blocks / qparams.scale) + qparams.zero_point, 0, self.levels)


@dataclass(frozen=True, kw_only=True)
class Zero(FixedScale):
    """Quantizer of 0 bits: everything becomes zero. On a residual this is caching.

    Parameters
    ----------
    bits : int, default 0
        Only 0 is accepted.
    granularity : Granularity, default PerSample()
        Which entries share a scale.

    References
    ----------
    The paper's Remark 4.1.

    Examples
    --------
    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> ms.Zero()(np.array([[1.0, 2.0]]))
    array([[0., 0.]])
    """

    laws = NEAREST
    min_bits = 0
    fixed_bits = 0
    bits: int = field(default=0, kw_only=False)

    def quantize(self, blocks: Array, qparams: QParams, *, random: Array | None = None) -> Array:
        """Zeros, in the shape and dtype of the blocks."""
        return array_namespace(blocks).zeros_like(blocks)


@dataclass(frozen=True, kw_only=True)
class Identity(FixedScale):
    """No quantization: the full-precision arm, counted as 32 bits.

    Parameters
    ----------
    bits : int, default 32
        Only 32 is accepted.
    granularity : Granularity, default PerSample()
        Which entries share a scale.

    Examples
    --------
    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> ms.Identity()(np.array([[1.0, 2.5]]))
    array([[1. , 2.5]])
    """

    laws = replace(NEAREST, error=0.0)
    has_codes = False
    worst = 0.0
    fixed_bits = 32
    bits: int = field(default=32, kw_only=False)

    def quantize(self, blocks: Array, qparams: QParams, *, random: Array | None = None) -> Array:
        """The blocks themselves."""
        return blocks


QUANTIZERS = {"static": Static, "static_affine": StaticAffine, "zero": Zero, "identity": Identity}
