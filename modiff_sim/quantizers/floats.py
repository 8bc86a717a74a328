"""Floating-point grids: FP8, the OCP Microscaling (MX) block formats, and powers of two alone (logarithmic).

Formats are data; their elements are rounded by one function, ``round_to``. Values are in units of the format's top
binade 2^emax, so that the scale is as large as the data and not 2^-emax of it, which float16 could not hold; scaling
by a power of two changes no bit.
Source of formats and of the shared scale: OCP 8-bit Floating Point Specification 1.0, OCP MX Specification 1.0.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from array_api_compat import array_namespace

from .affine import guarded
from .base import QParams, Quantizer
from .closed_form import Boundary, SymmetricGrid, need_dimension
from .granularity import GROUP, Granularity, PerGroup
from .laws import Laws


@dataclass(frozen=True)
class Format:
    """Sign, exponent and mantissa. Below 2^emin the step is that of the lowest binade (subnormals); no Inf, no NaN.

    mantissa: explicit mantissa bits; emin, emax: exponents of the lowest and the top binade; largest: finite value.
    """

    name: str
    bits: int
    mantissa: int
    emin: int
    emax: int
    largest: float

    @property
    def top(self) -> float:
        """The largest value in units of 2^emax, in [1, 2)."""
        return self.largest / 2.0**self.emax

    @property
    def depth(self) -> int:
        """Binades below the top one."""
        return self.emax - self.emin

    def step(self, binade: int) -> float:
        """Distance of neighbours in [2^binade, 2^(binade+1)), in units of 2^emax; binade 0 is the top one."""
        return float(2.0 ** (max(binade, -self.depth) - self.mantissa))

    def boundaries(self) -> Iterator[Boundary]:
        """(m, h) as in ``closed_form``, the innermost of zero and of each binade, upwards."""
        smallest = self.step(-self.depth)
        yield smallest / 2, smallest / 2
        for binade in range(-self.depth, 1):
            step = self.step(binade)
            if 2.0**binade + step <= self.top:
                yield 2.0**binade + step / 2, step / 2


E4M3 = Format("float8_e4m3fn", 8, 3, -6, 8, 448.0)
E5M2 = Format("float8_e5m2", 8, 2, -14, 15, 57344.0)
E2M3 = Format("float6_e2m3fn", 6, 3, 0, 2, 7.5)
E3M2 = Format("float6_e3m2fn", 6, 2, -2, 4, 28.0)
E2M1 = Format("float4_e2m1fn", 4, 1, 0, 2, 6.0)
INT8 = Format("int8 / 64", 8, 6, 0, 0, 127 / 64)  # -128 is left out, as the specification allows


def round_to(xp: Any, values: Any, format: Format) -> Any:
    """The format's nearest values, ties to even, saturating; ``values`` and result in units of 2^emax, |values| <= 2.

    The step of an entry's binade is found by comparing with powers of two (a binary search of about log2(depth)
    steps), so that no logarithm has to be exact; quotient and product by a power of two are. A dtype whose smallest
    normal number exceeds the format's smallest step (float16) rounds to that number instead.
    """
    size = xp.abs(values)
    above = xp.full_like(size, 2.0)  # the lowest power of two above the entry, as far down as depth binades
    for k in reversed(range((format.depth + 1).bit_length())):
        lower = above * 2.0 ** -(2**k)
        above = xp.where(lower > size, lower, above)
    least = max(format.step(-format.depth), float(xp.finfo(values.dtype).smallest_normal))
    step = xp.clip(above * 2.0 ** -(1 + format.mantissa), least, None)
    return xp.clip(xp.round(values / step) * step, -format.top, format.top)


def power_of_two(xp: Any, size: Any, low: int, high: int) -> Any:
    """2^⌊log2 size⌋ with the exponent in [low, high], for size >= 0; NaN and Inf stay what they are. Exact."""
    rest, power = size, xp.ones_like(size)
    for k in reversed(range(max(-low, high).bit_length())):
        big = rest >= 2.0 ** (2**k)
        rest, power = xp.where(big, rest * 2.0 ** -(2**k), rest), xp.where(big, power * 2.0 ** (2**k), power)
    for k in reversed(range(max(-low, high).bit_length())):
        small = rest < 2.0 ** (1 - 2**k)
        rest, power = xp.where(small, rest * 2.0 ** (2**k), rest), xp.where(small, power * 2.0 ** -(2**k), power)
    return xp.where(xp.isfinite(size), xp.clip(power, 2.0**low, 2.0**high), size)


@dataclass(frozen=True, kw_only=True)
class _ScaledFloat(SymmetricGrid):
    """Base: a float format whose largest value is scaled onto the block's max|x|."""

    integer_codes = False

    @property
    def format(self) -> Format:
        raise NotImplementedError  # pragma: no cover - abstract

    @property
    def reach(self) -> float:
        return self.format.top

    @property
    def boundaries(self) -> Sequence[Boundary]:
        return tuple(self.format.boundaries())

    def choose_qparams(self, a: Any) -> QParams:
        xp = array_namespace(a)
        blocks, axes = self.blocks(xp, a)
        return guarded(xp, xp.max(xp.abs(blocks), axis=axes, keepdims=True) / self.format.top)

    def quantize(self, blocks: Any, qparams: QParams, *, random: Any = None) -> Any:
        return round_to(array_namespace(blocks), blocks / qparams.scale, self.format)


