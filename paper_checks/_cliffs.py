"""What the claims on predicted cliffs share: the fewest bits of measured errors, with an interval."""

from __future__ import annotations

import numpy as np

from modiff_sim.transfer.prediction import TOLERANCE, cliff


def cliff_interval(final: dict[int, np.ndarray], *, seed: int = 0, resamples: int = 200) -> tuple[int, int, int]:
    """Return (cliff, low, high), each as ``fewest_bits``, of final errors, with a 95 % bootstrap over images.

    ``final`` maps bits to errors (images,).
    """
    n = len(next(iter(final.values())))
    picks = np.random.default_rng(seed).integers(0, n, (resamples, n))
    medians = {bits: np.median(errors[picks], axis=1) for bits, errors in final.items()}
    found = [fewest_bits({b: float(medians[b][i]) for b in final}) for i in range(resamples)]
    low, high = np.quantile(found, [0.025, 0.975], method="nearest")
    value = fewest_bits({b: float(np.median(errors)) for b, errors in final.items()})
    return value, min(int(low), value), max(int(high), value)


def fewest_bits(errors: dict[int, float]) -> int:
    """Return ``prediction.cliff`` at ``TOLERANCE``; one more than the most bits where even these are too few."""
    return cliff(errors, TOLERANCE) or max(errors) + 1
