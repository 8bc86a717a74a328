"""Float formats whose largest value is scaled onto max|x|: FP8, and powers of two alone (logarithmic).

The formats themselves, and rounding to them, are in ``formats``; blocks behind a shared power-of-two scale are in
``microscaling``. Source: OCP 8-bit Floating Point Specification 1.0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from array_api_compat import array_namespace

from ..typing import Array
from .absmax import guarded
from .base import QParams
from .formats import E4M3, E5M2, Format, round_to
from .laws import NEAREST
from .microscaling import MX as MX  # nn.run's fast path imports it from here
from .worst_case import Boundary, SymmetricGrid


@dataclass(frozen=True, kw_only=True)
class _ScaledFloat(SymmetricGrid):
    """Base: a float format whose largest value is scaled onto the block's max|x|."""

    integer_codes = False

    @property
    def format(self) -> Format:
        """The format of the elements."""
        raise NotImplementedError  # pragma: no cover - abstract

    @property
    def reach(self) -> float:
        return self.format.top

    @property
    def boundaries(self) -> Sequence[Boundary]:
        return tuple(self.format.boundaries())

    def choose_qparams(self, a: Array) -> QParams:
        xp = array_namespace(a)
        blocks, axes = self.blocks(xp, a)
        return guarded(xp, xp.max(xp.abs(blocks), axis=axes, keepdims=True) / self.format.top)

    def quantize(self, blocks: Array, qparams: QParams, *, random: Array | None = None) -> Array:
        return round_to(array_namespace(blocks), blocks / qparams.scale, self.format)


@dataclass(frozen=True, kw_only=True)
class Logarithmic(_ScaledFloat):
    """Dynamic quantizer with the levels 0 and ±max|x|·2^-k, k = 0 ... 2^(b-1)-2: a float format without mantissa.

    Values are rounded to the arithmetically nearest level. 2 bits are absmax's ternary.

    Parameters
    ----------
    bits : int
        Bits b of a code, from 2 to 32.
    granularity : Granularity, default PerSample()
        Which entries share a scale.

    Notes
    -----
    kappa = 1/4 from 3 bits on, whatever the bits; c tends to 1/9 beside (d-1)l²/(4+(d-1)l²), l the smallest level,
    which small entries cost.

    Examples
    --------
    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> ms.Logarithmic(bits=3)(np.array([[4.0, 2.8, -1.2]]))
    array([[ 4.,  2., -1.]])
    """

    laws = replace(NEAREST, error=0.5)
    min_bits = 2

    @property
    def format(self) -> Format:
        """Powers of two, as many as the bits can name."""
        depth = min(2 ** (self.bits - 1) - 2, 1022)  # no float has more binades
        return Format(f"powers of two, {self.bits} bits", self.bits, 0, -depth, 0, 1.0)


@dataclass(frozen=True, kw_only=True)
class FP8E4M3(_ScaledFloat):
    """FP8 e4m3 (largest value 448) scaled onto max|x|: kappa = 1/28, c < 1/289 up to d = 7·10⁸.

    Parameters
    ----------
    bits : int, default 8
        The format decides the bits: only 8 is accepted.
    granularity : Granularity, default PerSample()
        Which entries share a scale.

    Examples
    --------
    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> ms.FP8E4M3()(np.array([[448.0, 100.0, -3.3]]))
    array([[448.  ,  96.  ,  -3.25]])
    """

    laws = replace(NEAREST, error=E4M3.step(0) / 2)
    fixed_bits = 8
    bits: int = field(default=8, kw_only=False)

    @property
    def format(self) -> Format:
        """float8_e4m3fn."""
        return E4M3


@dataclass(frozen=True, kw_only=True)
class FP8E5M2(_ScaledFloat):
    """FP8 e5m2 (largest value 57344) scaled onto max|x|: kappa = 1/14, c < 1/81.

    Parameters
    ----------
    bits : int, default 8
        The format decides the bits: only 8 is accepted.
    granularity : Granularity, default PerSample()
        Which entries share a scale.

    Examples
    --------
    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> ms.FP8E5M2()(np.array([[57344.0, 100.0, -3.3]]))
    array([[ 5.7344e+04,  9.6000e+01, -3.5000e+00]])
    """

    laws = replace(NEAREST, error=E5M2.step(0) / 2)
    fixed_bits = 8
    bits: int = field(default=8, kw_only=False)

    @property
    def format(self) -> Format:
        """float8_e5m2."""
        return E5M2


QUANTIZERS = {"logarithmic": Logarithmic, "fp8_e4m3": FP8E4M3, "fp8_e5m2": FP8E5M2}
