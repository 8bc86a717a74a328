"""Sliced Wasserstein distance: one-dimensional optimal transport along fixed random directions (Rabin et al. 2011)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .arrays import Floats, feature_sets, flat
from .metric import Metric

DIRECTIONS = 128


def projected(x: Floats, directions: int = DIRECTIONS, seed: int = 0) -> Floats:
    """Project x (n, k) on unit vectors drawn from the seed, the same for all sets of this k: float64 (n, directions).

    Raises ValueError for directions < 1.
    """
    if directions < 1:
        raise ValueError(f"directions must be at least 1, got {directions}")
    normal = np.random.Generator(np.random.PCG64(seed)).standard_normal((x.shape[1], directions))
    return x @ (normal / np.linalg.norm(normal, axis=0))


def sliced_wasserstein(x: ArrayLike, y: ArrayLike, *, directions: int = DIRECTIONS, seed: int = 0) -> float:
    """Return √(mean over directions of W₂²) between samples (n, k) and (m, k), exact along every direction.

    Images are given as (n, pixels). The distance decreases with n and m even between equal distributions: compare it
    only at equal n.

    Raises
    ------
    ValueError
        The sets are not two-dimensional, differ in k, are empty, or hold NaN or Inf; or directions < 1.
    """
    a, b = (projected(z, directions, seed) for z in feature_sets(x, y))
    return Slices(a, b).distance(np.ones(len(a)))


class Slices:
    """Projections (n, directions) and (m, directions), ready for resampling the first; the second is fixed."""

    def __init__(self, a: Floats, b: Floats) -> None:
        self.order = a.argsort(axis=0, kind="stable").T
        self.a, self.b = np.take_along_axis(a.T, self.order, axis=1), np.sort(b, axis=0).T

    def distance(self, w: Floats) -> float:
        """Return the distance with whole multiplicities w (n,)."""
        times = w.astype(np.int64)[self.order]
        drawn = np.repeat(self.a.ravel(), times.ravel()).reshape(len(self.a), -1)
        return float(np.sqrt(_transport(drawn, self.b).mean()))


def _transport(a: Floats, b: Floats) -> Floats:
    """Return W₂² of sorted rows (directions, n) and (directions, m): ∫ (F⁻¹ - G⁻¹)², both constant between breaks."""
    n, m = a.shape[1], b.shape[1]
    if n == m:
        return ((a - b) ** 2).mean(axis=1)
    # the breaks i/n and j/m as whole numbers over n·m, so that equal ones compare equal
    breaks = np.union1d(np.arange(n + 1) * m, np.arange(m + 1) * n)
    left, width = breaks[:-1], np.diff(breaks) / (n * m)
    return (a[:, left // m] - b[:, left // n]) ** 2 @ width


METRICS = {
    "sliced_wasserstein": Metric(
        "sliced Wasserstein",
        lambda judged: Slices(projected(judged.features), projected(judged.reference.features)).distance,
    ),
    "sliced_wasserstein_pixels": Metric(
        "sliced Wasserstein of pixels",
        lambda judged: Slices(projected(flat(judged.seen)), judged.reference.pixels).distance,
    ),
}
