"""The errors inside a loop of gain L, at every step: ``bounds.loop`` says what L is and when they stay bounded."""

from __future__ import annotations

import math

import numpy as np

from ..typing import ArrayLike
from ._common import checked, times
from .loop import EPS, load, need_gain


def _shifted(E: np.ndarray, start: ArrayLike) -> np.ndarray:
    """M_{j-1} = max(start, E_0, ..., E_{j-1}) at every row j; L times it bounds how far the inputs of call j are
    moved.
    """
    first = np.broadcast_to(np.asarray(start, np.float64), E[:1].shape)
    return np.maximum.accumulate(np.concatenate([first, E[:-1]]))


def small_gain_closed_loop(
    d: ArrayLike,
    kappa: float,
    L: float,
    *,
    gain: float = 1.0,
    start: ArrayLike = 0.0,
    same_call: bool = False,
    total: bool = False,
    finite_horizon: bool = False,
) -> np.ndarray:
    """The tracking error ||e_j|| of the closed loop inside a loop of gain L, at every step; inf if κ(1+2L) >= 1.

        E_j = κ(||d_j|| + L(M_{j-1} + M_{j-2}) + E_{j-1}),  M_j = max(start, E_0..E_j)

    Parameters
    ----------
    d : array_like of float, shape (n,) or (n, trials)
        Norms of the differences of the *full-precision* inputs in sampling order, finite and >= 0.
    kappa : float
        Contraction of the quantizer in the max norm, >= 0.
    L : float
        The loop gain, >= 0.
    gain : float, default 1.0
        ||A|| in the norm of the statement.
    start : float or array_like, default 0.0
        ||e|| after call 0.
    same_call : bool, default False
        Whether L also bounds the effect of errors of the same call: E_j = κ(||d_j|| + L(M_j + M_{j-1}) + E_{j-1}).
    total : bool, default False
        Whether to return the error against full precision, ||a_j - â_j|| <= ||η_j|| + ||e_j||, instead of ||ã_j -
        â_j||.
    finite_horizon : bool, default False
        Whether to return the recursion's values where κ(1+2L) >= 1 as well. They are true for every n, and grow without
        limit.

    Returns
    -------
    numpy.ndarray
        The bound after each difference, shape of ``d``; times ``gain``, so that it is on an output error.

    Raises
    ------
    TypeError
        If an argument does not hold real numbers.
    ValueError
        If ``d`` is empty, or if a norm or a constant is negative, infinite or NaN.

    Notes
    -----
    Proof: ||e_j|| <= κ||r_j||, r_j = d_j - η_j + η_{j-1} + e_{j-1}, ||η_j|| <= L·M_{j-1}, ||η_{j-1}|| <= L·M_{j-2}, and
    the first input is not moved. ``same_call`` puts M_j for M_{j-1}: E_j = κ(||d_j|| + 2L·M_{j-1} + E_{j-1}) where that
    is no new maximum, and the solution of E_j = κ(||d_j|| + L(E_j + M_{j-1}) + E_{j-1}) where it is.

    Tight at every step, for every d and on both sides of the condition, ``total`` too: d_j = (-1)^j |d_j|, the
    quantizer Q(x) = (1+κ)x and η_j = -(-1)^j L·M_{j-1}, so that all four terms of r_j have one sign. Where |d_j| does
    not decrease, the *linear* η_j = -L·e_{j-1} does it (from an exact start): then |e_j| = κ(|d_j| + (1+L)|e_{j-1}| +
    L|e_{j-2}|), and its characteristic polynomial z² - κ(1+L)z - κL is 1 - κ(1+2L) at z = 1, so it is bounded exactly
    under the condition. AbsMax itself attains it as well, at d = 2 and ||d|| = D, as long as E_j + L(M_j - M_{j-1}) <=
    D: two coordinates take turns, as in ``processes.alternating``. ``same_call`` is approached as a network gets deep:
    what is missing shrinks like (κL)^layers.

    References
    ----------
    docs/theory.md, section 9.

    Examples
    --------
    >>> from modiff_sim import bounds
    >>> bounds.small_gain_closed_loop([1.0, 1.0, 1.0], 0.25, L=1.0)
    array([0.25 , 0.375, 0.5  ])
    """
    d = checked(d, kappa, "kappa", start, gain)
    margin = 1 - load(kappa, L, "closed_loop")
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


