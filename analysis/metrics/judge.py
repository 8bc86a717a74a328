"""All metrics of a set of images in one call, and the rules of comparing: equal n, one extractor, seeds as interval."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from ..sampling.images import checked, plain
from . import reference as references
from ._arrays import Floats, flat
from .coverage import neighbours
from .duplicates import repeated
from .extractors import RECOGNISED
from .frechet import distance_of_moments, moments
from .kernel import Terms
from .pairs import first_divergence, psnr, relative_l2, ssim
from .resampling import Interval, centred, multiplicities
from .score import classifier_score
from .wasserstein import Slices, projected


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


Statistic = Callable[[Floats], float]  # how often each image counts (n,) -> value


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

    def __call__(
        self,
        images: np.ndarray,
        full: np.ndarray | None = None,
        trajectories: tuple[ArrayLike, ArrayLike] | None = None,
    ) -> dict[str, Any]:
        """Values by name; those against ``full``, the same noise in full precision, are None without it.

        frechet: to all of the reference. kid: unbiased MMD², in these features over the root mean square of real ones,
        which puts the kernel's terms on one footing, as Inception's features are. sliced_wasserstein: in features;
        sliced_wasserstein_pixels. precision, recall, density, coverage: against as many real images as there are
        samples, or all that are kept. score, recognised: by the classifier. duplicates: share of images that repeat
        another. psnr, ssim, relative_l2 and first_divergence: medians over images.

        Args:
            images, full: floats (n, C, H, W) in [-1, 1].
            trajectories: (calls, n, C, H, W) of images and of full, for first_divergence.

        Raises:
            ValueError: another shape, no more images than features, NaN or Inf, images and full of different shapes;
                images of another kind or range, such as grey levels or images in [0, 1].
        """
        images = plain("images", images)
        full = None if full is None else checked("full", full, judged=True)
        by_sample, by_real = self._statistics(images)
        pairs = {name: None if full is None else float(np.median(metric(images, full)))
                 for name, metric in (("psnr", psnr), ("ssim", ssim), ("relative_l2", relative_l2))}  # fmt: skip
        apart = None if trajectories is None else float(np.median(first_divergence(*trajectories)))
        each, real = np.ones(len(images)), np.ones(self._real(images))
        values = {k: of(each) for k, of in by_sample.items()} | {k: of(real) for k, of in by_real.items()}
        return values | pairs | {"first_divergence": apart}

    def intervals(
        self, images: np.ndarray, *, resamples: int = 200, seed: int = 0, level: float = 0.95
    ) -> dict[str, Interval]:
        """Every value with its bootstrap interval, from drawing the images anew; the reference is taken as given.

        recall and coverage are shares of real images: there these are drawn anew, the samples taken as given.

        Raises:
            ValueError: as calling it; resamples < 1; level outside (0, 1).
        """
        return self._resampled([plain("images", images)], resamples, seed, level)

    def differences(
        self, images: np.ndarray, full: np.ndarray, *, resamples: int = 200, seed: int = 0, level: float = 0.95
    ) -> dict[str, Interval]:
        """Each value minus full precision's: same noise row by row, so both are drawn anew together.

        Raises:
            ValueError: as ``intervals``; images and full of different shapes.
        """
        images, full = plain("images", images), plain("full", full)
        if images.shape != full.shape:
            raise ValueError(f"images {images.shape} and full {full.shape} must be paired row by row")
        return self._resampled([images, full], resamples, seed, level)

    def _resampled(self, sets: Sequence[np.ndarray], resamples: int, seed: int, level: float) -> dict[str, Interval]:
        """Of one set, or the first minus the second."""
        all_statistics = [self._statistics(images) for images in sets]
        found: dict[str, Interval] = {}
        for kind, count in enumerate((len(sets[0]), self._real(sets[0]))):
            drawn = multiplicities(count, resamples, seed + kind)
            for name in all_statistics[0][kind]:
                of = [statistics[kind][name] for statistics in all_statistics]
                value, *other = (np.array([each(w) for w in (np.ones(count), *drawn)]) for each in of)
                for subtracted in other:
                    value = value - subtracted
                found[name] = centred(value[0], value[1:], level)
        return found

    def _real(self, images: np.ndarray) -> int:
        """Real images for precision, recall, density and coverage, which depend on how many there are."""
        return min(len(images), len(self.reference.features))

    def _statistics(self, images: np.ndarray) -> tuple[dict[str, Statistic], dict[str, Statistic]]:
        """The metrics as functions of how often each sample counts, and of how often each real image counts."""
        f, p = self.extractor.features_and_probabilities(images)
        ref, seen = self.reference, np.clip(images, -1, 1)
        near = neighbours(f, ref.features[: self._real(f)])
        unit = np.sqrt(np.square(ref.features).mean())
        kernel = Terms(f / unit, ref.features / unit)
        features = Slices(projected(f), projected(ref.features))
        pixels = Slices(projected(flat(seen)), ref.pixels)
        recognised, again = p.max(axis=1) > RECOGNISED, repeated(flat(seen))
        return {
            "frechet": lambda w: distance_of_moments(moments(f, w), ref.moments),
            "kid": kernel.mmd2,
            "sliced_wasserstein": features.distance,
            "sliced_wasserstein_pixels": pixels.distance,
            "precision": near.precision,
            "density": near.density,
            "score": lambda w: classifier_score(p, w),
            "recognised": lambda w: float(w @ recognised / w.sum()),
            "duplicates": lambda w: float(w @ again / w.sum()),
        }, {"recall": near.recall, "coverage": near.coverage}


def mean_interval(values: Sequence[float] | np.ndarray, level: float = 0.95) -> tuple[float, float, float]:
    """(mean, low, high) of values from independent seeds: Student's t-interval of their mean.

    Raises:
        ValueError: fewer than three values, NaN or Inf; a level outside (0, 1).
    """
    if not 0.0 < level < 1.0:
        raise ValueError(f"level must lie in (0, 1), got {level}")
    x = plain("values", values, whole=True).astype(np.float64, copy=False)
    if x.ndim != 1 or len(x) < 3:
        raise ValueError(f"an interval over seeds needs at least 3 values, got shape {x.shape}")
    if not np.isfinite(x).all():
        raise ValueError("the values of some seeds are not finite")
    mean = float(x.mean())
    half = float(stats.t.ppf(0.5 + level / 2, len(x) - 1) * x.std(ddof=1) / np.sqrt(len(x)))
    return mean, mean - half, mean + half
