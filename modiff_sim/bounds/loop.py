"""The true loop: a layer's input depends on earlier quantization errors, through the network and the sampler.

a_t is the input of a layer in full precision, d_t = a_t - a_{t-1} its differences (sampling order). The quantized run
feeds ã_t = a_t - η_t, reconstructs â_t and makes the *tracking error* e_t = ã_t - â_t. How strongly errors come back
is one number, the loop gain L >= 0, the premise of everything here:

    ||η_t|| <= L·max_{k<t} ||e_k||     for every sequence of tracking errors,

k <= t with ``same_call=True``, where errors of one call move inputs of the same call: all layers of a network as one
stacked vector. The norm is the max norm with kappa, or the 2-norm with q = sqrt(c) in its place.
L is a worst case over signs and directions; what a network does with *typical* errors is usually far less.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..arguments import number
from ._common import checked, times

EPS = float(np.finfo(np.float64).eps)
RECURSIONS = ("direct", "open_loop", "closed_loop")


def _need_gain(L: float) -> float:
    return number("the loop gain L", L)


def _load(kappa: float, L: float, recursion: str) -> float:
    """What must be below 1: κ(1+2L) with compensation, κL for direct quantization, never without compensation."""
    if recursion not in RECURSIONS:
        raise ValueError(f"unknown recursion {recursion!r}; known: {', '.join(RECURSIONS)}")
    number("kappa", kappa)
    _need_gain(L)
    if recursion == "open_loop":
        return math.inf if kappa else 0.0
    return kappa * L if recursion == "direct" else kappa * (1 + 2 * L)


def small_gain(kappa: float, L: float, recursion: str = "closed_loop") -> float:
    """sup ||e|| over sup ||d|| (direct: over sup ||a||) that the worst case allows; inf where the condition fails.

    closed loop: κ/(1-κ(1+2L)) if κ(1+2L) < 1;  direct: κ/(1-κL) if κL < 1;  open loop: inf, its errors add up.
    The inputs then deviate from full precision by at most L times the tracking error.

    Proof (closed loop). r_t = ã_t - â_{t-1} = d_t - (η_t - η_{t-1}) + e_{t-1} and ||e_t|| <= κ||r_t||. With
    E = max_{k<=n} ||e_k||, which is finite for every n, E <= κ(D + 2LE + E), so E <= κD/(1-κ(1+2L)) for every n.
    Direct: e_t = (I-Q)(a_t - η_t), so E <= κ(sup||a|| + LE).
    Sharp: see ``small_gain_closed_loop``; at and above the condition its linear example is unbounded.
    """
    margin = 1 - _load(kappa, L, recursion)
    return kappa / margin if margin > 4 * EPS else math.inf  # κ, 2L, the sum, the product: 4 roundings


def loop_gain_limit(kappa: float, recursion: str = "closed_loop") -> float:
    """The loop gain L below which the worst case is bounded: (1/κ-1)/2 closed loop, 1/κ direct, 0 open loop.

    For AbsMax, κ = 1/(2·qmax), that is qmax - ½ and 2·qmax: in the worst case compensation asks for at most one
    bit more than direct quantization. 0 says that no L is small enough (κ >= 1 with compensation as well).
    """
    _load(kappa, 0.0, recursion)
    if kappa == 0:
        return math.inf
    return {"closed_loop": max(0.0, (1 / kappa - 1) / 2), "direct": 1 / kappa, "open_loop": 0.0}[recursion]


def loop_growth(kappa: float, L: float, recursion: str = "closed_loop") -> float:
    """What the worst-case error is multiplied by per call in the long run; below 1 exactly under the condition.

    closed loop: the positive root of z² = κ((1+L)z + L); direct: κL; open loop: of z² = (1+κL)z + κL, which is 1 for
    L = 0 (linear growth) and above 1 for every L > 0. Proof: the recursions of the three functions below, whose errors
    do not decrease for constant differences, so that M_j = E_j.
    """
    _load(kappa, L, recursion)
    if recursion == "direct":
        return kappa * L
    b, c = (kappa * (1 + L), kappa * L) if recursion == "closed_loop" else (1 + kappa * L, kappa * L)
    return (b + math.sqrt(b * b + 4 * c)) / 2


def bits_for_small_gain(L: float, recursion: str = "closed_loop") -> int:
    """The smallest number of AbsMax bits with κ(1+2L) < 1, which is qmax > L + ½ (direct: κL < 1, 2·qmax > L).

    ValueError for the open loop, for which no number of bits is enough.
    """
    need = {"closed_loop": float(_need_gain(L)) + 0.5, "direct": float(L) / 2}  # what qmax must exceed
    if recursion not in need:
        raise ValueError(f"bits_for_small_gain knows {', '.join(need)}: no number of bits bounds {recursion!r}")
    bits = 2
    while 2 ** (bits - 1) - 1 <= need[recursion]:
        bits += 1
    return bits


def _shifted(E: np.ndarray, start: Any) -> np.ndarray:
    """M_{j-1} = max(start, E_0, ..., E_{j-1}) at every row j: what the inputs of call j may be moved by, over L."""
    first = np.broadcast_to(np.asarray(start, np.float64), E[:1].shape)
    return np.maximum.accumulate(np.concatenate([first, E[:-1]]))


def small_gain_closed_loop(
    d: Any,
    kappa: float,
    L: float,
    *,
    gain: float = 1.0,
    start: Any = 0.0,
    same_call: bool = False,
    total: bool = False,
    finite_horizon: bool = False,
) -> np.ndarray:
    """The tracking error ||e_j|| of the closed loop inside a loop of gain L, at every step; inf if κ(1+2L) >= 1.

        E_j = κ(||d_j|| + L(M_{j-1} + M_{j-2}) + E_{j-1}),  M_j = max(start, E_0..E_j)

    d: norms of the differences of the *full-precision* inputs, shape (n,) or (n, trials); start = ||e|| after call 0.
    ``same_call``: L bounds the effect of errors of the same call too, E_j = κ(||d_j|| + L(M_j + M_{j-1}) + E_{j-1}).
    ``total``: the error against full precision, ||a_j - â_j|| <= ||η_j|| + ||e_j||, instead of ||ã_j - â_j||.
    ``finite_horizon``: return the recursion's values where κ(1+2L) >= 1 as well. They are true for every n, and grow
    without limit. ``gain`` = ||A|| makes output errors of either.

    Proof: ||e_j|| <= κ||r_j||, r_j = d_j - η_j + η_{j-1} + e_{j-1}, ||η_j|| <= L·M_{j-1}, ||η_{j-1}|| <= L·M_{j-2}, and
    the first input is not moved. ``same_call`` puts M_j for M_{j-1}: E_j = κ(||d_j|| + 2L·M_{j-1} + E_{j-1}) where that
    is no new maximum, and the solution of E_j = κ(||d_j|| + L(E_j + M_{j-1}) + E_{j-1}) where it is.

    Tight at every step, for every d and on both sides of the condition, ``total`` too: d_j = (-1)^j |d_j|, the
    quantizer Q(x) = (1+κ)x and η_j = -(-1)^j L·M_{j-1}, so that all four terms of r_j have one sign. Where |d_j| does
    not decrease, the *linear* η_j = -L·e_{j-1} does it (from an exact start): then
    |e_j| = κ(|d_j| + (1+L)|e_{j-1}| + L|e_{j-2}|), and its characteristic polynomial z² - κ(1+L)z - κL is 1 - κ(1+2L)
    at z = 1, so it is bounded exactly under the condition. AbsMax itself attains it as well, at d = 2 and ||d|| = D,
    as long as E_j + L(M_j - M_{j-1}) <= D: two coordinates take turns, as in ``processes.alternating``.
    ``same_call`` is approached as a network gets deep: what is missing shrinks like (κL)^layers.
    """
    d = checked(d, kappa, "kappa", start, gain)
    margin = 1 - _load(kappa, L, "closed_loop")
    if margin <= 4 * EPS and not finite_horizon:
        return np.full(d.shape, math.inf)
    before, last, E = np.zeros_like(d[0]), np.zeros_like(d[0]) + start, []
    top = last  # M_{j-1}; ``before`` is M_{j-2}, 0 while only call 0 was made: its input is not moved
    with np.errstate(over="ignore"):
        for row in d:
            if same_call:
                old = kappa * (row + 2 * times(L, top) + last)
                room = 1 - kappa * L
                new = kappa * (row + times(L, top) + last) / room if room > 0 else np.full_like(row, math.inf)
                last = np.where(old <= top, old, new)
            else:
                last = kappa * (row + times(L, top + before) + last)
            before, top = top, np.maximum(top, last)
            E.append(last)
        error = np.stack(E)
        if total:
            moved = np.maximum.accumulate(np.maximum(error, start)) if same_call else _shifted(error, start)
            error = error + times(L, moved)
        return gain * error


def small_gain_open_loop(d: Any, kappa: float, L: float, *, gain: float = 1.0, total: bool = False) -> np.ndarray:
    """The same without compensation: S_j = S_{j-1} + κ(||d_j|| + L(S_{j-1} + S_{j-2})): exponential for every L > 0.

    The error of ô is the sum of all calls' errors, ã_j - Σ: S = ||Σ e_k||, and it is S that moves the inputs. The
    polynomial z² - (1+κL)z - κL is -2κL at z = 1, so it has a root above 1 for every κ, L > 0: no number of bits keeps
    the worst case bounded. (L = 0 is ``max_norm_open_loop``: linear.)

    Proof: e_j = (I-Q)(ã_j - ã_{j-1}), ã_j - ã_{j-1} = d_j - η_j + η_{j-1}, ||η_j|| <= L·S_{j-1}, as S never decreases.
    Tight at every step (``total`` at every second one, where η_j has the sign of S): d_j = (-1)^j |d_j|,
    η_j = -(-1)^j L·S_{j-1}, and Q(x) = x - κ|x|, which always errs to the same side. With a linear, constant network,
    η_j = -L·S_{j-1}, the sums telescope and κL < 1 suffices for linear growth, at κ||d||/(1-κL) per step.
    """
    d = checked(d, kappa, "kappa", gain=gain)
    _need_gain(L)
    before = last = np.zeros_like(d[0])
    S = []
    with np.errstate(over="ignore"):
        for row in d:
            before, last = last, last + kappa * (row + times(L, last + before))
            S.append(last)
        error = np.stack(S)
        return gain * (error + times(L, _shifted(error, 0.0)) if total else error)


def small_gain_direct(
    a: Any, kappa: float, L: float, *, gain: float = 1.0, total: bool = False, finite_horizon: bool = False
) -> np.ndarray:
    """The same for direct quantization: E_j = κ(||a_j|| + L·M_{j-1}); inf if κL >= 1 (see ``finite_horizon`` above).

    ``a``: norms of the full-precision *inputs*, call 0 included. The condition is at most half as strict in L as the
    closed loop's, but the bound is in ||a||, where that one has ||d||.
    Proof: e_j = (I-Q)(a_j - η_j). Tight at every step, ``total`` too: a_j >= 0, Q(x) = (1+κ)x and η_j = -L·M_{j-1}
    (where a_j does not decrease, the linear η_j = L·e_{j-1}).
    """
    a = checked(a, kappa, "kappa", gain=gain)
    margin = 1 - _load(kappa, L, "direct")
    if margin <= 4 * EPS and not finite_horizon:
        return np.full(a.shape, math.inf)
    top, E = np.zeros_like(a[0]), []
    with np.errstate(over="ignore"):
        for row in a:
            E.append(kappa * (row + times(L, top)))
            top = np.maximum(top, E[-1])
        error = np.stack(E)
        return gain * (error + times(L, _shifted(error, 0.0)) if total else error)
