"""How sure and how varied a classifier finds the samples: the Inception Score's form, in a classifier trained here."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ._arrays import Floats, feature_set


def classifier_score(probabilities: ArrayLike, weights: Floats | None = None) -> float:
    """exp(mean KL(p(y|x) || p(y))) of class probabilities (n, classes), between 1 and the number of classes.

    The form of Salimans et al. 2016, section 4, with another network, so never called IS. It rises with n: compare
    equal n only.

    weights: how often each image counts, (n,); default once.

    Raises:
        ValueError: not (n, classes), no rows, NaN or Inf, rows that are no distribution.
    """
    return _score(_distributions(probabilities), weights)


def _distributions(probabilities: ArrayLike) -> Floats:
    """Rows that sum to 1 but for rounding in the dtype they come in; what comes in less than float64 is rescaled."""
    p = feature_set("probabilities", probabilities)
    sums, eps = p.sum(axis=1), _eps(probabilities)
    # a softmax of up to thousands of classes is off by a few roundings per class; in coarser dtypes that would allow
    # any row, and roundings of either sign add up to about their root
    coarse = eps > np.finfo(np.float64).eps
    off = float(np.abs(sums - 1).max())
    if p.min() < 0 or off > (min(4 * np.sqrt(p.shape[1]) * eps, 0.02) if coarse else 64 * p.shape[1] * eps):
        raise ValueError(
            f"every row of probabilities must be a distribution, at least 0 and summing to 1, but one sums to "
            f"{sums[np.abs(sums - 1).argmax()]:.9g} and the smallest value is {p.min():.5g}: of logits give the "
            f"softmax; where only rounding is at fault, give p / p.sum(axis=1, keepdims=True) in float64"
        )
    return p / sums[:, None] if coarse else p


def _eps(x: Any) -> float:
    """The distance from 1 to the next number in the dtype of an array, a tensor or a list of them."""
    while isinstance(x, list | tuple) and x:
        x = x[0]
    dtype = getattr(x, "dtype", "float64")
    dtype = getattr(dtype, "name", str(dtype)).removeprefix("torch.")  # NumPy's name leaves the byte order out
    if dtype == "bfloat16":
        return 2.0**-7
    return float(np.finfo(dtype).eps) if dtype in ("float16", "float32") else float(np.finfo(np.float64).eps)


def _score(p: Floats, weights: Floats | None = None) -> float:
    w = np.full(len(p), 1.0 / len(p)) if weights is None else weights / weights.sum()
    # mean KL = entropy of the mean - mean entropy; rounding can leave -1e-16 where all rows are equal
    return float(np.exp(max(0.0, _entropy(w @ p) - w @ _entropy(p))))


def split_scores(probabilities: ArrayLike, splits: int = 10) -> tuple[float, float]:
    """Mean and standard deviation of the score over consecutive parts of equal size, as scores are usually printed.

    Raises:
        ValueError: as ``classifier_score``; a number of images that splits does not divide.
    """
    p = _distributions(probabilities)
    if splits < 1 or len(p) % splits:
        raise ValueError(f"{len(p)} images do not split into {splits} equal parts")
    found = [_score(part) for part in np.split(p, splits)]
    return float(np.mean(found)), float(np.std(found))


def _entropy(p: Floats) -> Floats:
    """In nats, over the last axis; 0·log 0 = 0."""
    with np.errstate(divide="ignore"):
        logs = np.where(p > 0, np.log(p), 0.0)
    return -(p * logs).sum(axis=-1)
