"""The delete-a-group jackknife: estimates without the bias of a finite n, and intervals, also of paired ratios.

Of n images in G groups, θ is the value of all of them and θ₋g that without group g. The pseudo-values

    P_g = G·θ - (G-1)·θ₋g

behave like G independent measurements: their mean is θ without its bias in 1/n, and the standard deviation of that mean
is std(P)/√G. A Fréchet distance is biased by about b/n (Chong and Forsyth 2020, who extrapolate it by a line in 1/n),
which for small n is most of its value. Arms that start from the same noise have the same groups, so their pseudo-values
are paired, and what they have in common cancels.

References
----------
Quenouille 1956; Tukey 1958; Fieller 1954; Chong and Forsyth 2020, arXiv 1911.07023.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .arrays import Floats
from .images import finite, plain
from .resampling import Interval, mean_interval, quantile_of_t


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


def estimate(pseudo: ArrayLike, level: float = 0.95) -> Interval:
    """Return the mean of pseudo-values with its t-interval.

    Raises ValueError for fewer than three groups, for NaN or Inf, and for a level outside (0, 1).
    """
    return Interval(*mean_interval(_pseudo(pseudo), level))


def ratio(above: ArrayLike, below: ArrayLike, level: float = 0.95) -> Interval:
    """Return the ratio of two paired estimates with Fieller's interval, which is exact for normal pseudo-values.

    It holds every r for which a t-test cannot tell above - r·below from 0. Where ``below`` itself cannot be told from 0
    the ratio is unbounded, and the interval is (-inf, inf).

    Raises ValueError as ``estimate``, and for different numbers of groups.

    Examples
    --------
    >>> found = ratio([2.0, 4.1, 6.0, 7.9], [1.0, 2.0, 3.0, 4.0])
    >>> round(found.value, 2), bool(found.low < 2 < found.high)
    (2.0, True)
    """
    a, b = _paired(above, below)
    t = quantile_of_t(level, len(a))
    (saa, sab), (_, sbb) = np.cov(a, b) / len(a)
    ma, mb = float(a.mean()), float(b.mean())
    # (ma - r·mb)² <= t²·(saa - 2·r·sab + r²·sbb) is two·r² - 2·one·r + zero <= 0
    two, one, zero = mb**2 - t**2 * sbb, ma * mb - t**2 * sab, ma**2 - t**2 * saa
    if two <= 0:
        return Interval(ma / mb if mb else float("nan"), -np.inf, np.inf)
    root = float(np.sqrt(max(0.0, one**2 - two * zero)))
    return Interval(ma / mb, float(one - root) / two, float(one + root) / two)


def difference(one: ArrayLike, other: ArrayLike, level: float = 0.95) -> Interval:
    """Return the first of two paired estimates minus the second, with its t-interval.

    Raises ValueError as ``ratio``.
    """
    a, b = _paired(one, other)
    return estimate(a - b, level)


def product(factors: Sequence[tuple[ArrayLike, int]], level: float = 0.95) -> Interval:
    """Return the product of paired estimates to their powers, with the interval of its logarithm to first order.

    Where a factor is less than four of its standard errors above 0 its logarithm says nothing, and the interval is
    (0, inf).

    Raises ValueError as ``ratio``.
    """
    sets = _paired(*(pseudo for pseudo, _ in factors))
    powers = np.array([power for _, power in factors], np.float64)
    means = np.array([p.mean() for p in sets])
    errors = np.array([p.std(ddof=1) for p in sets]) / np.sqrt(len(sets[0]))
    if not (means > 4 * errors).all():
        return Interval(float("nan"), 0.0, float("inf"))
    effect = powers @ (np.array(sets) / means[:, None])
    middle, low, high = mean_interval(effect, level)
    at = float(powers @ np.log(means))
    found = np.exp([at, at + low - middle, at + high - middle])
    return Interval(*map(float, found))


def _pseudo(values: ArrayLike) -> Floats:
    p = plain("pseudo-values", values, whole=True).astype(np.float64, copy=False)
    finite("pseudo-values", p)
    if p.ndim != 1 or len(p) < 3:
        raise ValueError(f"a jackknife needs at least 3 groups, got shape {p.shape}")
    return p


def _paired(*sets: ArrayLike) -> list[Floats]:
    found = [_pseudo(each) for each in sets]
    if len({len(p) for p in found}) != 1:
        raise ValueError(f"{' and '.join(str(len(p)) for p in found)} groups cannot be paired")
    return found
