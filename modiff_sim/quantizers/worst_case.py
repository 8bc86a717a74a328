"""Worst case of rounding on a symmetric grid whose top level is the block's max|x|, in closed form.

Entries are in units of the scale. Let M be the top level, e(v) the error of an entry v, |v| <= M, d entries share the
scale. A *boundary* (m, h) is a magnitude m >= 0 at which the code changes, and h the larger of its distances to the
levels on both sides (rounding to nearest: both are half a gap); e comes arbitrarily near to h at m.

Theorem.  sup ||x - Q(x)||²/||x||² = max over boundaries of (d-1)·h² / (M² + (d-1)·m²),
          sup ||x - Q(x)||_∞/||x||_∞ = max over boundaries of h / M,  for d >= 2; both are 0 for d = 1.

Proof. Some entry has magnitude M, which is a level: its error is 0. In the max norm any other entry can have the error
h, and none a larger one. For c, λ is an upper bound of the ratio if and only if (Dinkelbach)
    -λM² + Σ_{i>1} (e(x_i)² - λx_i²) <= 0   for all x,
and the sum separates: every entry may be a maximiser of φ(v) = e(v)² - λv², the same for all. Take v >= 0. Between a
boundary and the level above it e falls, so φ falls: its maximum is at the boundary. Between a level l and the boundary
above it φ = (v-l)² - λv², which for λ < 1 is convex: its maximum is at an end, the level (φ <= 0) or the boundary; for
λ >= 1 it falls. (M, which all other entries may have as well, is a level too.) So λ is an upper bound if and only if
(d-1)(h² - λm²) <= λM² for every boundary, or none of them can make φ positive, which is the theorem. It is attained
where the boundary is rounded to the farther level, or both are equally far: ties are attained whatever the rule for
them; otherwise it is approached. ∎

A boundary with a larger m and no larger h than another is never worse, so a uniform grid has only its innermost one.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..arguments import count
from .base import Quantizer

#: (m, h), in units of the scale
Boundary = tuple[float, float]


def need_dimension(d: int) -> int:
    """Return d if it is an int >= 1; raise ValueError otherwise."""
    return count("a block has at least one entry: d", d)


def sup_c(d: int, boundaries: Sequence[Boundary], top: float) -> float:
    """The supremum of ||x - Q(x)||²/||x||² over d entries, by the theorem of this module."""
    others = need_dimension(d) - 1
    return max(others * h**2 / (top**2 + others * m**2) for m, h in boundaries)


def sup_kappa(d: int, boundaries: Sequence[Boundary], top: float) -> float:
    """The supremum of ||x - Q(x)||_∞/||x||_∞ over d entries, by the theorem of this module."""
    return 0.0 if need_dimension(d) == 1 else max(h for _, h in boundaries) / top


class SymmetricGrid(Quantizer):
    """Base of quantizers on a grid symmetric about 0 whose top level, ``reach`` scales, is the block's max|x|.

    Parameters
    ----------
    bits : int
        Bits b of a code, from 1 to 32.
    granularity : Granularity, default PerSample()
        Which entries share a scale.
    """

    @property
    def boundaries(self) -> Sequence[Boundary]:
        """Where codes change, (m, h) in scales; those that are never worse than another may be left out."""
        raise NotImplementedError  # pragma: no cover - abstract

    def c(self, d: int) -> float:
        """Declared c for d entries that share a scale; d >= 1."""
        return sup_c(d, self.boundaries, self.reach)

    def kappa(self, d: int) -> float:
        """Declared kappa for d entries that share a scale; d >= 1."""
        return sup_kappa(d, self.boundaries, self.reach)
