"""What is made of energies per sample, for texts and pictures."""

from __future__ import annotations

import numpy as np


def rms(energies: np.ndarray) -> np.ndarray:
    """The RMS gains: the root of the mean over samples, the last axis."""
    return np.asarray(np.sqrt(energies.mean(axis=-1)))
