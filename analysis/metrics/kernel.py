"""Kernel distance between feature sets: the unbiased MMD² of Bińkowski et al. 2018 (KID, with features of Inception).

k(x, y) = (x·y/d + 1)³, d features. Unbiased: its expectation is the same at every n, and 0 for equal distributions; so
a value may be negative. Multiplied by nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ._arrays import Floats, feature_set, feature_sets


@dataclass(frozen=True)
class Interval:
    """A value with a 95 % bootstrap interval."""

    value: float
    low: float
    high: float


def _kernel(x: Floats, y: Floats) -> Floats:
    return (x @ y.T / x.shape[1] + 1.0) ** 3


class Terms:
    """What MMD² needs of x, y fixed: resampling x costs no further kernel."""

    def __init__(self, x: Floats, y: Floats) -> None:
        self.xx, self.xy = _kernel(x, x), _kernel(x, y).mean(axis=1)
        self.own = np.diag(self.xx).copy()
        yy = _kernel(y, y)
        self.yy = (yy.sum() - np.trace(yy)) / (len(y) * (len(y) - 1))

    def mmd2(self, w: Floats) -> float:
        """With multiplicities w of the images of x. Pairs of an image with itself, copies included, are left out: in a
        resample they would count as similarity and lift the value."""
        pairs = w @ self.xx @ w - (w * w) @ self.own
        return float(pairs / (w.sum() ** 2 - (w * w).sum()) + self.yy - 2.0 * (w @ self.xy) / w.sum())


def kernel_distance(x: ArrayLike, y: ArrayLike, *, resamples: int = 200, seed: int = 0) -> Interval:
    """MMD² between feature sets (n, k) and (m, k), with an interval from resampling x; y is taken as given.

    Raises:
        ValueError: as ``frechet_distance``; resamples < 1.
    """
    a, b = feature_sets(x, y, at_least=2)
    terms, ones = Terms(a, b), np.ones(len(a))
    value = terms.mmd2(ones)
    drawn = np.array([terms.mmd2(w) for w in _multiplicities(len(a), resamples, seed)])
    return _centred(value, drawn)


def kernel_difference(
    x_arm: ArrayLike, x_full: ArrayLike, reference: ArrayLike, *, resamples: int = 200, seed: int = 0
) -> Interval:
    """MMD² of an arm minus full precision's, to one reference, resampled in pairs: images from the same noise.

    Raises:
        ValueError: as ``kernel_distance``; x_arm and x_full of different shapes.
    """
    arm, ref = feature_sets(x_arm, reference, at_least=2)
    full = feature_set("x_full", x_full)
    if arm.shape != full.shape:
        raise ValueError(f"x_arm {arm.shape} and x_full {full.shape} must be paired row by row")
    one, other, ones = Terms(arm, ref), Terms(full, ref), np.ones(len(arm))
    drawn = np.array([one.mmd2(w) - other.mmd2(w) for w in _multiplicities(len(arm), resamples, seed)])
    return _centred(one.mmd2(ones) - other.mmd2(ones), drawn)


def _multiplicities(n: int, resamples: int, seed: int) -> list[Floats]:
    if resamples < 1:
        raise ValueError(f"need resamples >= 1, got {resamples}")
    rng = np.random.Generator(np.random.PCG64(seed))
    return [np.bincount(rng.integers(n, size=n), minlength=n).astype(np.float64) for _ in range(resamples)]


def _centred(value: float, drawn: Floats) -> Interval:
    low, middle, high = np.quantile(drawn, [0.025, 0.5, 0.975])
    return Interval(value, float(value + low - middle), float(value + high - middle))
