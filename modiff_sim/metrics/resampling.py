"""Intervals: the bootstrap over images, by how often each of them counts, and Student's t over independent values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from .arrays import Floats
from .images import plain


@dataclass(frozen=True)
class Interval:
    """A value with its interval."""

    value: float
    low: float
    high: float


def multiplicities(n: int, resamples: int, seed: int) -> Floats:
    """Draw how often each of n images counts, float64 (resamples, n). Every row sums to n.

    Raises ValueError for resamples < 1.
    """
    if resamples < 1:
        raise ValueError(f"need resamples >= 1, got {resamples}")
    rng = np.random.Generator(np.random.PCG64(seed))
    rows = [np.bincount(rng.integers(n, size=n), minlength=n) for _ in range(resamples)]
    return np.array(rows, dtype=np.float64)


def centred(value: float, drawn: Floats, level: float = 0.95) -> Interval:
    """Return the value with the quantiles of the resampled values about their median, which removes their shift.

    A resample has fewer distinct images, which increases a Fréchet distance and decreases a diversity.

    Raises ValueError for a level outside (0, 1).
    """
    _check(level)
    low, middle, high = np.quantile(drawn, [(1 - level) / 2, 0.5, (1 + level) / 2])
    return Interval(float(value), float(value + low - middle), float(value + high - middle))


def mean_interval(values: Sequence[float] | np.ndarray, level: float = 0.95) -> tuple[float, float, float]:
    """Return (mean, low, high) of values from independent seeds, with Student's t-interval of the mean.

    Raises
    ------
    ValueError
        There are fewer than three values, they hold NaN or Inf, or the level lies outside (0, 1).
    """
    _check(level)
    x = plain("values", values, whole=True).astype(np.float64, copy=False)
    if x.ndim != 1 or len(x) < 3:
        raise ValueError(f"an interval over seeds needs at least 3 values, got shape {x.shape}")
    if not np.isfinite(x).all():
        raise ValueError("the values of some seeds are not finite")
    mean = float(x.mean())
    half = float(quantile_of_t(level, len(x)) * x.std(ddof=1) / np.sqrt(len(x)))
    return mean, mean - half, mean + half


def quantile_of_t(level: float, n: int) -> float:
    """Return how many standard errors a two-sided interval of this level reaches, for n independent values."""
    _check(level)
    return float(stats.t.ppf(0.5 + level / 2, n - 1))


def _check(level: float) -> None:
    if not 0.0 < level < 1.0:
        raise ValueError(f"level must lie in (0, 1), got {level}")
