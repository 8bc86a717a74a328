"""How sure and how varied a classifier finds the samples: the Inception Score's form, in a classifier trained here."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ._arrays import feature_set


def classifier_score(probabilities: ArrayLike) -> float:
    """exp(mean KL(p(y|x) || p(y))) of class probabilities (n, classes), between 1 and the number of classes.

    The form of Salimans et al. 2016, section 4, with another network, so never called IS. It rises with n: compare
    equal n only.

    Raises:
        ValueError: not (n, classes), no rows, NaN or Inf, rows that are no distribution.
    """
    p = feature_set("probabilities", probabilities)
    # a softmax of up to thousands of classes is off by a few roundings per class
    if p.min() < 0 or np.abs(p.sum(axis=1) - 1).max() > 64 * p.shape[1] * np.finfo(np.float64).eps:
        raise ValueError("every row of probabilities must be a distribution: at least 0, summing to 1")
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(p > 0, p * (np.log(p) - np.log(p.mean(axis=0))), 0.0)
    return float(np.exp(terms.sum(axis=1).mean()))