def small_gain_open_loop(d: ArrayLike, kappa: float, L: float, *, gain: float = 1.0, total: bool = False) -> np.ndarray:
    """The summed error of the open loop inside a loop of gain L, at every step: exponential for every L > 0.

        S_j = S_{j-1} + κ(||d_j|| + L(S_{j-1} + S_{j-2}))

    Parameters
    ----------
    d : array_like of float, shape (n,) or (n, trials)
        Norms of the differences of the *full-precision* inputs in sampling order, finite and >= 0.
    kappa : float
        Contraction of the quantizer in the max norm, >= 0.
    L : float
        The loop gain, >= 0; L = 0 is ``max_norm_open_loop``, which is linear.
    gain : float, default 1.0
        ||A|| in the norm of the statement.
    total : bool, default False
        Whether to return the error against full precision.

    Returns
    -------
    numpy.ndarray
        The bound after each difference, shape of ``d``; times ``gain``, so that it is on an output error.

    Raises
    ------
    TypeError
        If an argument does not hold real numbers.
    ValueError
        If ``d`` is empty, or if a norm or a constant is negative, infinite or NaN.

    Notes
    -----
    The error of ô is the sum of all calls' errors, ã_j - Σ: S = ||Σ e_k||, and it is S that moves the inputs. The
    polynomial z² - (1+κL)z - κL is -2κL at z = 1, so it has a root above 1 for every κ, L > 0: no number of bits keeps
    the worst case bounded.

    Proof: e_j = (I-Q)(ã_j - ã_{j-1}), ã_j - ã_{j-1} = d_j - η_j + η_{j-1}, ||η_j|| <= L·S_{j-1}, as S never decreases.

    Tight at every step (``total`` at every second one, where η_j has the sign of S): d_j = (-1)^j |d_j|,
    η_j = -(-1)^j L·S_{j-1}, and Q(x) = x - κ|x|, which always errs to the same side. With a linear, constant network,
    η_j = -L·S_{j-1}, the sums telescope and κL < 1 suffices for linear growth, at κ||d||/(1-κL) per step.

    References
    ----------
    docs/theory.md, section 9.

    Examples
    --------
    >>> from modiff_sim import bounds
    >>> bounds.small_gain_open_loop([1.0, 1.0, 1.0], 0.25, L=1.0)
    array([0.25    , 0.5625  , 1.015625])
    """
    d = checked(d, kappa, "kappa", gain=gain)
    need_gain(L)
    before = last = np.zeros_like(d[0])
    S = []
    with np.errstate(over="ignore"):
        for row in d:
            before, last = last, last + kappa * (row + times(L, last + before))
            S.append(last)
        error = np.stack(S)
        return gain * (error + times(L, _shifted(error, 0.0)) if total else error)


def small_gain_direct(
    a: ArrayLike, kappa: float, L: float, *, gain: float = 1.0, total: bool = False, finite_horizon: bool = False
) -> np.ndarray:
    """The error of direct quantization inside a loop of gain L, at every call: E_j = κ(||a_j|| + L·M_{j-1}).

    Parameters
    ----------
    a : array_like of float, shape (n,) or (n, trials)
        Norms of the full-precision *inputs*, call 0 included.
    kappa : float
        Contraction of the quantizer in the max norm, >= 0.
    L : float
        The loop gain, >= 0.
    gain : float, default 1.0
        ||A|| in the norm of the statement.
    total : bool, default False
        Whether to return the error against full precision.
    finite_horizon : bool, default False
        Whether to return the recursion's values where κL >= 1 as well.

    Returns
    -------
    numpy.ndarray
        The bound at each call, shape of ``a``, times ``gain``; inf if κL >= 1.

    Raises
    ------
    TypeError
        If an argument does not hold real numbers.
    ValueError
        If ``d`` is empty, or if a norm or a constant is negative, infinite or NaN.

    Notes
    -----
    The condition is at most half as strict in L as the closed loop's, but the bound is in ||a||, where that one has
    ||d||. Proof: e_j = (I-Q)(a_j - η_j). Tight at every step, ``total`` too: a_j >= 0, Q(x) = (1+κ)x and η_j =
    -L·M_{j-1} (where a_j does not decrease, the linear η_j = L·e_{j-1}).

    References
    ----------
    docs/theory.md, section 9.

    Examples
    --------
    >>> from modiff_sim import bounds
    >>> bounds.small_gain_direct([8.0, 8.0, 8.0], 0.25, L=1.0)
    array([2.   , 2.5  , 2.625])
    """
    a = checked(a, kappa, "kappa", gain=gain)
    margin = 1 - load(kappa, L, "direct")
    if margin <= 4 * EPS and not finite_horizon:
        return np.full(a.shape, math.inf)
    top, E = np.zeros_like(a[0]), []
    with np.errstate(over="ignore"):
        for row in a:
            E.append(kappa * (row + times(L, top)))
            top = np.maximum(top, E[-1])
        error = np.stack(E)
        return gain * (error + times(L, _shifted(error, 0.0)) if total else error)
