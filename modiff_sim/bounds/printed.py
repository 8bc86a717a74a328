"""Theorem 4.4 as printed, (30) and (31), in both readings of its index."""

from __future__ import annotations

import numpy as np

from ..names import one_of
from ..typing import ArrayLike
from ._common import checked, unroll

INDICES = ("paper", "sampling")


def summed(d2: np.ndarray, ratio: float) -> np.ndarray:
    """The sum Σ_k ratio^k d2_k with the paper's index, k = 0 the oldest. A zero difference adds 0 at any weight."""
    with np.errstate(over="ignore", invalid="ignore"):
        terms = ratio ** np.arange(len(d2), dtype=float).reshape(-1, *(1,) * (d2.ndim - 1)) * d2
        return np.cumsum(np.where(d2 == 0, 0.0, terms), axis=0)


def check_index(index: str) -> None:
    """Raise ValueError unless ``index`` is one of ``INDICES``."""
    one_of("index", index, INDICES)


def printed_open_loop(d: ArrayLike, c: float, *, gain: float = 1.0, index: str = "paper") -> np.ndarray:
    """The open loop's bound (30) as printed. It is **false** in either reading of its index.

        ||o_t - õ_t||² <= Σ_{k=t}^{T-1} 2^(T-k-1) c ||A||² ||d_k||²

    Parameters
    ----------
    d : array_like of float, shape (n,) or (n, trials)
        Norms of the differences in sampling order, finite and >= 0.
    c : float
        Contraction of the quantizer in the squared 2-norm, >= 0.
    gain : float, default 1.0
        ||A||, the spectral norm of the operator.
    index : {"paper", "sampling"}, default "paper"
        "paper" reads T as the first step, so that the *oldest* difference (k = T-1) has the weight 2^0 and the newest
        2^(n-1). "sampling" counts k in sampling order, so that the exponent is the age; this reading lies below the
        true worst case by a factor under 2.

    Returns
    -------
    numpy.ndarray
        The bound on the norm of the output error after each difference, shape of ``d``.

    Raises
    ------
    TypeError
        If an argument does not hold real numbers.
    ValueError
        If ``d`` is empty, or if a norm or a constant is negative, infinite or NaN.

    References
    ----------
    Theorem 4.4, (30); docs/theory.md, section 2.

    Examples
    --------
    >>> from modiff_sim import bounds
    >>> bounds.printed_open_loop([1.0, 1.0], c=0.25).round(4)
    array([0.5  , 0.866])
    >>> bounds.sharp_open_loop([1.0, 1.0], c=0.25)  # the true worst case
    array([0.5, 1. ])
    """
    d = checked(d, c, gain=gain)
    check_index(index)
    with np.errstate(over="ignore"):
        return gain * np.sqrt(c * (unroll if index == "sampling" else summed)(d**2, 2.0))


def printed_closed_loop(d: ArrayLike, c: float, *, gain: float = 1.0, index: str = "paper") -> np.ndarray:
    """The closed loop's bound (31) as printed. It is **false** with the paper's own index.

        ||o_t - ô_t||² <= Σ_{k=t}^{T-1} (2c)^(T-k-1) ||A||² ||d_k||²

    Parameters
    ----------
    d : array_like of float, shape (n,) or (n, trials)
        Norms of the differences in sampling order, finite and >= 0.
    c : float
        Contraction of the quantizer in the squared 2-norm, >= 0.
    gain : float, default 1.0
        ||A||, the spectral norm of the operator.
    index : {"paper", "sampling"}, default "paper"
        With "paper" the newest difference gets the smallest weight, (2c)^(n-1). With "sampling" the exponent is the
        age: the bound is then true for all n exactly when c(2 - 2^(1-n)) <= 1, so for 2c <= 1, and it is loose by the
        missing factor 2c.

    Returns
    -------
    numpy.ndarray
        The bound on the norm of the output error after each difference, shape of ``d``.

    Raises
    ------
    TypeError
        If an argument does not hold real numbers.
    ValueError
        If ``d`` is empty, or if a norm or a constant is negative, infinite or NaN.

    References
    ----------
    Theorem 4.4, (31); docs/theory.md, section 2.

    Examples
    --------
    >>> from modiff_sim import bounds
    >>> bounds.printed_closed_loop([0.0, 1.0], c=0.04).round(4)
    array([0.    , 0.2828])
    >>> bounds.sharp_closed_loop([0.0, 1.0], c=0.04)  # larger: the printed bound is violated
    array([0. , 0.2])
    >>> bounds.printed_closed_loop([0.0, 1.0], c=0.04, index="sampling")
    array([0., 1.])
    """
    d = checked(d, c, gain=gain)
    check_index(index)
    with np.errstate(over="ignore"):
        return gain * np.sqrt((unroll if index == "sampling" else summed)(d**2, 2 * c))
