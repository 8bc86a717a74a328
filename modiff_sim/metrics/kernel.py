"""Kernel distance between feature sets: the unbiased MMD² of Bińkowski et al. 2018 (KID, with features of Inception).

k(x, y) = (x·y/d + 1)³ for d features. Unbiased means that its expectation is the same at every n, and 0 for equal
distributions, so a value may be negative. Values are not scaled.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .arrays import Floats, feature_set, feature_sets
from .metric import Judged, Metric, Statistic
from .resampling import Interval, centred, multiplicities

BLOCK = 512


def _kernel(x: Floats, y: Floats) -> Floats:
    return (x @ y.T / x.shape[1] + 1.0) ** 3


def _mean_of_pairs(y: Floats) -> float:
    """Return the mean kernel of two different rows, in blocks, because n² values of a whole reference do not fit."""
    total = sum(float(_kernel(y[i : i + BLOCK], y).sum()) for i in range(0, len(y), BLOCK))
    own = float((((y * y).sum(axis=1) / y.shape[1] + 1.0) ** 3).sum())
    return (total - own) / (len(y) * (len(y) - 1))


class Terms:
    """The kernels of x (n, k) and y (m, k), n·(n + m) values, so that resampling x needs no further ones."""

    def __init__(self, x: Floats, y: Floats) -> None:
        self.xx, self.xy = _kernel(x, x), _kernel(x, y).mean(axis=1)
        self.own = np.diag(self.xx).copy()
        self.yy = _mean_of_pairs(y)

    def mmd2(self, w: Floats) -> float:
        """Return MMD² with multiplicities w of the images of x.

        Pairs of an image with itself, copies included, are left out: in a resample they would count as similarity and
        increase the value. Without them the mean over resamples is the value.
        """
        pairs = w @ self.xx @ w - (w * w) @ self.own
        return float(pairs / (w.sum() ** 2 - (w * w).sum()) + self.yy - 2.0 * (w @ self.xy) / w.sum())


def kernel_distance(x: ArrayLike, y: ArrayLike, *, resamples: int = 200, seed: int = 0) -> Interval:
    """Return MMD² between feature sets (n, k) and (m, k), with an interval from resampling x; y is taken as given.

    Raises
    ------
    ValueError
        As for ``frechet_distance``; or resamples < 1.
    """
    a, b = feature_sets(x, y, at_least=2)
    terms, ones = Terms(a, b), np.ones(len(a))
    value = terms.mmd2(ones)
    drawn = np.array([terms.mmd2(w) for w in multiplicities(len(a), resamples, seed)])
    return centred(value, drawn)


def kernel_difference(
    x_arm: ArrayLike, x_full: ArrayLike, reference: ArrayLike, *, resamples: int = 200, seed: int = 0
) -> Interval:
    """Return MMD² of an arm minus that of full precision, to one reference, resampled in pairs from the same noise.

    Raises
    ------
    ValueError
        As for ``kernel_distance``; or x_arm and x_full have different shapes.
    """
    arm, ref = feature_sets(x_arm, reference, at_least=2)
    full = feature_set("x_full", x_full)
    if arm.shape != full.shape:
        raise ValueError(f"x_arm {arm.shape} and x_full {full.shape} must be paired row by row")
    one, other, ones = Terms(arm, ref), Terms(full, ref), np.ones(len(arm))
    drawn = np.array([one.mmd2(w) - other.mmd2(w) for w in multiplicities(len(arm), resamples, seed)])
    return centred(one.mmd2(ones) - other.mmd2(ones), drawn)


def _of(judged: Judged) -> Statistic:
    """In features over the root mean square of real ones, which puts the kernel's terms on one footing, as
    Inception's are.
    """
    unit = np.sqrt(np.square(judged.reference.features).mean())
    return Terms(judged.features / unit, judged.reference.features / unit).mmd2


METRICS = {"kid": Metric("kernel distance (unbiased MMD²)", _of)}
