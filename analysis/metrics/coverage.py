"""Fidelity and diversity apart: precision and recall (Kynkäänniemi et al. 2019), density and coverage (Naeem 2020)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial.distance import cdist

from ._arrays import Floats, feature_sets

CHUNK = 512  # rows of a distance matrix that are held at once


def precision_recall(x: ArrayLike, reference: ArrayLike, *, k: int = 5) -> dict[str, float]:
    """precision, recall, density and coverage of samples (n, d) against real ones (m, d), with k-th neighbours.

    precision: share of samples within the ball of some real one (its radius: to its k-th nearest real one).
    recall:    share of real ones within the ball of some sample.
    density:   how many real balls a sample lies in, over k: may exceed 1.
    coverage:  share of real ones with a sample in their ball.
    recall and coverage rise with n, so compare equal n only.

    Raises:
        ValueError: not two-dimensional, different d, NaN or Inf, k < 1 or not below n and m.
    """
    a, b = feature_sets(x, reference)
    if not 1 <= k < min(len(a), len(b)):
        raise ValueError(f"k must be at least 1 and below {min(len(a), len(b))}, the size of the smaller set, got {k}")
    r_a, r_b = _radii(a, k), _radii(b, k)
    inside, recalled, covered = np.zeros(len(a)), np.zeros(len(b), bool), np.zeros(len(b), bool)
    for rows, apart in _distances(a, b):
        within = apart <= r_b
        inside[rows] = within.sum(axis=1)
        covered |= within.any(axis=0)
        recalled |= (apart <= r_a[rows, None]).any(axis=0)
    return {
        "precision": float((inside > 0).mean()), "recall": float(recalled.mean()),
        "density": float(inside.mean() / k), "coverage": float(covered.mean()),
    }  # fmt: skip


def _distances(a: Floats, b: Floats) -> Iterator[tuple[slice, Floats]]:
    for i in range(0, len(a), CHUNK):
        yield slice(i, i + CHUNK), cdist(a[i : i + CHUNK], b)


def _radii(x: Floats, k: int) -> Floats:
    """Distance of each row to its k-th nearest other row; itself is the 0-th."""
    return np.concatenate([np.partition(apart, k, axis=1)[:, k] for _, apart in _distances(x, x)])
