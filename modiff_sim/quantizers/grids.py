"""Variants of the symmetric integer grid: no zero level, another rule for ties, a wider zero."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from array_api_compat import array_namespace

from ..arguments import number
from ..typing import Array
from .absmax import AbsMax, guarded
from .base import QParams
from .laws import Laws
from .worst_case import Boundary, SymmetricGrid


@dataclass(frozen=True, kw_only=True)
class MidRise(SymmetricGrid):
    """Symmetric dynamic quantizer that uses all 2^b levels, none of which is 0.

    The levels are (k+½)·s, k = -2^(b-1) ... 2^(b-1)-1, with s = 2·max|x|/(2^b-1); the top level is max|x| exactly.

    Parameters
    ----------
    bits : int
        Bits b of a code, from 1 to 32.
    granularity : Granularity, default PerSample()
        Which entries share a scale.

    Notes
    -----
    kappa = 1/(2^b-1), half of absmax's or less. But an entry 0 becomes s/2, so c = (d-1)/(2^b-1)² (``closed_form``: the
    boundary m = 0, h = ½), which exceeds 1 for d-1 > (2^b-1)²: beyond that dimension a block with one large entry and
    zeros gains energy. A block of zeros stays one. Not sign-equivariant, because 0 is always rounded up.

    Examples
    --------
    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> ms.MidRise(bits=2)(np.array([[3.0, 1.2, -0.4]]))
    array([[ 3.,  1., -1.]])
    """

    laws = Laws(error=0.5, c="tight", kappa="tight", idempotent=True, scale_equivariant=True)
    integer_codes = False

    @property
    def reach(self) -> float:
        """The largest distance between zero and a value of the grid, in scales."""
        return (2**self.bits - 1) / 2

    @property
    def boundaries(self) -> Sequence[Boundary]:
        """Where the code changes, as of ``SymmetricGrid``."""
        return ((0.0, 0.5),)

    def choose_qparams(self, a: Array) -> QParams:
        """Scale (and zero point) of every block of ``a``."""
        xp = array_namespace(a)
        blocks, axes = self.blocks(xp, a)
        return guarded(xp, xp.max(xp.abs(blocks), axis=axes, keepdims=True) / self.reach)

    def quantize(self, blocks: Array, qparams: QParams, *, random: Array | None = None) -> Array:
        """Codes of a blocked array, in its dtype."""
        xp = array_namespace(blocks)
        codes = xp.clip(xp.floor(blocks / qparams.scale) + 0.5, -self.reach, self.reach)
        return xp.where(qparams.zero_range, xp.zeros_like(codes), codes)


@dataclass(frozen=True, kw_only=True)
class HalfAway(AbsMax):
    """AbsMax with ties away from zero.

    Its c and kappa are absmax's, because at a tie both levels are equally far.

    Parameters
    ----------
    bits : int
        Bits b of a code, from 2 to 32.
    granularity : Granularity, default PerSample()
        Which entries share a scale.

    Examples
    --------
    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> ms.HalfAway(bits=3)(np.array([[3.0, 0.5, -1.5]]))
    array([[ 3.,  1., -2.]])
    """

    def round(self, xp: Any, steps: Array) -> Array:
        """Integers nearest to x/s; ties away from zero."""
        size = xp.abs(steps)
        whole = xp.floor(size)  # not floor(size + ½): the sum rounds the largest float below ½ up to 1
        nearest = whole + xp.astype(size - whole >= 0.5, size.dtype)
        return xp.where(steps < 0, -nearest, nearest)


@dataclass(frozen=True, kw_only=True)
class DeadZone(AbsMax):
    """AbsMax in which |x| <= threshold·max|x| becomes 0, which makes residuals sparse.

    Parameters
    ----------
    bits : int
        Bits b of a code, from 2 to 32.
    granularity : Granularity, default PerSample()
        Which entries share a scale.
    threshold : float, default 0.2
        τ, the part of max|x| up to which entries become 0; 0 <= τ < 1.

    Notes
    -----
    kappa = max(threshold, 1/(2·qmax)) = τ and c = (d-1)τ²/(1+(d-1)τ²) (``closed_form``: m = h = τ·qmax, and M = qmax;
    the grid's own boundaries beyond are further out and lose no more). Not idempotent: an entry just above the
    threshold may be rounded to a level below it.

    References
    ----------
    The paper's Remarks 4.1 and 4.2.

    Examples
    --------
    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> ms.DeadZone(bits=4, threshold=0.2)(np.array([[7.0, 1.4, -2.2]]))
    array([[ 7.,  0., -2.]])
    """

    laws = Laws(c="tight", kappa="tight", sign_equivariant=True, scale_equivariant=True, zero_to_zero=True)
    threshold: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        number("DeadZone: threshold", self.threshold, below=1, what="a part of max|x|")

    @property
    def boundaries(self) -> Sequence[Boundary]:
        """Where the code changes, as of ``SymmetricGrid``."""
        first = max(self.threshold * self.qmax, 0.5)
        return ((first, first),)

    def round(self, xp: Any, steps: Array) -> Array:
        """Integers nearest to x/s, and 0 in the dead zone."""
        return xp.where(xp.abs(steps) <= self.threshold * self.qmax, xp.zeros_like(steps), xp.round(steps))


QUANTIZERS = {"mid_rise": MidRise, "half_away": HalfAway, "dead_zone": DeadZone}
