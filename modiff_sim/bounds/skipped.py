"""Bounds for residuals that are skipped below a threshold (``recursion.threshold``).

The closed loop takes the larger of the two errors; the open loop adds them up. Both are one-step recursions from the
two cases of a call. Let r be the residual, ``ref`` the reference and ||e|| the input error. If the residual is
computed, the quantizer leaves k·||r||. If it is skipped, all of r is left, which is less than τ·||ref||. As nothing
that is skipped can lose more than the residual itself, a call loses at most

    L(||r||) = max(k·||r||, min(||r||, τ·||ref||))
"""

from __future__ import annotations

import numpy as np

from ..arguments import number, reals
from ..typing import Array, ArrayLike
from ._common import checked


def _lost(size: Array, k: float, limit: Array) -> Array:
    return np.maximum(k * size, np.minimum(size, limit))


def _limits(d: np.ndarray, tau: float, ref: ArrayLike) -> np.ndarray:
    number("tau", tau, what="a part of the reference's norm")
    sizes = reals("ref", ref)
    if not (np.isfinite(sizes).all() and (sizes >= 0).all()):
        raise ValueError("ref is the norm of the reference: finite and >= 0")
    return np.broadcast_to(tau * sizes, d.shape)


def skipped_closed_loop(
    d: ArrayLike, contraction: float, tau: float, ref: ArrayLike, *, gain: float = 1.0, start: ArrayLike = 0.0
) -> np.ndarray:
    """Bound of the closed loop with a threshold: E_j = L(||d_j|| + E_{j-1}), L as in ``modiff_sim.bounds.skipped``.

    Parameters
    ----------
    d : array_like of float, shape (n, ...)
        Norms of the differences in sampling order, finite and >= 0.
    contraction : float
        k: kappa in the max norm, sqrt(c) in the 2-norm, in the norm of the threshold.
    tau : float
        τ, the part of the reference's norm below which a residual is skipped, >= 0.
    ref : float or array_like
        ||â_{j-1}||: the shape of ``d``, or one number that none of them exceeds.
    gain : float, default 1.0
        ||A|| in the norm of the statement.
    start : float or array_like, default 0.0
        Norm of the error of an inexact start, one number or one per trial; 0 is the exact start.

    Returns
    -------
    numpy.ndarray
        The bound on the norm of the output error after each difference, shape (n, ...). It never exceeds
        max(τ·max||ref||, k·D/(1-k)), D the largest difference.

    Raises
    ------
    TypeError
        If an argument does not hold real numbers.
    ValueError
        If ``d`` is empty, or if a norm or a constant is negative, infinite or NaN.

    Notes
    -----
    Proof: r_j = d_j + e_{j-1}, skipped or not; L grows with ||r||. The steady state by induction: with
    M = max(τR, kD/(1-k)) and E <= M, k(D+M) <= M and min(·, τR) <= M.

    Tight: in one dimension, Q(x) = (1-k)x and differences of one sign, E_j is attained wherever ||d_j|| + E_{j-1} is
    below the threshold, or k times it above.

    References
    ----------
    docs/theory.md, section 15.

    Examples
    --------
    >>> from modiff_sim import bounds
    >>> bounds.skipped_closed_loop([1.0, 1.0, 1.0], 0.25, tau=0.1, ref=15.0)  # one step is skipped, the next is not
    array([1. , 1.5, 1.5])
    """
    d = checked(d, contraction, "contraction", start, gain)
    limits, error, rows = _limits(d, tau, ref), np.asarray(start, np.float64), []
    for size, limit in zip(d, limits, strict=True):
        error = _lost(size + error, contraction, limit)
        rows.append(error)
    return gain * np.stack(rows)


def skipped_open_loop(
    d: ArrayLike, contraction: float, tau: float, ref: ArrayLike, *, gain: float = 1.0, start: ArrayLike = 0.0
) -> np.ndarray:
    """Bound of the open loop with a threshold: E_j = E_{j-1} + L(||d_j||). What is skipped is lost for good.

    Parameters
    ----------
    d : array_like of float, shape (n, ...)
        Norms of the differences in sampling order, finite and >= 0.
    contraction : float
        k: kappa in the max norm, sqrt(c) in the 2-norm, in the norm of the threshold.
    tau : float
        τ, the part of the last input's norm below which a difference is skipped, >= 0.
    ref : float or array_like
        ||a_{j-1}||, the last input: the shape of ``d``, or one number that none of them exceeds.
    gain : float, default 1.0
        ||A|| in the norm of the statement.
    start : float or array_like, default 0.0
        Norm of the error of an inexact start, one number or one per trial; 0 is the exact start.

    Returns
    -------
    numpy.ndarray
        The bound on the norm of the output error after each difference, shape (n, ...).

    Raises
    ------
    TypeError
        If an argument does not hold real numbers.
    ValueError
        If ``d`` is empty, or if a norm or a constant is negative, infinite or NaN.

    Notes
    -----
    The bound grows without end: differences of one sign below τ·||a|| are all skipped, the output never moves, and
    E_j = ||d_0|| + ... + ||d_j||.

    Proof: the residual is d_j itself, and the errors of all calls add up. Tight: Q(x) = (1-k)x in one dimension and
    differences of one sign.

    References
    ----------
    docs/theory.md, section 15.

    Examples
    --------
    >>> from modiff_sim import bounds
    >>> bounds.skipped_open_loop([1.0, 1.0, 1.0], 0.25, tau=0.1, ref=15.0)
    array([1., 2., 3.])
    """
    d = checked(d, contraction, "contraction", start, gain)
    lost = np.cumsum(_lost(d, contraction, _limits(d, tau, ref)), axis=0)
    return np.asarray(gain * (np.asarray(start, np.float64) + lost))
