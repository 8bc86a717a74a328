"""Symmetric integer grids whose scale is max|x|/qmax, rounded to nearest or stochastically."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from array_api_compat import array_namespace

from ..typing import Array
from .base import QParams
from .laws import NEAREST, Laws
from .worst_case import Boundary, SymmetricGrid, need_dimension


def guarded(xp: Any, scale: Array) -> QParams:
    """Parameters with a scale of 0 replaced by 1, with which the zeros it stands for get the code 0; NaN stays NaN."""
    empty = scale == 0
    return QParams(scale=xp.where(empty, xp.ones_like(scale), scale), zero_range=empty)


@dataclass(frozen=True, kw_only=True)
class AbsMax(SymmetricGrid):
    """Symmetric dynamic quantizer: s = max|x|/qmax, qmax = 2^(b-1)-1, rounded to nearest.

    3 bits have 7 levels; 2 bits are ternary.

    Parameters
    ----------
    bits : int
        Bits b of a code, from 2 to 32.
    granularity : Granularity, default PerSample()
        Which entries share a scale.

    Notes
    -----
    kappa = 1/(2·qmax). c = (d-1)/(d-1+4·qmax²): one entry at qmax steps is exact, the others, at half a step, lose half
    a step each. (``closed_form``: m = h = ½, M = qmax.)

    |x|/s <= qmax(1+2eps) rounds to at most qmax, so no clamp is needed while 4·eps·qmax < 1; from there on (8 bits in
    bfloat16, 23 in float32) codes are clamped to ±qmax.

    References
    ----------
    docs/theory.md, section 11.

    Examples
    --------
    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> Q = ms.AbsMax(bits=3)
    >>> Q(np.array([[3.0, 1.2, -0.6]]))
    array([[ 3.,  1., -1.]])
    >>> Q.kappa(64), round(Q.c(64), 4)
    (0.16666666666666666, 0.6364)
    """

    laws = replace(NEAREST, error=0.5)
    min_bits = 2

    @property
    def qmax(self) -> int:
        """The largest code, 2^(b-1) - 1."""
        return int(2 ** (self.bits - 1) - 1)

    @property
    def reach(self) -> float:
        """The largest distance between zero and a value of the grid, in scales."""
        return self.qmax

    @property
    def boundaries(self) -> Sequence[Boundary]:
        """Where the code changes, as of ``SymmetricGrid``."""
        return ((0.5, 0.5),)

    def choose_qparams(self, a: Array) -> QParams:
        """Scale (and zero point) of every block of ``a``."""
        xp = array_namespace(a)
        blocks, axes = self.blocks(xp, a)
        return guarded(xp, xp.max(xp.abs(blocks), axis=axes, keepdims=True) / self.qmax)

    def round(self, xp: Any, steps: Array) -> Array:
        """Integers nearest to x/s; ties to even."""
        return xp.round(steps)

    def quantize(self, blocks: Array, qparams: QParams, *, random: Array | None = None) -> Array:
        """Codes of a blocked array, in its dtype."""
        xp = array_namespace(blocks)
        codes = self.round(xp, blocks / qparams.scale)
        if 4 * self.qmax * float(xp.finfo(blocks.dtype).eps) < 1:
            return codes
        return xp.clip(codes, -self.qmax, self.qmax)


@dataclass(frozen=True, kw_only=True)
class Stochastic(AbsMax):
    """AbsMax with stochastic rounding, floor(x/s + u), u uniform in [0, 1), which is unbiased.

    Parameters
    ----------
    bits : int
        Bits b of a code, from 2 to 32.
    granularity : Granularity, default PerSample()
        Which entries share a scale.

    Notes
    -----
    kappa = 1/qmax holds surely. c is on the expectation: sup E||x - Q(x)||²/||x||² = (sqrt(1+(d-1)/qmax²)-1)/2, below 1
    only for d-1 < 8·qmax². (With one entry at qmax steps and d-1 at a fraction f the ratio is
    (d-1)f(1-f)/(qmax²+(d-1)f²), and this is its maximum over f.)

    References
    ----------
    The paper's section on unbiased rounding; docs/theory.md, section 4.

    Examples
    --------
    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> x = np.array([[3.0, 1.25, 0.5]])
    >>> ms.Stochastic(bits=3)(x, random=np.full(x.shape, 0.75))
    array([[3., 2., 1.]])
    """

    # Sign equivariance would need u to become 1-u. As the random bits are an argument, it is not declared.
    laws = Laws(
        error=1.0, c="tight", kappa="tight", scale_equivariant=True, zero_to_zero=True, unbiased=True, randomised=True
    )

    def quantize(self, blocks: Array, qparams: QParams, *, random: Array | None = None) -> Array:
        """Codes of a blocked array, in its dtype."""
        xp = array_namespace(blocks)
        # x/s can exceed qmax by eps, which floor would turn into a code beyond the grid.
        return xp.clip(xp.floor(blocks / qparams.scale + random), -self.qmax, self.qmax)

    def c(self, d: int) -> float:
        """Declared c of the expectation, for d entries that share a scale; d >= 1."""
        return (math.sqrt(1 + (need_dimension(d) - 1) / self.qmax**2) - 1) / 2

    def kappa(self, d: int) -> float:
        """Declared kappa for d entries that share a scale; d >= 1."""
        return float(need_dimension(d) >= 1) / self.qmax  # also for d = 1: x/s may fall an eps short of qmax


QUANTIZERS = {"absmax": AbsMax, "stochastic": Stochastic}
