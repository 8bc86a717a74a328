"""The OCP Microscaling (MX) block formats: elements of a float format behind a shared power-of-two scale.

Source of the formats and of the shared scale: OCP MX Specification 1.0.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import ClassVar

from array_api_compat import array_namespace

from ..typing import Array
from .base import QParams, Quantizer
from .formats import E2M1, E2M3, E3M2, E4M3, E5M2, INT8, Format, power_of_two, round_to
from .granularity import GROUP, Granularity, PerGroup
from .laws import NEAREST, Laws
from .worst_case import Boundary, need_dimension


def _mx_laws(element: Format) -> Laws:
    """The error is at most half a step of the top binade, or what clamping costs."""
    error = max(element.step(0) / 2, 2 - element.top)
    return replace(NEAREST, error=error)


@dataclass(frozen=True, kw_only=True)
class MX(Quantizer):
    """Base of the OCP Microscaling formats: elements of a float format behind a shared power-of-two scale X.

    X = 2^(⌊log2 max|x|⌋ - emax), E8M0: its exponent lies in [-127, 127]. Elements beyond the largest value are clamped,
    so max|x| itself may lose: in units of 2^emax it lies in [1, 2) and the largest value is below 2.

    Parameters
    ----------
    bits : int
        Bits b of a code, from 1 to 32.
    granularity : Granularity, default PerGroup(32)
        Blocks are the specification's, runs of 32 entries along the last axis, over which a linear layer sums. For the
        activations (N, C, H, W) or the weight of a convolution pass ``PerGroup(32, axis=1)``. An axis of another length
        raises ValueError, which says what fits. Any other granularity works too, at its own c.

    Notes
    -----
    The laws, c and kappa hold for blocks whose X fits E8M0 (and is a normal number of the dtype): max|x| in
    [2^(emax-127), 2^(emax+128)), or all zeros (``in_domain``). A smaller block is coarser than they say, a larger one
    is clamped.

    c and kappa are as in ``closed_form``, except that the largest entry M has an error of its own. For c the sum
    separates again (Dinkelbach): M is at 1 (exact), at the innermost boundary of the top binade, or just below 2
    (clamped); the others are all at the boundary of some binade that does not exceed M, or clamped like M. c and kappa
    are the largest ratio over these finitely many pairs. kappa is 1 - largest/2^(emax+1) for every format, at d = 1 as
    well.
    """

    integer_codes = False
    saturates = True
    element: ClassVar[Format]

    granularity: Granularity = field(default_factory=lambda: PerGroup(GROUP))

    @property
    def reach(self) -> float:
        """The largest distance between zero and a value of the grid, in scales."""
        return self.element.top

    @property
    def limits(self) -> tuple[float, float]:
        """Entries below or above these, in scales, are clipped."""
        end = self.element.top + self.element.step(0) / 2
        return -end, end

    def _sizes(self, a: Array) -> tuple[Array, int, int]:
        """max|x| of each block, and the exponents that E8M0 and the dtype's normal numbers allow it."""
        xp = array_namespace(a)
        blocks, axes = self.blocks(xp, a)
        info = xp.finfo(a.dtype)
        lowest, highest = (math.frexp(float(v))[1] - 1 for v in (info.smallest_normal, info.max))
        low, high = max(lowest, self.element.emax - 127), min(highest, self.element.emax + 127)
        return xp.max(xp.abs(blocks), axis=axes, keepdims=True), low, high

    def choose_qparams(self, a: Array) -> QParams:
        """Scale (and zero point) of every block of ``a``."""
        xp = array_namespace(a)
        top, low, high = self._sizes(a)
        empty = top == 0
        return QParams(xp.where(empty, xp.ones_like(top), power_of_two(xp, top, low, high)), zero_range=empty)

    def in_domain(self, a: Array) -> Array:
        """Per block, whether the laws, c and kappa hold for it."""
        top, low, high = self._sizes(a)
        return (top == 0) | ((top >= 2.0**low) & (top * 2.0**-high < 2))

    def quantize(self, blocks: Array, qparams: QParams, *, random: Array | None = None) -> Array:
        """Codes of a blocked array, in its dtype."""
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
        """Declared c for d entries that share a scale; d >= 1."""
        others = need_dimension(d) - 1
        return max((e**2 + others * h**2) / (M**2 + others * m**2) for (M, e), (m, h) in self._pairs())

    def kappa(self, d: int) -> float:
        """Declared kappa for d entries that share a scale; d >= 1."""
        others = need_dimension(d) > 1
        return max(max(e, h * others) / M for (M, e), (_, h) in self._pairs())


