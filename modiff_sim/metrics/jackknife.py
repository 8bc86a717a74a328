"""The delete-a-group jackknife: estimates without the bias of a finite n, and intervals, also of paired ratios.

Of n images in G groups, θ is the value of all of them and θ₋g that without group g. The pseudo-values

    P_g = G·θ - (G-1)·θ₋g

behave like G independent measurements: their mean is θ without its bias in 1/n, and the standard deviation of that mean
is std(P)/√G. A Fréchet distance is biased by about b/n (Chong and Forsyth 2020, who extrapolate it by a line in 1/n),
which for small n is most of its value. Arms that start from the same noise have the same groups, so their pseudo-values
are paired, and what they have in common cancels.

``Levels`` is a sum of estimates from different numbers of groups, as in multilevel Monte Carlo: what few arms have in
common is measured once with many images, and small differences between arms with few.

References
----------
Quenouille 1956; Tukey 1958; Fieller 1954; Giles 2015, Acta Numerica 24; Chong and Forsyth 2020, arXiv 1911.07023.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .arrays import Floats
from .images import finite, plain
from .resampling import Interval, quantile_of_t


def without_each(n: int, groups: int) -> Floats:
    """Return how often each of n images counts while one of the groups is left out, float64 (groups, n), 0 or 1.

    Groups are neighbours, as micro-batches are, and of equal size where ``groups`` divides n.

    Raises ValueError unless 2 <= groups <= n.
    """
    if not 2 <= groups <= n:
        raise ValueError(f"{n} images cannot be cut into {groups} groups: need 2 <= groups <= n")
    of_each = np.arange(n) * groups // n
    return (of_each != np.arange(groups)[:, None]).astype(np.float64)


@dataclass(frozen=True)
class Jackknife:
    """The value θ of all images, and the values θ₋g without each group, float64 (G,)."""

    value: float
    left_out: Floats

    def pseudo(self, *, unbiased: bool = True) -> Floats:
        """Return the pseudo-values (G,). Their mean lacks the bias in 1/n or, if not ``unbiased``, is θ itself.

        Examples
        --------
        >>> Jackknife(2.0, np.array([2.5, 2.0, 1.5])).pseudo()  # of the mean of 1, 2, 3
        array([1., 2., 3.])
        """
        groups = len(self.left_out)
        p = groups * self.value - (groups - 1) * self.left_out
        return p if unbiased else p - p.mean() + self.value


@dataclass(frozen=True)
class Levels:
    """A sum of estimates from different numbers of groups, of which the smaller ones are the first of the larger.

    Parameters
    ----------
    parts : mapping of int to numpy.ndarray
        Number of groups G -> pseudo-values float64 (G,). Estimates from equal numbers are added group by group, so
        that what they have in common cancels.

    Examples
    --------
    >>> full, arm = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.5, 2.5, 3.5])  # the arm has three of four groups
    >>> (Levels.of(full) + Levels.of(arm) - Levels.of(full[:3])).value
    3.0
    """

    parts: Mapping[int, Floats]

    @classmethod
    def of(cls, pseudo: ArrayLike | Levels) -> Levels:
        """Return pseudo-values as the only part; Levels as they are. Raises ValueError as ``estimate``."""
        if isinstance(pseudo, Levels):
            return pseudo
        p = plain("pseudo-values", pseudo, whole=True).astype(np.float64, copy=False)
        finite("pseudo-values", p)
        if p.ndim != 1 or len(p) < 3:
            raise ValueError(f"a jackknife needs at least 3 groups, got shape {p.shape}")
        return cls({len(p): p})

    def __add__(self, other: Levels) -> Levels:
        shared = {groups: p + other.parts[groups] for groups, p in self.parts.items() if groups in other.parts}
        return Levels({**self.parts, **other.parts, **shared})

    def __sub__(self, other: Levels) -> Levels:
        return self + Levels({groups: -p for groups, p in other.parts.items()})

    @property
    def value(self) -> float:
        """The sum of the estimates."""
        return sum(float(p.mean()) for p in self.parts.values())

    @property
    def groups(self) -> int:
        """The number of groups of the part that has fewest, which decides the t-distribution."""
        return min(self.parts)

    @property
    def influence(self) -> Floats:
        """What each group adds to the error, float64 (most groups,): squares sum to the squared standard error."""
        found = np.zeros(max(self.parts))
        for groups, p in self.parts.items():
            found[:groups] += (p - p.mean()) / np.sqrt(groups * (groups - 1))
        return found


def estimate(pseudo: ArrayLike | Levels, level: float = 0.95) -> Interval:
    """Return the mean of pseudo-values, or the sum of ``Levels``, with its t-interval.

    Raises ValueError for fewer than three groups, for NaN or Inf, and for a level outside (0, 1).
    """
    found = Levels.of(pseudo)
    half = quantile_of_t(level, found.groups) * float(np.linalg.norm(found.influence))
    return Interval(found.value, found.value - half, found.value + half)


def ratio(above: ArrayLike | Levels, below: ArrayLike | Levels, level: float = 0.95) -> Interval:
    """Return the ratio of two paired estimates with Fieller's interval, which is exact for normal pseudo-values.

    It holds every r for which a t-test cannot tell above - r·below from 0. Where ``below`` itself cannot be told from 0
    the ratio is unbounded, and the interval is (-inf, inf).

    Raises ValueError as ``estimate``, and for different numbers of groups unless these are ``Levels``.

    Examples
    --------
    >>> found = ratio([2.0, 4.1, 6.0, 7.9], [1.0, 2.0, 3.0, 4.0])
    >>> round(found.value, 2), bool(found.low < 2 < found.high)
    (2.0, True)
    """
    a, b = _paired(above, below)
    t = quantile_of_t(level, min(a.groups, b.groups))
    ia, ib = _influences([a, b])
    saa, sab, sbb = float(ia @ ia), float(ia @ ib), float(ib @ ib)
    ma, mb = a.value, b.value
    # (ma - r·mb)² <= t²·(saa - 2·r·sab + r²·sbb) is two·r² - 2·one·r + zero <= 0
    two, one, zero = mb**2 - t**2 * sbb, ma * mb - t**2 * sab, ma**2 - t**2 * saa
    if two <= 0:
        return Interval(ma / mb if mb else float("nan"), -np.inf, np.inf)
    root = float(np.sqrt(max(0.0, one**2 - two * zero)))
    return Interval(ma / mb, (one - root) / two, (one + root) / two)


def difference(one: ArrayLike | Levels, other: ArrayLike | Levels, level: float = 0.95) -> Interval:
    """Return the first of two paired estimates minus the second, with its t-interval.

    Raises ValueError as ``ratio``.
    """
    a, b = _paired(one, other)
    return estimate(a - b, level)


def product(factors: Sequence[tuple[ArrayLike | Levels, int]], level: float = 0.95) -> Interval:
    """Return the product of paired estimates to their powers, with the interval of its logarithm to first order.

    Where a factor is less than four of its standard errors above 0 its logarithm says nothing, and the interval is
    (0, inf).

    Raises ValueError as ``ratio``.
    """
    sets = _paired(*(pseudo for pseudo, _ in factors))
    powers = np.array([power for _, power in factors], np.float64)
    means, influences = np.array([each.value for each in sets]), _influences(sets)
    if not (means > 4 * np.linalg.norm(influences, axis=1)).all():
        return Interval(float("nan"), 0.0, float("inf"))
    error = float(np.linalg.norm((powers / means) @ influences))
    half = quantile_of_t(level, min(each.groups for each in sets)) * error
    at = float(powers @ np.log(means))
    found = np.exp([at, at - half, at + half])
    return Interval(*map(float, found))


def _influences(sets: Sequence[Levels]) -> Floats:
    """Return the influences of estimates, whose groups are the same as far as they go, float64 (n, most groups)."""
    each = [one.influence for one in sets]
    return np.array([np.pad(one, (0, max(map(len, each)) - len(one))) for one in each])


def _paired(*sets: ArrayLike | Levels) -> list[Levels]:
    """Return these as Levels. Plain pseudo-values of different numbers of groups are refused."""
    found = [Levels.of(each) for each in sets]
    plainly = {each.groups for each, given in zip(found, sets, strict=True) if not isinstance(given, Levels)}
    if len(plainly) > 1:
        raise ValueError(f"{' and '.join(str(each.groups) for each in found)} groups cannot be paired")
    return found
