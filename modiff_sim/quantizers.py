"""The quantizers, each written once for NumPy and torch, and their registry.

Rounding is ties-to-even; the zero point is added after rounding. The *scale* is guarded against 0, never absmax:
absmax/qmax can underflow where absmax does not (float16). A block of zeros, or one whose scale underflows, is mapped
to exact zeros.

House rules of this file: about ten array operations, no Python ``if`` on array values, random bits are an argument,
nothing is written into an argument.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

from array_api_compat import array_namespace

from .laws import Laws
from .quantizer import QParams, Quantizer


def _guarded(xp: Any, scale: Any) -> QParams:
    """Scale with 0 replaced by 1 (x/1 rounds to the code 0 for the zeros it stands for); NaN stays NaN."""
    empty = scale == 0
    return QParams(scale=xp.where(empty, xp.ones_like(scale), scale), zero_range=empty)


def _need_dimension(d: int) -> int:
    if d < 1:
        raise ValueError(f"a block has at least one entry, got d={d}")
    return d


@dataclass(frozen=True, kw_only=True)
class AbsMax(Quantizer):
    """Symmetric, dynamic: s = max|x|/qmax, qmax = 2^(b-1)-1, round to nearest. 3 bits = 7 levels, 2 bits = ternary.

    |x|/s <= qmax(1+2eps) rounds to at most qmax, so no clamp is needed while 4·eps·qmax < 1; from there on (8 bits in
    bfloat16, 23 in float32) codes are clamped to ±qmax.
    kappa = 1/(2·qmax). c = (d-1)/(d-1+4·qmax²): one entry at qmax steps is exact, the others, at half a step, go to
    0 by ties-to-even and lose everything.
    """

    laws = Laws(error=0.5, c="tight", idempotent=True, sign_equivariant=True)
    min_bits = 2

    @property
    def qmax(self) -> int:
        return int(2 ** (self.bits - 1) - 1)

    def choose_qparams(self, a: Any) -> QParams:
        xp = array_namespace(a)
        blocks, axes = self.blocks(xp, a)
        return _guarded(xp, xp.max(xp.abs(blocks), axis=axes, keepdims=True) / self.qmax)

    @property
    def reach(self) -> int:
        return self.qmax

    def quantize(self, blocks: Any, qparams: QParams, *, random: Any = None) -> Any:
        xp = array_namespace(blocks)
        codes = xp.round(blocks / qparams.scale)
        if 4 * self.qmax * float(xp.finfo(blocks.dtype).eps) < 1:
            return codes
        return xp.clip(codes, -self.qmax, self.qmax)

    def c(self, d: int) -> float:
        return (_need_dimension(d) - 1) / (d - 1 + 4 * self.qmax**2)

    def kappa(self, d: int) -> float:
        return 0.0 if _need_dimension(d) == 1 else 1 / (2 * self.qmax)


@dataclass(frozen=True, kw_only=True)
class Stochastic(AbsMax):
    """AbsMax with stochastic rounding, floor(x/s + u), u uniform in [0, 1): unbiased.

    kappa = 1/qmax holds surely. c is on the expectation: sup E||x - Q(x)||²/||x||² = (sqrt(1+(d-1)/qmax²)-1)/2,
    below 1 only for d-1 < 8·qmax². (With one entry at qmax steps and d-1 at a fraction f the ratio is
    (d-1)f(1-f)/(qmax²+(d-1)f²); its maximum over f is that.) Source: PAPER, unbiased rounding.
    """

    # sign equivariance would need u to become 1-u: with the random bits as an argument it is not declared
    laws = Laws(error=1.0, c="tight", unbiased=True, randomised=True)

    def quantize(self, blocks: Any, qparams: QParams, *, random: Any = None) -> Any:
        xp = array_namespace(blocks)
        # ±qmax is kept: x/s can exceed it by eps, which floor would turn into a code too far
        return xp.clip(xp.floor(blocks / qparams.scale + random), -self.qmax, self.qmax)

    def c(self, d: int) -> float:
        return (math.sqrt(1 + (_need_dimension(d) - 1) / self.qmax**2) - 1) / 2

    def kappa(self, d: int) -> float:
        return float(_need_dimension(d) >= 1) / self.qmax  # d=1 as well: x/s may fall an eps short of qmax


@dataclass(frozen=True, kw_only=True)
class MinMax(Quantizer):
    """Affine, dynamic, its range made to include zero: s = (max-min)/(2^b-1), zero point z = round(-min/s).

    kappa = 1/(2^b-1). c = d/(d-2+2N²), N = 2^b-1, d >= 2: the extremes at ±N/2 steps (a tie, half a step lost each)
    and all others at half a step. Not idempotent: b=4, (-17, 13, 2) has grid step 2, its image (-16, 12, 2) has not.
    """

    laws = Laws(error=0.5, c="tight")

    @property
    def levels(self) -> int:
        """N = 2^b - 1 steps between the lowest and the highest code."""
        return int(2**self.bits - 1)

    @property
    def reach(self) -> int:
        return self.levels

    def range(self, xp: Any, blocks: Any, axes: tuple[int, ...]) -> tuple[Any, Any]:
        """Lowest and highest value of the grid, per block."""
        low = xp.min(blocks, axis=axes, keepdims=True)
        high = xp.max(blocks, axis=axes, keepdims=True)
        zero = xp.zeros_like(low)
        return xp.minimum(low, zero), xp.maximum(high, zero)

    def choose_qparams(self, a: Any) -> QParams:
        xp = array_namespace(a)
        blocks, axes = self.blocks(xp, a)
        low, high = self.range(xp, blocks, axes)
        guarded = _guarded(xp, (high - low) / self.levels)
        return QParams(guarded.scale, xp.round(-low / guarded.scale), guarded.zero_range)

    def quantize(self, blocks: Any, qparams: QParams, *, random: Any = None) -> Any:
        xp = array_namespace(blocks)
        return xp.clip(xp.round(blocks / qparams.scale) + qparams.zero_point, 0, self.levels)

    def c(self, d: int) -> float:
        return 0.0 if _need_dimension(d) == 1 else d / (d - 2 + 2 * self.levels**2)

    def kappa(self, d: int) -> float:
        return 0.0 if _need_dimension(d) == 1 else 1 / self.levels


@dataclass(frozen=True, kw_only=True)
class MinMaxRaw(MinMax):
    """Affine min-max as the official code has it: the range need not include zero, the scale is at least ``floor``.

    s = max((max-min)/(2^b-1), floor), z = round(-min/s). A constant block is reproduced exactly (s = |x|; the official
    floor reproduces it to eps). Below ``floor`` (residuals under 1.5e-7 at 4 bits) everything rounds as on a static
    grid, so power-of-two scaling is not declared and c, kappa hold for blocks whose range exceeds floor·(2^b-1).
    """

    laws = Laws(error=0.5, c="tight", scale_equivariant=False)
    floor: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.floor < math.inf:
            raise ValueError(f"{type(self).__name__} needs a finite floor >= 0, got {self.floor}")

    def range(self, xp: Any, blocks: Any, axes: tuple[int, ...]) -> tuple[Any, Any]:
        return xp.min(blocks, axis=axes, keepdims=True), xp.max(blocks, axis=axes, keepdims=True)

    def choose_qparams(self, a: Any) -> QParams:
        xp = array_namespace(a)
        blocks, axes = self.blocks(xp, a)
        low, high = self.range(xp, blocks, axes)
        raw = (high - low) / self.levels
        floored = xp.where(raw < self.floor, xp.full_like(raw, self.floor), raw)
        guarded = _guarded(xp, xp.where(raw == 0, xp.abs(low), floored))
        return QParams(guarded.scale, xp.round(-low / guarded.scale), raw == 0)


@dataclass(frozen=True, kw_only=True)
class Floor(MinMaxRaw):
    """The quantizer of Theorem 4.3's proof: affine min-max rounding down, |x - Q(x)| <= s.

    Not a contraction: c <= 2d/N², N = 2^b-1 (the error is at most s per entry, and ||x||² >= (max-min)²/2), and a
    search comes near it with extremes at ±N/2 and all others tiny and negative. kappa <= 2/N.
    """

    laws = Laws(error=1.0, c="upper", kappa="upper", scale_equivariant=False)

    def quantize(self, blocks: Any, qparams: QParams, *, random: Any = None) -> Any:
        xp = array_namespace(blocks)
        return xp.clip(xp.floor(blocks / qparams.scale) + qparams.zero_point, 0, self.levels)

    def c(self, d: int) -> float:
        return 0.0 if _need_dimension(d) == 1 else 2 * d / self.levels**2

    def kappa(self, d: int) -> float:
        return 0.0 if _need_dimension(d) == 1 else 2 / self.levels


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
        return self.worst if _need_dimension(d) else 0.0

    def kappa(self, d: int) -> float:
        return self.worst if _need_dimension(d) else 0.0


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
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise ValueError(f"Static needs a finite scale > 0, got {self.scale}")

    @property
    def step(self) -> float:
        return self.scale

    @property
    def qmax(self) -> int:
        return int(2 ** (self.bits - 1) - 1)

    def check(self, a: Any) -> None:
        super().check(a)
        info = array_namespace(a).finfo(a.dtype)
        if not float(info.smallest_normal) <= self.scale <= float(info.max) / (self.qmax + 1):
            raise ValueError(f"{self}: {a.dtype} cannot hold this scale times its codes: use float32 or another scale")

    def quantize(self, blocks: Any, qparams: QParams, *, random: Any = None) -> Any:
        xp = array_namespace(blocks)
        return xp.clip(xp.round(blocks / qparams.scale), -(self.qmax + 1), self.qmax)


@dataclass(frozen=True, kw_only=True)
class Zero(FixedScale):
    """0 bits: everything becomes zero. On a residual this is caching (the paper's Remark 4.1)."""

    laws = Laws(error=None, c="tight", idempotent=True, sign_equivariant=True)
    min_bits = 0
    bits: int = field(default=0, kw_only=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.bits != 0:
            raise ValueError(f"Zero has 0 bits, got {self.bits}")

    def quantize(self, blocks: Any, qparams: QParams, *, random: Any = None) -> Any:
        return array_namespace(blocks).zeros_like(blocks)


@dataclass(frozen=True, kw_only=True)
class Identity(FixedScale):
    """No quantization: the full-precision arm, counted as 32 bits."""

    laws = Laws(error=0.0, c="tight", idempotent=True, sign_equivariant=True)
    has_codes = False
    worst = 0.0
    bits: int = field(default=32, kw_only=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.bits != 32:
            raise ValueError(f"Identity stands for full precision, 32 bits; got {self.bits}")

    def quantize(self, blocks: Any, qparams: QParams, *, random: Any = None) -> Any:
        return blocks


#: name -> class. Property tests, bound tests, CLI choices and legends iterate over it.
QUANTIZERS: dict[str, type[Quantizer]] = {
    "absmax": AbsMax,
    "minmax": MinMax,
    "minmax_raw": MinMaxRaw,
    "floor": Floor,
    "stochastic": Stochastic,
    "static": Static,
    "zero": Zero,
    "identity": Identity,
}


def make(name: str, bits: int = 4, **options: Any) -> Quantizer:
    """A quantizer by its registered name; ``bits`` is not passed on to Zero and Identity, which have their own."""
    if name not in QUANTIZERS:
        raise ValueError(f"unknown quantizer '{name}'; known: {', '.join(QUANTIZERS)}")
    kind = QUANTIZERS[name]
    return kind(**options) if name in ("zero", "identity") else kind(bits=bits, **options)
