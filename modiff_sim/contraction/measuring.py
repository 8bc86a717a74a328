"""c and kappa measured on data, with an interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arguments import affordable, count, number, reals
from ..arguments import seed as whole_seed
from ..quantizers.base import Quantizer

NORMS = ("c", "kappa")


@dataclass(frozen=True)
class Measured:
    """A measured contraction: per-block values, their mean with a bootstrap interval, the largest seen."""

    values: np.ndarray
    mean: float
    low: float
    high: float
    largest: float


def ratios(Q: Quantizer, x: Any, *, norm: str = "c", random: Any = None) -> np.ndarray:
    """||x - Q(x)||²/||x||² ("c") or the max-norm ratio ("kappa") of every block of x; 0 for a block of zeros."""
    if norm not in NORMS:
        raise ValueError(f"unknown norm {norm!r}; known: {', '.join(NORMS)}")
    x = reals("x", x, dtype=None)
    Q.check(x)
    blocks, axes = Q.blocks(np, x)
    wide = blocks.astype(np.float64)
    error = wide - np.reshape(Q(x, random=random), blocks.shape)
    if norm == "c":
        top, bottom = np.sum(error**2, axis=axes), np.sum(wide**2, axis=axes)
    else:
        top, bottom = np.max(np.abs(error), axis=axes), np.max(np.abs(wide), axis=axes)
    return np.divide(top, bottom, out=np.zeros_like(top), where=bottom > 0).ravel()


def summary(values: Any, *, level: float = 0.95, resamples: int = 1000, seed: int = 0) -> Measured:
    """Mean of independent values with its percentile-bootstrap interval. Raises ValueError for fewer than 2 values."""
    values = reals("values", values, finite=True)
    if values.ndim != 1 or values.size < 2:
        raise ValueError(
            f"an interval needs at least 2 blocks (rows, for PerSample), shape (n,), got {values.shape}; use ratios() "
            "for a single one"
        )
    number("level", level, above=0, below=1, what="a probability")
    rng = np.random.default_rng(whole_seed(seed))
    affordable(f"{count('resamples', resamples):,} resamples of {values.size:,} values", 16 * resamples * values.size)
    means = values[rng.integers(0, values.size, (resamples, values.size))].mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Measured(values, float(values.mean()), float(low), float(high), float(values.max()))


def measure(Q: Quantizer, x: Any, *, norm: str = "c", random: Any = None, **options: Any) -> Measured:
    """Contraction measured on data, with a percentile-bootstrap interval of its mean over blocks.

    x: array whose blocks (for ``PerSample``: rows) are independent draws. One block gives no interval: ValueError.
    options: level, resamples and seed of ``summary``.
    """
    return summary(ratios(Q, x, norm=norm, random=random), **options)
