"""Residuals below a threshold skipped (``recursion.threshold``): the closed loop takes the larger of the two errors,
the open loop adds them up.

Both are one-step recursions from the two cases of a call. With residual r, reference ``ref`` and ||e|| the input error:
computed, the quantizer leaves k·||r||; skipped, all of r is left, which is less than τ·||ref||. As nothing skipped can
lose more than the residual itself, a call loses at most

    L(||r||) = max(k·||r||, min(||r||, τ·||ref||))
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arguments import number, reals
from ._common import checked


def _lost(size: Any, k: float, limit: Any) -> Any:
    return np.maximum(k * size, np.minimum(size, limit))


def _limits(d: np.ndarray, tau: float, ref: Any) -> np.ndarray:
    number("tau", tau, what="a part of the reference's norm")
    sizes = reals("ref", ref)
    if not (np.isfinite(sizes).all() and (sizes >= 0).all()):
        raise ValueError("ref is the norm of the reference: finite and >= 0")
    return np.broadcast_to(tau * sizes, d.shape)


def skipped_closed_loop(
    d: Any, contraction: float, tau: float, ref: Any, *, gain: float = 1.0, start: Any = 0.0
) -> np.ndarray:
    """Closed loop with a threshold: E_j = L(||d_j|| + E_{j-1}), and so never above max(τ·max||ref||, k·D/(1-k)).

    d: norms of the differences, (n, ...); contraction k: kappa in the max norm, sqrt(c) in the 2-norm, the threshold's
    own; ref: ||â_{j-1}||, shape of d, or a number that none of them exceeds. Returns (n, ...).

    Proof: r_j = d_j + e_{j-1}, skipped or not; L grows with ||r||. The steady state by induction: with
    M = max(τR, kD/(1-k)) and E <= M, k(D+M) <= M and min(·, τR) <= M.
    Tight: in one dimension, Q(x) = (1-k)x and differences of one sign, E_j is attained wherever ||d_j|| + E_{j-1} is
    below the threshold, or k times it above.
    """
    d = checked(d, contraction, "contraction", start, gain)
    limits, error, rows = _limits(d, tau, ref), np.asarray(start, np.float64), []
    for size, limit in zip(d, limits, strict=True):
        error = _lost(size + error, contraction, limit)
        rows.append(error)
    return gain * np.stack(rows)


def skipped_open_loop(
    d: Any, contraction: float, tau: float, ref: Any, *, gain: float = 1.0, start: Any = 0.0
) -> np.ndarray:
    """Open loop with a threshold: E_j = E_{j-1} + L(||d_j||). What is skipped is lost for good.

    ref: ||a_{j-1}||, the last input. Otherwise as ``skipped_closed_loop``. Without end: differences of one sign below
    τ·||a|| are all skipped, and E_j = ||d_0|| + ... + ||d_j||, the output never moves.

    Proof: the residual is d_j itself, and the errors of all calls add up. Tight: the same Q and differences.
    """
    d = checked(d, contraction, "contraction", start, gain)
    lost = np.cumsum(_lost(d, contraction, _limits(d, tau, ref)), axis=0)
    return np.asarray(gain * (np.asarray(start, np.float64) + lost))
