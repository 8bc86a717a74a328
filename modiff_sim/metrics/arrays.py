"""Checks of the arguments of every metric: floats, finite values, the right shapes, pairs that fit."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .images import finite, pair, plain

__all__ = ["Floats", "feature_set", "feature_sets", "finite", "flat", "pairs"]

Floats = NDArray[np.float64]


def feature_set(name: str, x: ArrayLike, at_least: int = 1) -> Floats:
    """Return x as float64 (n, k).

    Raises ValueError for another shape, fewer than ``at_least`` rows, NaN or Inf, masked arrays and everything that is
    not a float: whole numbers are more often grey levels than features.
    """
    a = plain(name, x, remedy="give float64").astype(np.float64, copy=False)
    if a.ndim != 2 or a.shape[1] < 1:
        raise ValueError(f"{name} must be a feature set of shape (n, k), got {a.shape}")
    if len(a) < at_least:
        raise ValueError(f"{name}: {len(a)} samples, need at least {at_least}")
    finite(name, a)
    return a


def feature_sets(x: ArrayLike, y: ArrayLike, at_least: int = 1) -> tuple[Floats, Floats]:
    """Return both as float64 (n, k) and (m, k). Raises ValueError as ``feature_set`` does, and for different k."""
    a, b = feature_set("x", x, at_least), feature_set("y", y, at_least)
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"x has {a.shape[1]} features and y has {b.shape[1]}")
    return a, b


def pairs(x: ArrayLike, y: ArrayLike, **options: Any) -> tuple[Floats, Floats]:
    """Return two batches of images (n, ...) as float64. They must have one shape and one range.

    Options and errors are those of ``modiff_sim.metrics.images.pair``.
    """
    a, b = pair(x, y, **options)
    return a.astype(np.float64, copy=False), b.astype(np.float64, copy=False)


def flat(x: ArrayLike) -> Floats:
    """Return images (n, ...) as float64 rows (n, values)."""
    a = np.asarray(x, dtype=np.float64)
    return a.reshape(len(a), -1)
