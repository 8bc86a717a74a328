"""Metrics of images and of sets of features that need no trained network.

    pairs        PSNR, SSIM, relative l2, divergence: against images from the same noise
    frechet, kernel, wasserstein   distances between sets of features or pixels
    coverage     precision, recall, density, coverage
    score, near_duplicates   of class probabilities; of near-equal images
    jackknife, resampling          estimates without the bias of n, and intervals
    images       the check that images are floats in the range they should have

``METRICS`` holds what a judge gives and tables show, from the dictionaries of this name in the files. A new metric is a
new file (see docs/extending.md).
"""

from ..registry import entries
from .coverage import precision_recall
from .frechet import frechet_distance
from .jackknife import Jackknife
from .kernel import kernel_difference, kernel_distance
from .metric import Judged, Metric, Statistic
from .near_duplicates import duplicates, nearest_distance
from .pairs import first_divergence, psnr, relative_l2, ssim
from .resampling import Interval, mean_interval
from .score import classifier_score, split_scores
from .wasserstein import sliced_wasserstein

__all__ = [
    "METRICS", "Interval", "Jackknife", "Judged", "Metric", "Statistic", "classifier_score", "duplicates",
    "first_divergence", "frechet_distance", "kernel_difference", "kernel_distance", "mean_interval", "nearest_distance",
    "precision_recall", "psnr", "relative_l2", "sliced_wasserstein", "split_scores", "ssim",
]  # fmt: skip

#: the order of columns; a metric that is not named here follows by name
ORDER = (
    "frechet", "kid", "sliced_wasserstein", "sliced_wasserstein_pixels", "precision", "recall", "density", "coverage",
    "score", "recognised", "duplicates", "psnr", "ssim", "relative_l2", "first_divergence",
)  # fmt: skip

#: name -> metric
METRICS: dict[str, Metric] = entries(__name__, "METRICS")
