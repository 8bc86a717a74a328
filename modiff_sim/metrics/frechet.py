"""Fréchet distance between feature sets. It is never FID: see ``extractors``."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .arrays import Floats, feature_sets
from .metric import Metric

Moments = tuple[Floats, Floats]


def moments(x: Floats, weights: Floats | None = None) -> Moments:
    """Return the mean (k,), and the root (k, k) of the covariance.

    The covariance is divided by n, not n-1, since weights are multiplicities.

    Raises
    ------
    ValueError
        If n <= k.
    """
    if len(x) <= x.shape[1]:
        raise ValueError(f"{len(x)} samples of {x.shape[1]} features have a singular covariance; need n > k")
    w = np.full(len(x), 1.0 / len(x)) if weights is None else weights / weights.sum()
    mean = w @ x
    y = (x - mean) * np.sqrt(w)[:, None]
    value, vector = np.linalg.eigh(y.T @ y)
    return mean, (vector * np.sqrt(np.maximum(value, 0.0))) @ vector.T


def distance_of_moments(a: Moments, b: Moments) -> float:
    """Return |m1-m2|² + tr C1 + tr C2 - 2 tr (C1^½ C2 C1^½)^½.

    The last trace is the sum of the singular values of C1^½ C2^½. They are the roots of the eigenvalues of the
    symmetric product, but need no squaring, which would cost half the digits in directions of small variance.
    """
    (m1, r1), (m2, r2) = a, b
    nuclear = np.linalg.svd(r1 @ r2, compute_uv=False).sum()
    value = ((m1 - m2) ** 2).sum() + (r1**2).sum() + (r2**2).sum() - 2.0 * nuclear
    return max(0.0, float(value))  # rounding can leave -1e-15


def frechet_distance(x: ArrayLike, y: ArrayLike) -> float:
    """Return the Fréchet distance between Gaussians fitted to two feature sets (n, k) and (m, k).

    This is eq. (6) of Heusel et al. 2017. In features of a classifier trained here it is *never FID*. It is a squared
    distance (units of feature²) and biased upwards for small n: compare it only at equal n.

    Raises
    ------
    ValueError
        The sets are not two-dimensional, differ in k, hold NaN or Inf, or n <= k.
    """
    a, b = feature_sets(x, y)
    return distance_of_moments(moments(a), moments(b))


METRICS = {
    "frechet": Metric(
        "Fréchet distance",
        lambda judged: lambda w: distance_of_moments(moments(judged.features, w), judged.reference.moments),
        biased=True,
    ),
}
