"""What the claims on Fig. 1b share: how much larger the inputs of layers are than their temporal differences."""

from __future__ import annotations

import numpy as np


def ratios(effort: str) -> tuple[np.ndarray, np.ndarray]:
    """Return max|a_t| over max|a_t - a_(t+1)| of every image, (layers, calls, images), and the calls.

    Quadratic timesteps visit t = 0 more than once: between equal ones there is no temporal difference to speak of, and
    their calls are left out.
    """
    from analysis.experiments.residuals import measure

    seen = measure(effort)
    moved = np.flatnonzero(np.diff(seen["timesteps"]) != 0)  # difference i is that of call i + 1
    a, d = seen["absmax_a"][:, moved + 1], seen["absmax_d"][:, moved]
    return np.where(d > 0, a / np.where(d > 0, d, 1), np.inf), moved + 1
