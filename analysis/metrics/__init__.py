"""Quality of samples in named features: distances, diversity, and pairs from the same noise.

Every number must be shown with the name of its extractor and its n. None of them is the FID, IS or KID of a paper,
whose features are Inception's: only ``analysis.metrics.inception`` computes those.

    extractors   the classifiers trained here            reference    saved statistics of real images
    frechet, kernel, wasserstein   distances             coverage     precision, recall, density, coverage
    pairs        PSNR, SSIM, relative l2, divergence     score, duplicates
    judge        all of them at once, at equal n         jackknife    estimates without the bias of n, paired ratios

``METRICS`` holds what ``judge`` gives and tables show, from the dictionaries of this name in the files. A new metric is
a new file (see docs/extending.md).
"""

from modiff_sim.registry import entries

from ._metric import Judged, Metric, Statistic
from .coverage import precision_recall
from .duplicates import duplicates, nearest_distance
from .extractors import EXTRACTORS, Extractor
from .frechet import frechet_distance
from .jackknife import Jackknife
from .judge import Judge, Score
from .kernel import kernel_difference, kernel_distance
from .pairs import first_divergence, psnr, relative_l2, ssim
from .resampling import Interval, mean_interval
from .score import classifier_score, split_scores
from .wasserstein import sliced_wasserstein

__all__ = [
    "EXTRACTORS",
    "METRICS",
    "Extractor",
    "Interval",
    "Jackknife",
    "Judge",
    "Judged",
    "Metric",
    "Score",
    "Statistic",
    "classifier_score",
    "duplicates",
    "first_divergence",
    "frechet_distance",
    "kernel_difference",
    "kernel_distance",
    "mean_interval",
    "nearest_distance",
    "precision_recall",
    "psnr",
    "relative_l2",
    "sliced_wasserstein",
    "split_scores",
    "ssim",
]  # fmt: skip

#: the order of columns; a metric that is not named here follows by name
ORDER = (
    "frechet", "kid", "sliced_wasserstein", "sliced_wasserstein_pixels", "precision", "recall", "density", "coverage",
    "score", "recognised", "duplicates", "psnr", "ssim", "relative_l2", "first_divergence",
)  # fmt: skip

#: name -> metric
METRICS: dict[str, Metric] = entries(__name__, "METRICS")
