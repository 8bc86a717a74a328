"""Sliced Wasserstein distance: one-dimensional optimal transport along fixed random directions (Rabin et al. 2011)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ._arrays import Floats, feature_sets

DIRECTIONS = 128


def projected(x: Floats, directions: int = DIRECTIONS, seed: int = 0) -> Floats:
    """x (n, k) along unit vectors drawn from the seed, the same for all sets of this k: float64 (n, directions).

    Raises ValueError for directions < 1.
    """
    if directions < 1:
        raise ValueError(f"directions must be at least 1, got {directions}")
    normal = np.random.Generator(np.random.PCG64(seed)).standard_normal((x.shape[1], directions))
    return x @ (normal / np.linalg.norm(normal, axis=0))


def sliced_wasserstein(x: ArrayLike, y: ArrayLike, *, directions: int = DIRECTIONS, seed: int = 0) -> float:
    """√(mean over directions of W₂²) between samples (n, k) and (m, k), exact along every direction.

    Images are given as (n, pixels). It falls with n and m also between equal distributions: compare equal n only.

    Raises:
        ValueError: not two-dimensional, different k, no rows, NaN or Inf, directions < 1.
    """
    a, b = (projected(z, directions, seed) for z in feature_sets(x, y))
    return Slices(a, b).distance(np.ones(len(a)))


class Slices:
    """Projections (n, directions) and (m, directions), ready for resamples of the first; the second is fixed."""

    def __init__(self, a: Floats, b: Floats) -> None:
        self.order = a.argsort(axis=0, kind="stable").T
        self.a, self.b = np.take_along_axis(a.T, self.order, axis=1), np.sort(b, axis=0).T

    def distance(self, w: Floats) -> float:
        """With whole multiplicities w (n,), which sum to n."""
        times = w.astype(np.int64)[self.order]
        drawn = np.repeat(self.a.ravel(), times.ravel()).reshape(self.a.shape)
        return float(np.sqrt(_transport(drawn, self.b).mean()))


def _transport(a: Floats, b: Floats) -> Floats:
    """W₂² of sorted rows (directions, n) and (directions, m): ∫ (F⁻¹ - G⁻¹)², both constant between the breaks."""
    n, m = a.shape[1], b.shape[1]
    if n == m:
        return ((a - b) ** 2).mean(axis=1)
    # breaks at i/n and j/m as whole numbers over n·m, so that equal ones are equal
    breaks = np.union1d(np.arange(n + 1) * m, np.arange(m + 1) * n)
    left, width = breaks[:-1], np.diff(breaks) / (n * m)
    return (a[:, left // m] - b[:, left // n]) ** 2 @ width
