"""Theorem 4.4 as printed, (30) and (31), in both readings of its index."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._common import checked, unroll

INDICES = ("paper", "sampling")


def summed(d2: np.ndarray, ratio: float) -> np.ndarray:
    """Σ_k ratio^k d2_k, k = 0 the oldest: the weights of the paper's index. A zero difference adds 0 at any weight."""
    with np.errstate(over="ignore", invalid="ignore"):
        terms = ratio ** np.arange(len(d2), dtype=float).reshape(-1, *(1,) * (d2.ndim - 1)) * d2
        return np.cumsum(np.where(d2 == 0, 0.0, terms), axis=0)


def check_index(index: str) -> None:
    if index not in INDICES:
        raise ValueError(f"unknown index {index!r}; known: {', '.join(INDICES)}")


def printed_open_loop(d: Any, c: float, *, gain: float = 1.0, index: str = "paper") -> np.ndarray:
    """(30): ||o_t - õ_t||² <= Σ_{k=t}^{T-1} 2^(T-k-1) c ||A||² ||d_k||². **False** in either reading of its index.

    index="paper": T is the first step, so the *oldest* difference (k = T-1) has weight 2^0 and the newest 2^(n-1).
    index="sampling": k counted in sampling order, exponent = age. Below the truth by a factor under 2.
    """
    d = checked(d, c, gain=gain)
    check_index(index)
    with np.errstate(over="ignore"):
        return gain * np.sqrt(c * (unroll if index == "sampling" else summed)(d**2, 2.0))


def printed_closed_loop(d: Any, c: float, *, gain: float = 1.0, index: str = "paper") -> np.ndarray:
    """(31): ||o_t - ô_t||² <= Σ_{k=t}^{T-1} (2c)^(T-k-1) ||A||² ||d_k||². **False** with the paper's own index.

    index="paper": the newest difference gets the smallest weight, (2c)^(n-1).
    index="sampling": exponent = age. True for all n exactly when c(2 - 2^(1-n)) <= 1, so for 2c <= 1, and loose by
    the missing factor 2c.
    """
    d = checked(d, c, gain=gain)
    check_index(index)
    with np.errstate(over="ignore"):
        return gain * np.sqrt((unroll if index == "sampling" else summed)(d**2, 2 * c))
