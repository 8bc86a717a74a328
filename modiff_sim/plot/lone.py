"""Points without neighbours: a line has nothing to draw between them, so that they need a marker."""

from __future__ import annotations

from typing import Any

import numpy as np

from .style import Look


def lone(y: np.ndarray) -> np.ndarray:
    """Return which finite points have no finite neighbour.

    Parameters
    ----------
    y : array_like of shape (n,)
        The points of a line; gaps are not finite.

    Returns
    -------
    numpy.ndarray
        bool, (n,).

    Examples
    --------
    >>> from modiff_sim.plot.lone import lone
    >>> lone([1.0, float("nan"), 2.0, 3.0]).tolist()
    [True, False, False, False]
    """
    finite = np.pad(np.isfinite(np.asarray(y, np.float64)), 1)
    return finite[1:-1] & ~finite[:-2] & ~finite[2:]


def marks(y: np.ndarray, look: Look) -> dict[str, Any]:
    """Return options of ``plot`` by which a line through y has the look's marker at its lone points alone."""
    alone = lone(y)
    return {"marker": look.marker or "o", "ms": 6, "mfc": "none", "markevery": alone} if alone.any() else {}
