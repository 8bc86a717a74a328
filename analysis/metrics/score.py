"""How sure and how varied a classifier finds the samples: the Inception Score's form, in a classifier trained here."""

from __future__ import annotations

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
    p = feature_set("probabilities", probabilities)
    # a softmax of up to thousands of classes is off by a few roundings per class
    if p.min() < 0 or np.abs(p.sum(axis=1) - 1).max() > 64 * p.shape[1] * np.finfo(np.float64).eps:
        raise ValueError("every row of probabilities must be a distribution: at least 0, summing to 1")
    w = np.full(len(p), 1.0 / len(p)) if weights is None else weights / weights.sum()
    # mean KL = entropy of the mean - mean entropy; rounding can leave -1e-16 where all rows are equal
    return float(np.exp(max(0.0, _entropy(w @ p) - w @ _entropy(p))))


def split_scores(probabilities: ArrayLike, splits: int = 10) -> tuple[float, float]:
    """Mean and standard deviation of the score over consecutive parts of equal size, as scores are usually printed.

    Raises:
        ValueError: as ``classifier_score``; a number of images that splits does not divide.
    """
    p = feature_set("probabilities", probabilities)
    if splits < 1 or len(p) % splits:
        raise ValueError(f"{len(p)} images do not split into {splits} equal parts")
    found = [classifier_score(part) for part in np.split(p, splits)]
    return float(np.mean(found)), float(np.std(found))


def _entropy(p: Floats) -> Floats:
    """In nats, over the last axis; 0·log 0 = 0."""
    with np.errstate(divide="ignore"):
        logs = np.where(p > 0, np.log(p), 0.0)
    return -(p * logs).sum(axis=-1)
