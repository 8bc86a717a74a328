"""Points of a curve that no line reaches."""

from __future__ import annotations

import numpy as np


def lone(y: np.ndarray) -> np.ndarray:
    """Return which points of a curve have no neighbour to be joined to by a line.

    Parameters
    ----------
    y : numpy.ndarray, shape (points,)
        The curve, with gaps where it is NaN or infinite.

    Returns
    -------
    numpy.ndarray of bool, shape (points,)
        True where a finite value lies between gaps, or is the only one.

    Examples
    --------
    >>> import numpy as np
    >>> from modiff_sim.plot.lone import lone
    >>> lone(np.array([1.0, np.nan, 2.0, 3.0, np.nan])).tolist()
    [True, False, False, False, False]
    """
    there = np.pad(np.isfinite(y), 1)
    return there[1:-1] & ~there[:-2] & ~there[2:]
