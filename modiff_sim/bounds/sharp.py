"""The sharp bounds: triangle inequality, one recursion per norm."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ._common import checked, unroll


def sharp_open_loop(d: Any, c: float, *, gain: float = 1.0, start: Any = 0.0) -> np.ndarray:
    """||o - õ|| <= ||A|| [q Σ_k ||d_k|| + start], q = sqrt(c): **linear** in the norm, the sum of all steps' errors.

    An inexact start stays as it is: nothing ever looks at it again.
    Tight: collinear differences and the scalar quantizer Q(x) = (1-q)x attain it at every step.
    """
    d = checked(d, c, start=start, gain=gain)
    return np.asarray(gain * (math.sqrt(c) * np.cumsum(d, axis=0) + start))


def sharp_closed_loop(d: Any, c: float, *, gain: float = 1.0, start: Any = 0.0) -> np.ndarray:
    """||o - ô|| <= ||A|| [Σ_k q^(age+1) ||d_k|| + q^n start], for every c >= 0 (bounded in n for every c < 1).

    e_j = ||r - Q(r)|| with r = d_j + e_{j-1}, so e_j <= q(||d_j|| + e_{j-1}). Tight, as the open loop's.
    Steady state for constant ||d||: q/(1-q)·||d||.
    """
    d = checked(d, c, start=start, gain=gain)
    q = math.sqrt(c)
    return gain * unroll(q * d, q, start)


def max_norm_open_loop(d_inf: Any, kappa: float, *, gain: float = 1.0, start: Any = 0.0) -> np.ndarray:
    """||o - õ||_inf <= ||A||_{inf→inf} [kappa Σ_k ||d_k||_inf + start_inf]."""
    d = checked(d_inf, kappa, "kappa", start, gain)
    return np.asarray(gain * (kappa * np.cumsum(d, axis=0) + start))


def max_norm_closed_loop(d_inf: Any, kappa: float, *, gain: float = 1.0, start: Any = 0.0) -> np.ndarray:
    """||o - ô||_inf <= ||A||_{inf→inf} [Σ_k kappa^(age+1) ||d_k||_inf + kappa^n start_inf].

    No dimension and no tail enters; every b >= 2. AbsMax attains it at every step: at d = 2 exactly where the bound E_j
    of ||e_j|| never exceeds ||d_j|| (``processes.alternating``: differences of one size), with d coordinates while it
    does not exceed the sum of the last d-1 differences, and so with n+1 coordinates for every n differences.
    """
    d = checked(d_inf, kappa, "kappa", start, gain)
    return gain * unroll(kappa * d, kappa, start)


def direct(a: Any, contraction: float, *, gain: float = 1.0) -> np.ndarray:
    """Direct quantization, no history: ||o - A(Q(a))|| <= ||A|| sqrt(c)||a|| (pass kappa² as c for max norms)."""
    a = checked(a, contraction, "contraction", gain=gain)
    return gain * math.sqrt(contraction) * a
