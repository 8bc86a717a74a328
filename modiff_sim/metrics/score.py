"""How certain a classifier is of the samples, and how varied they are: the Inception Score's formula, other network."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .arrays import Floats, feature_set
from .metric import Judged, Metric, Statistic

#: the largest probability from which on a sample counts as recognised
RECOGNISED = 0.9


def classifier_score(probabilities: ArrayLike, weights: Floats | None = None) -> float:
    """Return exp(mean KL(p(y|x) || p(y))) of class probabilities (n, classes), from 1 to the number of classes.

    The formula is that of Salimans et al. 2016, section 4, but with another network, so it is never called IS. It
    increases with n: compare it only at equal n. ``weights`` (n,) says how often each image counts, by default once.

    Raises
    ------
    ValueError
        The array is not (n, classes), is empty, holds NaN or Inf, or has a row that is not a distribution.
    """
    return _score(_distributions(probabilities), weights)


def _distributions(probabilities: ArrayLike) -> Floats:
    """Return rows that sum to 1. They may be off by rounding in their own dtype; below float64 they are rescaled."""
    p = feature_set("probabilities", probabilities)
    sums, eps = p.sum(axis=1), _eps(probabilities)
    # a softmax of up to thousands of classes is off by a few roundings per class. In coarser dtypes that would allow
    # any row; since roundings have either sign, they add up to about the root of their number
    coarse = eps > np.finfo(np.float64).eps
    off = float(np.abs(sums - 1).max())
    if p.min() < 0 or off > (min(4 * np.sqrt(p.shape[1]) * eps, 0.02) if coarse else 64 * p.shape[1] * eps):
        raise ValueError(
            f"every row of probabilities must be a distribution, at least 0 and summing to 1, but one sums to "
            f"{sums[np.abs(sums - 1).argmax()]:.9g} and the smallest value is {p.min():.5g}: give the softmax of "
            f"logits; where only rounding is at fault, give p / p.sum(axis=1, keepdims=True) in float64"
        )
    return p / sums[:, None] if coarse else p


def _eps(x: Any) -> float:
    """Return the distance from 1 to the next number in the dtype of an array, a tensor or a list of them."""
    while isinstance(x, list | tuple) and x:
        x = x[0]
    dtype = getattr(x, "dtype", "float64")
    dtype = getattr(dtype, "name", str(dtype)).removeprefix("torch.")  # NumPy's name does not include the byte order
    if dtype == "bfloat16":
        return 2.0**-7
    return float(np.finfo(dtype).eps) if dtype in ("float16", "float32") else float(np.finfo(np.float64).eps)


def _score(p: Floats, weights: Floats | None = None) -> float:
    w = np.full(len(p), 1.0 / len(p)) if weights is None else weights / weights.sum()
    # mean KL = entropy of the mean - mean entropy; rounding can leave -1e-16 where all rows are equal
    return float(np.exp(max(0.0, float(_entropy(w @ p) - w @ _entropy(p)))))


def split_scores(probabilities: ArrayLike, splits: int = 10) -> tuple[float, float]:
    """Return mean and standard deviation of the score over consecutive parts of equal size, as is usual for scores.

    Raises
    ------
    ValueError
        As for ``classifier_score``; or splits does not divide the number of images.
    """
    p = _distributions(probabilities)
    if splits < 1 or len(p) % splits:
        raise ValueError(f"{len(p)} images do not split into {splits} equal parts")
    found = [_score(part) for part in np.split(p, splits)]
    return float(np.mean(found)), float(np.std(found))


def _entropy(p: Floats) -> Floats:
    """Return the entropy over the last axis in nats, with 0·log 0 = 0."""
    with np.errstate(divide="ignore"):
        logs = np.where(p > 0, np.log(p), 0.0)
    return -(p * logs).sum(axis=-1)


def _recognised(judged: Judged) -> Statistic:
    """The share of images that the classifier is sure of."""
    sure = judged.probabilities.max(axis=1) > RECOGNISED
    return lambda w: float(w @ sure / w.sum())


METRICS = {
    "score": Metric("classifier score", lambda judged: lambda w: classifier_score(judged.probabilities, w)),
    "recognised": Metric("recognised share", _recognised),
}
