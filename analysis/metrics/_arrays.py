"""What every metric asks of its arguments: finite values, the right shapes, pairs that fit."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def finite(name: str, x: NDArray[Any]) -> None:
    """Raises ValueError where x holds NaN or Inf, saying how many."""
    if not np.isfinite(x).all():
        raise ValueError(f"{name} contain NaN or Inf ({int((~np.isfinite(x)).sum())} of {x.size} values)")


def feature_set(name: str, x: ArrayLike, at_least: int = 1) -> Floats:
    """x as float64 (n, k). Raises ValueError for another shape, fewer than ``at_least`` rows, NaN or Inf."""
    a = np.asarray(x, dtype=np.float64)
    if a.ndim != 2 or a.shape[1] < 1:
        raise ValueError(f"{name} must be a feature set of shape (n, k), got {a.shape}")
    if len(a) < at_least:
        raise ValueError(f"{name}: {len(a)} samples, need at least {at_least}")
    finite(name, a)
    return a


def feature_sets(x: ArrayLike, y: ArrayLike, at_least: int = 1) -> tuple[Floats, Floats]:
    """Both as float64 (n, k) and (m, k). Raises ValueError as ``feature_set`` and for different k."""
    a, b = feature_set("x", x, at_least), feature_set("y", y, at_least)
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"x has {a.shape[1]} features and y has {b.shape[1]}")
    return a, b


def pairs(x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
    """Two batches (n, ...) of one shape, float64. Raises ValueError for other shapes, no values, NaN or Inf."""
    a, b = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if a.shape != b.shape:
        raise ValueError(f"images of different shapes: {a.shape} and {b.shape}")
    if a.ndim < 2 or a.size == 0:
        raise ValueError(f"expected a non-empty batch (n, ...), got shape {a.shape}")
    finite("x", a)
    finite("y", b)
    return a, b


def flat(x: ArrayLike) -> Floats:
    """Images (n, ...) as float64 rows (n, values)."""
    a = np.asarray(x, dtype=np.float64)
    return a.reshape(len(a), -1)
