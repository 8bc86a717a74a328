"""All metrics of a set of images in one call. Only values of equal n and one extractor compare, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from modiff_sim.metrics.frechet import distance_of_moments, moments
from modiff_sim.metrics.images import checked, plain
from modiff_sim.metrics.jackknife import Jackknife, without_each
from modiff_sim.metrics.metric import Judged, Metric, Statistic
from modiff_sim.metrics.resampling import Interval, centred, multiplicities
from modiff_sim.nn import zoo

from . import reference as references


@dataclass(frozen=True)
class Score:
    """A value of a metric that depends on n, together with what decides which values it can be compared with."""

    metric: str
    value: float
    n: int
    features: str

    def over(self, other: Score) -> float:
        """Return the ratio of two values. Raises ValueError unless metric, n and features are the same."""
        for what in ("metric", "n", "features"):
            mine, theirs = getattr(self, what), getattr(other, what)
            if mine != theirs:
                raise ValueError(f"{what} differs, {mine} and {theirs}: such values cannot be compared")
        return self.value / other.value


def _over(*kinds: str) -> dict[str, Metric]:
    """The registered metrics of these kinds."""
    from modiff_sim.metrics import METRICS

    return {name: metric for name, metric in METRICS.items() if metric.over in kinds}


class Judge:
    """Measures images of a model of the zoo against those it was trained on: ``Judge("digits")(images, full)``.

    ``reference`` are the real images in the features of another judge; by default they are in those of the classifier
    of the data set.
    """

    def __init__(self, model: str, reference: references.Reference | None = None) -> None:
        self.reference = reference or references.load(zoo.data_set(model))
        self.extractor = self.reference.extractor

    def frechet(self, images: ArrayLike) -> Score:
        """Return the Fréchet distance to all images of the reference."""
        f = self.extractor.features(images)
        value = distance_of_moments(moments(f), self.reference.moments)
        return Score("frechet", value, len(f), self.extractor.name)

    def __call__(
        self,
        images: np.ndarray,
        full: np.ndarray | None = None,
        trajectories: tuple[ArrayLike, ArrayLike] | None = None,
    ) -> dict[str, Any]:
        """Return the value of each of the ``METRICS``; those against ``full``, the same noise unquantized, may be None.

        A distance is to the statistics of real images. A share of real images is of as many as there are samples, or of
        all that are kept. Values of pairs and trajectories are medians over images.

        Parameters
        ----------
        images, full
            Floats (n, C, H, W) in [-1, 1].
        trajectories
            (calls, n, C, H, W) of images and of full, for first_divergence.

        Raises
        ------
        ValueError
            The images have another shape than the model's or than full, hold NaN or Inf, or are of another kind or
            range, such as grey levels or images in [0, 1]; or there are not more images than features.
        """
        images = plain("images", images)
        full = None if full is None else checked("full", full, judged=True)
        by_sample, by_real = self._statistics(images)
        pairs = {
            name: None if full is None else float(np.median(metric.of(images, full)))
            for name, metric in _over("pairs").items()
        }
        apart = {
            name: None if trajectories is None else float(np.median(metric.of(*trajectories)))
            for name, metric in _over("trajectories").items()
        }
        each, real = np.ones(len(images)), np.ones(self._real(images))
        values = {k: of(each) for k, of in by_sample.items()} | {k: of(real) for k, of in by_real.items()}
        return values | pairs | apart

    def jackknife(
        self, images: np.ndarray, full: np.ndarray | None = None, *, groups: int = 16
    ) -> dict[str, Jackknife]:
        """Return every value with the values that are left without one group of images; see ``metrics.jackknife``.

        recall and coverage are shares of real images: for them groups of these are left out. Against ``full`` the same
        group is left out of both; without it those values are missing.

        Raises
        ------
        ValueError
            As for calling the judge; or there are not 2 <= groups <= n.
        """
        images = plain("images", images)
        full = None if full is None else checked("full", full, judged=True)
        found: dict[str, Jackknife] = {}
        for count, statistics in zip((len(images), self._real(images)), self._statistics(images), strict=True):
            weights = without_each(count, groups)
            for name, of in statistics.items():
                found[name] = Jackknife(of(np.ones(count)), np.array([of(w) for w in weights]))
        if full is not None:
            weights = without_each(len(images), groups)
            for name, metric in _over("pairs").items():
                each = metric.of(images, full)
                found[name] = Jackknife(float(np.median(each)), np.array([np.median(each[w > 0]) for w in weights]))
        return found

    def intervals(
        self, images: np.ndarray, *, resamples: int = 200, seed: int = 0, level: float = 0.95
    ) -> dict[str, Interval]:
        """Return every value with its bootstrap interval from resampled images; the reference is taken as given.

        recall and coverage are shares of real images: for them these are resampled, and the samples are taken as given.

        Raises
        ------
        ValueError
            As for calling the judge; or resamples < 1, or level lies outside (0, 1).
        """
        return self._resampled([plain("images", images)], resamples, seed, level)

    def differences(
        self, images: np.ndarray, full: np.ndarray, *, resamples: int = 200, seed: int = 0, level: float = 0.95
    ) -> dict[str, Interval]:
        """Return each value minus that of full precision. Noise is the same row by row: both are resampled together.

        Raises
        ------
        ValueError
            As for ``intervals``; or images and full have different shapes.
        """
        images, full = plain("images", images), plain("full", full)
        if images.shape != full.shape:
            raise ValueError(f"images {images.shape} and full {full.shape} must be paired row by row")
        return self._resampled([images, full], resamples, seed, level)

    def _resampled(self, sets: Sequence[np.ndarray], resamples: int, seed: int, level: float) -> dict[str, Interval]:
        """Return the intervals of one set, or those of the first minus the second."""
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
        """Return the number of real images to compare with, for metrics that depend on it, such as recall."""
        return min(len(images), len(self.reference.features))

    def _statistics(self, images: np.ndarray) -> tuple[dict[str, Statistic], dict[str, Statistic]]:
        """Return the metrics as functions of how often each sample counts, and of how often each real image counts."""
        judged = Judged(images, self.extractor, self.reference)
        return (
            {name: metric.of(judged) for name, metric in _over("samples").items()},
            {name: metric.of(judged) for name, metric in _over("real").items()},
        )
