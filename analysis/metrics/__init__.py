"""Quality of samples in the features of classifiers trained here, against saved statistics of real images.

The metrics themselves need no network and are in ``modiff_sim.metrics``. Every number must be shown with the name of
its extractor and its n. None of them is the FID, IS or KID of a paper, whose features are Inception's: only
``analysis.metrics.inception`` computes those.

    extractors   the classifiers trained here      reference   saved statistics of real images
    judge        all metrics at once, at equal n   inception   FID and KID themselves
    outside      a classifier of other people
"""

from .extractors import EXTRACTORS, Extractor, of_model
from .judge import Judge, Score

__all__ = ["EXTRACTORS", "Extractor", "Judge", "Score", "of_model"]
