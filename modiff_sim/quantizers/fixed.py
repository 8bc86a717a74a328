"""Quantizers whose scale is no function of the data: static grids, nothing kept, everything kept."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

from array_api_compat import array_namespace

from ..arguments import number
from .base import QParams, Quantizer
from .closed_form import need_dimension
from .laws import Laws


@dataclass(frozen=True, kw_only=True)
class FixedScale(Quantizer):
    """Base of those whose scale is no function of the data: it cannot tell NaN or Inf, so the data is looked at."""

    worst: ClassVar[float] = 1.0  # c and kappa, whatever the dimension

    @property
    def step(self) -> float:
        """The scale."""
        return 1.0

    def choose_qparams(self, a: Any) -> QParams:
        xp = array_namespace(a)
        shape = self.granularity.scale_shape(tuple(a.shape))
        scale = xp.full(shape, self.step, dtype=a.dtype, device=a.device)
        return QParams(scale, zero_range=scale < 0)  # never degenerate

    def probe(self, a: Any, qparams: QParams) -> Any:
        xp = array_namespace(a)
        return xp.max(xp.abs(a))

    def c(self, d: int) -> float:
        return self.worst if need_dimension(d) else 0.0

    def kappa(self, d: int) -> float:
        return self.worst if need_dimension(d) else 0.0


@dataclass(frozen=True, kw_only=True)
class Static(FixedScale):
    """Symmetric with a fixed clipping scale: codes clip(round(x/scale), -(qmax+1), qmax), as two's complement.

    Never expands (c = kappa = 1: 0 is a level, and the nearest level is no further than it), but below half a step it
    removes nothing and beyond the last level it saturates: as a contraction it promises no more.
    """

    laws = Laws(error=None, c="tight", idempotent=True, scale_equivariant=False)
    min_bits = 2
    saturates = True
    scale: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        number("Static: scale", self.scale, above=0)

    @property
    def step(self) -> float:
        return self.scale

    @property
    def qmax(self) -> int:
        return int(2 ** (self.bits - 1) - 1)

    @property
    def limits(self) -> tuple[float, float]:
        return -(self.qmax + 1.5), self.qmax + 0.5

    def check(self, a: Any) -> None:
        super().check(a)
        info = array_namespace(a).finfo(a.dtype)
        if not float(info.smallest_normal) <= self.scale <= float(info.max) / (self.qmax + 1):
            raise ValueError(f"{self}: {a.dtype} cannot hold this scale times its codes: use float32 or another scale")

    def quantize(self, blocks: Any, qparams: QParams, *, random: Any = None) -> Any:
        xp = array_namespace(blocks)
        return xp.clip(xp.round(blocks / qparams.scale), -(self.qmax + 1), self.qmax)


@dataclass(frozen=True, kw_only=True)
class StaticAffine(FixedScale):
    """Affine with a fixed range [low, high], which includes zero: s = (high-low)/(2^b-1), z = round(-low/s).

    Codes are clip(round(x/s)+z, 0, 2^b-1), as ``MinMax``'s on data with these extremes; zero is a level. What is said
    of ``Static`` holds here: c = kappa = 1 and no more. The grid's ends, s·(0-z) and s·(2^b-1-z), differ from low and
    high by at most half a step, because the zero point is an integer.
    """

    laws = Laws(error=None, c="tight", idempotent=True, scale_equivariant=False)
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
        """N = 2^b - 1 steps between the lowest and the highest code."""
        return int(2**self.bits - 1)

    @property
    def step(self) -> float:
        return (self.high - self.low) / self.levels

    @property
    def zero_point(self) -> int:
        """The code of zero, in 0 ... N; ties to even."""
        return round(-self.low / self.step)

    @property
    def reach(self) -> float:
        return max(self.zero_point, self.levels - self.zero_point)

    @property
    def limits(self) -> tuple[float, float]:
        return -self.zero_point - 0.5, self.levels - self.zero_point + 0.5

    def check(self, a: Any) -> None:
        super().check(a)
        info = array_namespace(a).finfo(a.dtype)
        if not float(info.smallest_normal) <= self.step <= float(info.max) / self.reach:
            raise ValueError(f"{self}: {a.dtype} cannot hold this step times its codes: use float32 or another range")

    def choose_qparams(self, a: Any) -> QParams:
        xp = array_namespace(a)
        qparams = super().choose_qparams(a)
        return QParams(qparams.scale, xp.full_like(qparams.scale, float(self.zero_point)), qparams.zero_range)

    def quantize(self, blocks: Any, qparams: QParams, *, random: Any = None) -> Any:
        xp = array_namespace(blocks)
        return xp.clip(xp.round(blocks / qparams.scale) + qparams.zero_point, 0, self.levels)


@dataclass(frozen=True, kw_only=True)
class Zero(FixedScale):
    """0 bits: everything becomes zero. On a residual this is caching (the paper's Remark 4.1)."""

    laws = Laws(error=None, c="tight", idempotent=True, sign_equivariant=True)
    min_bits = 0
    fixed_bits = 0
    bits: int = field(default=0, kw_only=False)

    def quantize(self, blocks: Any, qparams: QParams, *, random: Any = None) -> Any:
        return array_namespace(blocks).zeros_like(blocks)


@dataclass(frozen=True, kw_only=True)
class Identity(FixedScale):
    """No quantization: the full-precision arm, counted as 32 bits."""

    laws = Laws(error=0.0, c="tight", idempotent=True, sign_equivariant=True)
    has_codes = False
    worst = 0.0
    fixed_bits = 32
    bits: int = field(default=32, kw_only=False)

    def quantize(self, blocks: Any, qparams: QParams, *, random: Any = None) -> Any:
        return blocks