@dataclass(frozen=True, kw_only=True)
class Logarithmic(_ScaledFloat):
    """Levels 0 and ±max|x|·2^-k, k = 0 ... 2^(b-1)-2: a float format without mantissa; 2 bits are absmax's ternary.

    Rounded to the arithmetically nearest. kappa = 1/4 from 3 bits on, whatever the bits; c tends to 1/9 beside
    (d-1)l²/(4+(d-1)l²), l the smallest level, which small entries cost.
    """

    laws = Laws(error=0.5, c="tight", idempotent=True, sign_equivariant=True)
    min_bits = 2

    @property
    def format(self) -> Format:
        depth = min(2 ** (self.bits - 1) - 2, 1022)  # no float has more binades
        return Format(f"powers of two, {self.bits} bits", self.bits, 0, -depth, 0, 1.0)


@dataclass(frozen=True, kw_only=True)
class FP8E4M3(_ScaledFloat):
    """FP8 e4m3 (largest value 448) scaled onto max|x|: kappa = 1/28, c < 1/289 up to d = 7·10⁸."""

    laws = Laws(error=E4M3.step(0) / 2, c="tight", idempotent=True, sign_equivariant=True)
    fixed_bits = 8
    bits: int = field(default=8, kw_only=False)

    @property
    def format(self) -> Format:
        return E4M3


@dataclass(frozen=True, kw_only=True)
class FP8E5M2(_ScaledFloat):
    """FP8 e5m2 (largest value 57344) scaled onto max|x|: kappa = 1/14, c < 1/81."""

    laws = Laws(error=E5M2.step(0) / 2, c="tight", idempotent=True, sign_equivariant=True)
    fixed_bits = 8
    bits: int = field(default=8, kw_only=False)

    @property
    def format(self) -> Format:
        return E5M2


def _mx_laws(element: Format) -> Laws:
    """The error is at most half a step of the top binade, or what clamping costs."""
    error = max(element.step(0) / 2, 2 - element.top)
    return Laws(error=error, c="tight", idempotent=True, sign_equivariant=True)


