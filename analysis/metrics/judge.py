"""All metrics of a set of images in one call, and the rules of comparing: equal n, one extractor, seeds as interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from . import reference as references
from .coverage import precision_recall
from .duplicates import duplicates
from .extractors import RECOGNISED
from .frechet import distance_of_moments, moments
from .kernel import Terms
from .pairs import psnr, relative_l2, ssim
from .score import classifier_score
from .wasserstein import sliced_wasserstein


@dataclass(frozen=True)
class Measured:
    """A value of a metric that depends on n, with what it may be compared with."""

    metric: str
    value: float
    n: int
    features: str

    def over(self, other: Measured) -> float:
        """The ratio of two values. Raises ValueError unless metric, n and features are the same."""
        for what in ("metric", "n", "features"):
            mine, theirs = getattr(self, what), getattr(other, what)
            if mine != theirs:
                raise ValueError(f"{what} differs, {mine} and {theirs}: such values do not compare")
        return self.value / other.value


class Judge:
    """Measures images of one model against its reference: ``Judge("digits")(images, full)``."""

    def __init__(self, name: str) -> None:
        self.reference = references.load(name)
        self.extractor = self.reference.extractor

    def frechet(self, images: ArrayLike) -> Measured:
        """Fréchet distance to the reference, all of its images."""
        f = self.extractor.features(images)
        value = distance_of_moments(moments(f), self.reference.moments)
        return Measured("frechet", value, len(f), self.extractor.name)

    def __call__(self, images: np.ndarray, full: np.ndarray | None = None) -> dict[str, Any]:
        """Values by name; those against ``full``, the same noise in full precision, are None without it.

        psnr, ssim and relative_l2 are medians over images; kid is the unbiased MMD²; sliced_wasserstein is in features.

        Raises:
            ValueError: another shape, no more images than features, NaN or Inf, images and full of different shapes.
        """
        (f, p), ref = self.extractor.features_and_probabilities(images), self.reference
        pairs = {name: None if full is None else float(np.median(metric(images, full)))
                 for name, metric in (("psnr", psnr), ("ssim", ssim), ("relative_l2", relative_l2))}  # fmt: skip
        return {
            "frechet": distance_of_moments(moments(f), ref.moments),
            "kid": Terms(f, ref.features).mmd2(np.ones(len(f))),
            "sliced_wasserstein": sliced_wasserstein(f, ref.features),
            **precision_recall(f, ref.features),
            "score": classifier_score(p), "recognised": float((p.max(axis=1) > RECOGNISED).mean()),
            "duplicates": float(duplicates(np.clip(images, -1, 1)).mean()),
            **pairs,
        }  # fmt: skip


def mean_interval(values: Sequence[float] | np.ndarray, level: float = 0.95) -> tuple[float, float, float]:
    """(mean, low, high) of values from independent seeds: Student's t-interval of their mean.

    Raises:
        ValueError: fewer than three values, NaN or Inf.
    """
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or len(x) < 3:
        raise ValueError(f"an interval over seeds needs at least 3 values, got shape {x.shape}")
    if not np.isfinite(x).all():
        raise ValueError("the values of some seeds are not finite")
    mean = float(x.mean())
    half = float(stats.t.ppf(0.5 + level / 2, len(x) - 1) * x.std(ddof=1) / np.sqrt(len(x)))
    return mean, mean - half, mean + half
