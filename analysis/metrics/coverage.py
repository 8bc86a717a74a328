"""Fidelity and diversity apart: precision and recall (Kynkäänniemi et al. 2019), density and coverage (Naeem 2020)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial.distance import cdist

from ._arrays import Floats, feature_sets

CHUNK = 512  # rows of a distance matrix that are held at once


@dataclass(frozen=True)
class Neighbours:
    """inside (n,): how many real balls each sample lies in; recalled (m,): whether each real one lies in a sample's
    ball; covered (m,): whether a sample lies in each real one's ball.
    """

    inside: Floats
    recalled: Floats
    covered: Floats
    k: int

    def precision(self, w: Floats) -> float:
        return float(w @ (self.inside > 0) / w.sum())

    def density(self, w: Floats) -> float:
        return float(w @ self.inside / (self.k * w.sum()))

    def recall(self, w: Floats) -> float:
        return float(w @ self.recalled / w.sum())

    def coverage(self, w: Floats) -> float:
        return float(w @ self.covered / w.sum())


def neighbours(x: ArrayLike, reference: ArrayLike, *, k: int = 5) -> Neighbours:
    """Who lies in whose ball: the ball of a point reaches to its k-th nearest other point of its own set.

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
    return Neighbours(inside, recalled.astype(np.float64), covered.astype(np.float64), k)


def precision_recall(x: ArrayLike, reference: ArrayLike, *, k: int = 5) -> dict[str, float]:
    """precision, recall, density and coverage of samples (n, d) against real ones (m, d), with k-th neighbours.

    precision: share of samples within the ball of some real one (its radius: to its k-th nearest real one).
    recall:    share of real ones within the ball of some sample.
    density:   how many real balls a sample lies in, over k: may exceed 1.
    coverage:  share of real ones with a sample in their ball.
    All four depend on n and m, so compare equal n and m only; the papers take n = m.

    Raises:
        ValueError: as ``neighbours``.
    """
    found = neighbours(x, reference, k=k)
    samples, real = np.ones(len(found.inside)), np.ones(len(found.recalled))
    return {
        "precision": found.precision(samples), "recall": found.recall(real),
        "density": found.density(samples), "coverage": found.coverage(real),
    }  # fmt: skip


def _distances(a: Floats, b: Floats) -> Iterator[tuple[slice, Floats]]:
    for i in range(0, len(a), CHUNK):
        yield slice(i, i + CHUNK), cdist(a[i : i + CHUNK], b)


def _radii(x: Floats, k: int) -> Floats:
    """Distance of each row to its k-th nearest other row; itself is the 0-th."""
    return np.concatenate([np.partition(apart, k, axis=1)[:, k] for _, apart in _distances(x, x)])
