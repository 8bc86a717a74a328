"""Fidelity and diversity: precision and recall (Kynkäänniemi et al. 2019), density and coverage (Naeem 2020)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial.distance import cdist

from .arrays import Floats, feature_sets
from .metric import Judged, Metric

CHUNK = 512  # rows of a distance matrix that are in memory at once


@dataclass(frozen=True)
class Neighbours:
    """Which samples lie in the balls of real images, and the other way round.

    ``inside`` (n,) counts the real balls that each sample lies in, ``recalled`` (m,) says whether each real image lies
    in the ball of a sample, and ``covered`` (m,) whether a sample lies in the ball of each real image.
    """

    inside: Floats
    recalled: Floats
    covered: Floats
    k: int

    def precision(self, w: Floats) -> float:
        """Share of samples within the ball of some real image; w says how often each sample counts."""
        return float(w @ (self.inside > 0) / w.sum())

    def density(self, w: Floats) -> float:
        """Mean number of real balls that a sample lies in, over k; w says how often each sample counts."""
        return float(w @ self.inside / (self.k * w.sum()))

    def recall(self, w: Floats) -> float:
        """Share of real images within the ball of some sample; w says how often each real image counts."""
        return float(w @ self.recalled / w.sum())

    def coverage(self, w: Floats) -> float:
        """Share of real images with a sample in their ball; w says how often each real image counts."""
        return float(w @ self.covered / w.sum())


def neighbours(x: ArrayLike, reference: ArrayLike, *, k: int = 5) -> Neighbours:
    """Find out which points lie in which balls. The ball of a point reaches to the k-th nearest point of its own set.

    Raises
    ------
    ValueError
        The sets are not two-dimensional, differ in d, or hold NaN or Inf; or k < 1, or k is not below n and m.
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
    """Return precision, recall, density and coverage of samples (n, d) against real images (m, d), by k-th neighbours.

    precision: share of samples within the ball of some real image (its radius reaches to its k-th nearest real image)
    recall:    share of real images within the ball of some sample
    density:   mean number of real balls that a sample lies in, over k; it may exceed 1
    coverage:  share of real images with a sample in their ball

    All four depend on n and m, so compare them only at equal n and m; the papers take n = m.

    Raises
    ------
    ValueError
        As ``neighbours``.
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
    """Return the distance of each row to its k-th nearest other row; the row itself is the 0-th."""
    return np.concatenate([np.partition(apart, k, axis=1)[:, k] for _, apart in _distances(x, x)])


def _near(judged: Judged) -> Neighbours:
    """Against as many real images as there are samples, or all that are kept."""
    found: Neighbours = judged.once(
        "neighbours", lambda: neighbours(judged.features, judged.reference.features[: judged.real])
    )
    return found


METRICS = {
    "precision": Metric("precision", lambda judged: _near(judged).precision),
    "recall": Metric("recall", lambda judged: _near(judged).recall, over="real"),
    "density": Metric("density", lambda judged: _near(judged).density),
    "coverage": Metric("coverage", lambda judged: _near(judged).coverage, over="real"),
}
