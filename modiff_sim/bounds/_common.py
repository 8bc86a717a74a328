"""What the bounds share: the door, and the one-step recursion unrolled."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def checked(d: Any, contraction: float, name: str = "c", start: Any = 0.0) -> np.ndarray:
    d = np.asarray(d, np.float64)
    if d.ndim == 0 or d.size == 0:
        raise ValueError(f"d must hold the norms of at least one difference, got shape {d.shape}")
    if not (np.isfinite(d).all() and (d >= 0).all()):
        raise ValueError("d are norms of differences: finite and >= 0")
    if not 0 <= contraction < math.inf:
        raise ValueError(f"{name} is a squared-norm or norm ratio and must be finite and >= 0, got {contraction}")
    if not np.all(np.asarray(start) >= 0):
        raise ValueError("start is the norm of an error and must be >= 0")
    return d


def times(factor: float, x: Any) -> Any:
    """factor·x, and 0 for the factor 0 even where x has left the floats: what does not enter a bound adds nothing."""
    return factor * x if factor else np.zeros_like(x)


def unroll(inputs: np.ndarray, keep: float, start: Any = 0.0) -> np.ndarray:
    """x_j = keep·x_{j-1} + inputs_j with x_{-1} = start: the closed form Σ_k keep^age inputs_k + keep^(j+1) start."""
    rows, x = [], start
    with np.errstate(over="ignore"):  # beyond the largest float a bound is infinite, which is what it is worth
        for row in inputs:
            x = keep * x + row
            rows.append(x)
    return np.stack(rows)
