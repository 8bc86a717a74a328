"""Sliced Wasserstein distance: one-dimensional optimal transport along fixed random directions (Rabin et al. 2011)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ._arrays import Floats, feature_sets


def sliced_wasserstein(x: ArrayLike, y: ArrayLike, *, directions: int = 128, seed: int = 0) -> float:
    """√(mean over directions of W₂²) between samples (n, k) and (m, k), exact along every direction.

    directions are unit vectors drawn from the seed: the same for all sets that are compared. Images are given as
    (n, pixels).

    Raises:
        ValueError: not two-dimensional, different k, no rows, NaN or Inf, directions < 1.
    """
    a, b = feature_sets(x, y)
    if directions < 1:
        raise ValueError(f"directions must be at least 1, got {directions}")
    normal = np.random.Generator(np.random.PCG64(seed)).standard_normal((a.shape[1], directions))
    unit = normal / np.linalg.norm(normal, axis=0)
    return float(np.sqrt(_transport(np.sort(a @ unit, axis=0), np.sort(b @ unit, axis=0)).mean()))


def _transport(a: Floats, b: Floats) -> Floats:
    """W₂² of sorted columns (n, directions) and (m, directions): ∫ (F⁻¹ - G⁻¹)², both constant between the breaks."""
    n, m = len(a), len(b)
    if n == m:
        return ((a - b) ** 2).mean(axis=0)
    # breaks at i/n and j/m as whole numbers over n·m, so that equal ones are equal
    breaks = np.union1d(np.arange(n + 1) * m, np.arange(m + 1) * n)
    left, width = breaks[:-1], np.diff(breaks) / (n * m)
    return width @ (a[left // m] - b[left // n]) ** 2