@dataclass(frozen=True, kw_only=True)
class MX(Quantizer):
    """Base of the OCP Microscaling formats: elements of a float format behind a shared power-of-two scale X.

    X = 2^(⌊log2 max|x|⌋ - emax), E8M0: its exponent lies in [-127, 127]. Blocks are the specification's, runs of 32
    entries along the last axis: ``granularity=PerGroup(32)`` is the default. The last axis is the one that a linear
    layer sums over; for the activations (N, C, H, W) or the weight of a convolution pass ``PerGroup(32, axis=1)``. An
    axis of another length raises ValueError, which says what fits. Any other granularity works too, at its own c.
    Elements beyond the largest value are clamped, so max|x| itself may lose: in units of 2^emax it lies in [1, 2) and
    the largest value is below 2.

    The laws, c and kappa speak about blocks whose X fits E8M0 (and is a normal number of the dtype): max|x| in
    [2^(emax-127), 2^(emax+128)), or all zeros (``in_domain``). A smaller block is coarser than they say, a larger one
    is clamped.

    c and kappa: as in ``closed_form``, except that the largest entry M has an error of its own. For c the sum separates
    again (Dinkelbach): M is at 1 (exact), at the innermost boundary of the top binade, or just below 2 (clamped); the
    others are all at the boundary of some binade that does not exceed M, or clamped like M. c and kappa are the
    largest ratio over these finitely many pairs. kappa is 1 - largest/2^(emax+1) for every format, at d = 1 as well.
    """

    integer_codes = False
    saturates = True
    element: ClassVar[Format]

    granularity: Granularity = field(default_factory=lambda: PerGroup(GROUP))

    @property
    def reach(self) -> float:
        return self.element.top

    @property
    def limits(self) -> tuple[float, float]:
        end = self.element.top + self.element.step(0) / 2
        return -end, end

    def _sizes(self, a: Any) -> tuple[Any, int, int]:
        """max|x| of each block, and the exponents that E8M0 and the dtype's normal numbers allow it."""
        xp = array_namespace(a)
        blocks, axes = self.blocks(xp, a)
        info = xp.finfo(a.dtype)
        lowest, highest = (math.frexp(float(v))[1] - 1 for v in (info.smallest_normal, info.max))
        low, high = max(lowest, self.element.emax - 127), min(highest, self.element.emax + 127)
        return xp.max(xp.abs(blocks), axis=axes, keepdims=True), low, high

    def choose_qparams(self, a: Any) -> QParams:
        xp = array_namespace(a)
        top, low, high = self._sizes(a)
        empty = top == 0
        return QParams(xp.where(empty, xp.ones_like(top), power_of_two(xp, top, low, high)), zero_range=empty)

    def in_domain(self, a: Any) -> Any:
        top, low, high = self._sizes(a)
        return (top == 0) | ((top >= 2.0**low) & (top * 2.0**-high < 2))

    def quantize(self, blocks: Any, qparams: QParams, *, random: Any = None) -> Any:
        return round_to(array_namespace(blocks), blocks / qparams.scale, self.element)

    def _pairs(self) -> Iterator[tuple[Boundary, Boundary]]:
        """(largest entry and its error, another entry and its error)."""
        clamped = (2.0, 2.0 - self.element.top)
        inner = list(self.element.boundaries())
        for largest in ((1.0, 0.0), (1 + self.element.step(0) / 2, self.element.step(0) / 2), clamped):
            for other in (*inner, clamped):
                if other[0] <= largest[0]:
                    yield largest, other

    def c(self, d: int) -> float:
        others = need_dimension(d) - 1
        return max((e**2 + others * h**2) / (M**2 + others * m**2) for (M, e), (m, h) in self._pairs())

    def kappa(self, d: int) -> float:
        others = need_dimension(d) > 1
        return max(max(e, h * others) / M for (M, e), (_, h) in self._pairs())


@dataclass(frozen=True, kw_only=True)
class MXFP8E4M3(MX):
    """MXFP8 with e4m3 elements: kappa = 1/8, a largest entry just below 512 is clamped to 448."""

    laws = _mx_laws(E4M3)
    element = E4M3
    fixed_bits = 8
    bits: int = field(default=8, kw_only=False)


@dataclass(frozen=True, kw_only=True)
class MXFP8E5M2(MX):
    """MXFP8 with e5m2 elements: kappa = 1/8, a largest entry just below 65536 is clamped to 57344."""

    laws = _mx_laws(E5M2)
    element = E5M2
    fixed_bits = 8
    bits: int = field(default=8, kw_only=False)


@dataclass(frozen=True, kw_only=True)
class MXFP6E2M3(MX):
    """MXFP6 with e2m3 elements: kappa = 1/16, a largest entry just below 8 is clamped to 7.5."""

    laws = _mx_laws(E2M3)
    element = E2M3
    fixed_bits = 6
    bits: int = field(default=6, kw_only=False)


@dataclass(frozen=True, kw_only=True)
class MXFP6E3M2(MX):
    """MXFP6 with e3m2 elements: kappa = 1/8, a largest entry just below 32 is clamped to 28."""

    laws = _mx_laws(E3M2)
    element = E3M2
    fixed_bits = 6
    bits: int = field(default=6, kw_only=False)


@dataclass(frozen=True, kw_only=True)
class MXFP4E2M1(MX):
    """MXFP4 (elements 0, ½, 1, 1½, 2, 3, 4, 6): kappa = 1/4, a largest entry just below 8 is clamped to 6."""

    laws = _mx_laws(E2M1)
    element = E2M1
    fixed_bits = 4
    bits: int = field(default=4, kw_only=False)


@dataclass(frozen=True, kw_only=True)
class MXINT8(MX):
    """MXINT8, elements k/64, |k| <= 127: kappa = 1/128."""

    laws = _mx_laws(INT8)
    element = INT8
    fixed_bits = 8
    bits: int = field(default=8, kw_only=False)
