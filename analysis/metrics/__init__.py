"""Quality of samples in named features: distances, diversity, and pairs from the same noise.

Every number belongs beside the name of its extractor and its n. None of them is FID, IS or KID of a paper, whose
features are Inception's: those come from ``analysis.metrics.inception`` alone.

    extractors   the classifiers trained here            reference    statistics of real images, saved
    frechet, kernel, wasserstein   distances             coverage     precision, recall, density, coverage
    pairs        PSNR, SSIM, relative l2, divergence     score, duplicates
    judge        all of them at once; equal n; intervals over seeds
"""

from .coverage import precision_recall
from .duplicates import duplicates, nearest_distance
from .extractors import EXTRACTORS, Extractor
from .frechet import PairedRatio, frechet_distance, paired_frechet_ratio
from .judge import Judge, Measured, mean_interval
from .kernel import kernel_difference, kernel_distance
from .pairs import first_divergence, psnr, relative_l2, ssim
from .resampling import Interval
from .score import classifier_score, split_scores
from .wasserstein import sliced_wasserstein

__all__ = [
    "EXTRACTORS", "Extractor", "Interval", "Judge", "Measured", "PairedRatio", "classifier_score", "duplicates",
    "first_divergence", "frechet_distance", "kernel_difference", "kernel_distance", "mean_interval", "nearest_distance",
    "paired_frechet_ratio", "precision_recall", "psnr", "relative_l2", "sliced_wasserstein", "split_scores", "ssim",
]  # fmt: skip
