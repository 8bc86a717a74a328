"""Bootstrap over images: how often each image counts, and the interval that follows from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ._arrays import Floats


@dataclass(frozen=True)
class Interval:
    """A value with its bootstrap interval."""

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
    if not 0.0 < level < 1.0:
        raise ValueError(f"level must lie in (0, 1), got {level}")
    low, middle, high = np.quantile(drawn, [(1 - level) / 2, 0.5, (1 + level) / 2])
    return Interval(float(value), float(value + low - middle), float(value + high - middle))