@dataclass(frozen=True, kw_only=True)
class MXFP8E4M3(MX):
    """MXFP8 with e4m3 elements: kappa = 1/8, as a largest entry just below 512 is clamped to 448.

    Parameters
    ----------
    bits : int, default 8
        The format decides the bits: only 8 is accepted.
    granularity : Granularity, default PerGroup(32)
        Which entries share a scale.

    Examples
    --------
    >>> import modiff_sim as ms
    >>> ms.MXFP8E4M3().kappa(32)
    0.125
    """

    laws = _mx_laws(E4M3)
    element = E4M3
    fixed_bits = 8
    bits: int = field(default=8, kw_only=False)


@dataclass(frozen=True, kw_only=True)
class MXFP8E5M2(MX):
    """MXFP8 with e5m2 elements: kappa = 1/8, as a largest entry just below 65536 is clamped to 57344.

    Parameters
    ----------
    bits : int, default 8
        The format decides the bits: only 8 is accepted.
    granularity : Granularity, default PerGroup(32)
        Which entries share a scale.

    Examples
    --------
    >>> import modiff_sim as ms
    >>> ms.MXFP8E5M2().kappa(32)
    0.125
    """

    laws = _mx_laws(E5M2)
    element = E5M2
    fixed_bits = 8
    bits: int = field(default=8, kw_only=False)


@dataclass(frozen=True, kw_only=True)
class MXFP6E2M3(MX):
    """MXFP6 with e2m3 elements: kappa = 1/16, as a largest entry just below 8 is clamped to 7.5.

    Parameters
    ----------
    bits : int, default 6
        The format decides the bits: only 6 is accepted.
    granularity : Granularity, default PerGroup(32)
        Which entries share a scale.

    Examples
    --------
    >>> import modiff_sim as ms
    >>> ms.MXFP6E2M3().kappa(32)
    0.0625
    """

    laws = _mx_laws(E2M3)
    element = E2M3
    fixed_bits = 6
    bits: int = field(default=6, kw_only=False)


@dataclass(frozen=True, kw_only=True)
class MXFP6E3M2(MX):
    """MXFP6 with e3m2 elements: kappa = 1/8, as a largest entry just below 32 is clamped to 28.

    Parameters
    ----------
    bits : int, default 6
        The format decides the bits: only 6 is accepted.
    granularity : Granularity, default PerGroup(32)
        Which entries share a scale.

    Examples
    --------
    >>> import modiff_sim as ms
    >>> ms.MXFP6E3M2().kappa(32)
    0.125
    """

    laws = _mx_laws(E3M2)
    element = E3M2
    fixed_bits = 6
    bits: int = field(default=6, kw_only=False)


@dataclass(frozen=True, kw_only=True)
class MXFP4E2M1(MX):
    """MXFP4 (elements 0, ½, 1, 1½, 2, 3, 4, 6): kappa = 1/4, as a largest entry just below 8 is clamped to 6.

    Parameters
    ----------
    bits : int, default 4
        The format decides the bits: only 4 is accepted.
    granularity : Granularity, default PerGroup(32)
        Which entries share a scale.

    Examples
    --------
    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> ms.MXFP4E2M1(granularity=ms.PerGroup(4))(np.array([[6.0, 2.4, -0.9, 0.2]]))
    array([[ 6.,  2., -1.,  0.]])
    """

    laws = _mx_laws(E2M1)
    element = E2M1
    fixed_bits = 4
    bits: int = field(default=4, kw_only=False)


@dataclass(frozen=True, kw_only=True)
class MXINT8(MX):
    """MXINT8, elements k/64, |k| <= 127: kappa = 1/128.

    Parameters
    ----------
    bits : int, default 8
        The format decides the bits: only 8 is accepted.
    granularity : Granularity, default PerGroup(32)
        Which entries share a scale.

    Examples
    --------
    >>> import modiff_sim as ms
    >>> ms.MXINT8().kappa(32)
    0.0078125
    """

    laws = _mx_laws(INT8)
    element = INT8
    fixed_bits = 8
    bits: int = field(default=8, kw_only=False)


QUANTIZERS = {
    "mxfp8_e4m3": MXFP8E4M3,
    "mxfp8_e5m2": MXFP8E5M2,
    "mxfp6_e2m3": MXFP6E2M3,
    "mxfp6_e3m2": MXFP6E3M2,
    "mxfp4_e2m1": MXFP4E2M1,
    "mxint8": MXINT8,
}
