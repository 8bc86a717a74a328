"""Float formats as data, and rounding to them.

Values are in units of the format's top binade 2^emax, so that the scale is as large as the data. It is not 2^-emax of
it, which float16 could not hold; scaling by a power of two changes no bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..typing import Array
from .worst_case import Boundary


@dataclass(frozen=True)
class Format:
    """A float format without Inf and NaN: sign, exponent and mantissa.

    Below 2^emin the step is that of the lowest binade (subnormals).

    Parameters
    ----------
    name : str
        Its name.
    bits : int
        Bits of a number.
    mantissa : int
        Explicit mantissa bits.
    emin, emax : int
        Exponents of the lowest and the top binade.
    largest : float
        The largest finite value.
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
        """How many binades lie below the top one."""
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


def round_to(xp: Any, values: Array, format: Format) -> Array:
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


def power_of_two(xp: Any, size: Array, low: int, high: int) -> Array:
    """2^⌊log2 size⌋ with the exponent in [low, high], for size >= 0, exactly; NaN and Inf stay what they are."""
    rest, power = size, xp.ones_like(size)
    for k in reversed(range(max(-low, high).bit_length())):
        big = rest >= 2.0 ** (2**k)
        rest, power = xp.where(big, rest * 2.0 ** -(2**k), rest), xp.where(big, power * 2.0 ** (2**k), power)
    for k in reversed(range(max(-low, high).bit_length())):
        small = rest < 2.0 ** (1 - 2**k)
        rest, power = xp.where(small, rest * 2.0 ** (2**k), rest), xp.where(small, power * 2.0 ** -(2**k), power)
    return xp.where(xp.isfinite(size), xp.clip(power, 2.0**low, 2.0**high), size)
