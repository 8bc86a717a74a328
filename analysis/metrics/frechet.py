"""Fréchet distance between feature sets, and its paired ratio with an interval. It is never FID: see ``extractors``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ._arrays import Floats, feature_set, feature_sets
from ._metric import Metric

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


@dataclass(frozen=True)
class PairedRatio:
    """The ratio arm/full of two Fréchet distances to one reference, with its bootstrap interval low..high."""

    ratio: float
    low: float
    high: float
    arm: float
    full: float


def paired_frechet_ratio(
    x_arm: ArrayLike,
    x_full: ArrayLike,
    reference: ArrayLike,
    *,
    resamples: int = 200,
    seed: int = 0,
    level: float = 0.95,
) -> PairedRatio:
    """Return how much worse an arm is than full precision, with an interval.

    Parameters
    ----------
    x_arm, x_full
        Features (n, k) of images made from the *same* noise, row by row.
    reference
        Features (m, k) of real images, which are not resampled.
    resamples
        Bootstrap resamples of the image index. Each uses the same indices for both arms, so what
        the two have in common (most of the sampling noise) cancels in the ratio.
    seed
        Seed of the indices.
    level
        Nominal coverage of the interval, which is a centred bootstrap of the *difference* of the distances in units of
        x_full's distance. It decides whether the ratio is 1 or near it; for a ratio far from 1 it leaves out the
        uncertainty of the unit itself.

    Raises
    ------
    ValueError
        As for ``frechet_distance``; or x_arm and x_full have different shapes, resamples < 1, level lies outside
        (0, 1), or x_full has distance 0 from the reference.
    """
    arm, full, ref = (feature_set(*it) for it in (("x_arm", x_arm), ("x_full", x_full), ("reference", reference)))
    if arm.shape != full.shape:
        raise ValueError(f"x_arm {arm.shape} and x_full {full.shape} must be paired row by row")
    if arm.shape[1] != ref.shape[1]:
        raise ValueError(f"x_arm has {arm.shape[1]} features and reference has {ref.shape[1]}")
    if resamples < 1 or not 0.0 < level < 1.0:
        raise ValueError(f"need resamples >= 1 and 0 < level < 1, got {resamples}, {level}")
    target = moments(ref)
    at_arm, at_full = distance_of_moments(moments(arm), target), distance_of_moments(moments(full), target)
    if at_full == 0.0:
        raise ValueError("x_full is at distance 0 from the reference: a ratio to it is meaningless")
    rng = np.random.Generator(np.random.PCG64(seed))
    excess, ratio = np.empty(resamples), at_arm / at_full
    for i in range(resamples):
        times = np.bincount(rng.integers(len(arm), size=len(arm)), minlength=len(arm)).astype(np.float64)
        excess[i] = distance_of_moments(moments(arm, times), target) - distance_of_moments(moments(full, times), target)
    below, middle, above = np.quantile(excess, [(1 - level) / 2, 0.5, (1 + level) / 2])
    # A resample has fewer distinct images, which increases both distances. In their quotient that pulls every ratio
    # towards 1; in their difference it cancels for equal variances. Where the arm has other variances, a shift remains,
    # which centring removes: the ratio is the one at this n. (A reflected, pivotal interval aims at infinitely many
    # images and can miss the ratio itself.)
    low, high = (ratio + (q - middle) / at_full for q in (below, above))
    return PairedRatio(ratio, float(low), float(high), at_arm, at_full)


METRICS = {
    "frechet": Metric(
        "Fréchet distance",
        lambda judged: lambda w: distance_of_moments(moments(judged.features, w), judged.reference.moments),
        biased=True,
    ),
}
