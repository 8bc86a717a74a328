"""What the claims on Fig. 1b share: how much larger the inputs of layers are than their temporal differences."""

from __future__ import annotations

import numpy as np


def ratios(effort: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return max|a_t| over max|a_t - a_(t+1)| (layers, calls), the calls, and resamples of the layers (1000, layers).

    Quadratic timesteps visit t = 0 more than once: between equal ones there is no temporal difference to speak of, and
    their calls are left out.
    """
    from analysis.experiments.trained import distributions

    seen = distributions(effort)
    moved = np.flatnonzero(np.diff(seen["timesteps"]) != 0) + 1
    a, d = seen["absmax_a"][:, moved], seen["absmax_d"][:, moved]
    found = np.where(d > 0, a / np.where(d > 0, d, 1), np.inf)
    return found, moved, np.random.default_rng(0).integers(0, len(found), (1000, len(found)))
