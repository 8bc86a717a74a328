"""Stochastic rounding: bounds on the root-mean-square error, and bands that hold with high probability.

Premises: E Q(x) = x (``Q.laws.unbiased``), random bits that are independent between calls and entries, and
**exogenous** differences: d_k may not depend on earlier rounding errors. In a sampler whose next input depends on its
own output, d_k and e_{k-1} correlate; then only the closed loop's band and the sure bounds hold.

    omega   E||x - Q(x)||² <= omega||x||²  (``Stochastic.c``; it grows with the dimension like √d/(2·qmax))
    kappa   ||x - Q(x)||_inf <= scale <= kappa||x||_inf surely, kappa = 1/qmax  (``Stochastic.kappa``)

omega < 1 is not a premise: the bounds hold, and are attained, for every omega >= 0. But the closed loop forgets only
for omega < 1: its steady state is then √(omega/(1-omega))·max||d||. At omega = 1 the bound grows like √n, above it like
omega^(n/2), and the unbiased compressor Q(x) = (1 ± √omega)x attains this. Stochastic AbsMax need not, because its
residuals are seldom its worst case: an error on a grid of step s has variance at most s²/4, so E||e_j||² <= d/4·E_j²
with the sure max-norm bound E_j, which is bounded for kappa < 1 (b >= 3), whatever omega is.
"""

from __future__ import annotations

import math

import numpy as np

from ..arguments import count, number
from ..typing import ArrayLike
from ._common import checked
from .sharp import max_norm_closed_loop

BANDS = (2, math.inf)


def stochastic_open_loop(d: ArrayLike, omega: float, *, gain: float = 1.0, start: ArrayLike = 0.0) -> np.ndarray:
    """Root-mean-square error of the open loop with unbiased rounding: a random walk, where the sure bound is linear.

        √E||o-õ||² <= ||A|| √(start² + omega Σ_k ||d_k||²)

    Parameters
    ----------
    d : array_like of float, shape (n,) or (n, trials)
        Norms of the differences in sampling order, finite and >= 0.
    omega : float
        E||x - Q(x)||² <= omega||x||², >= 0 (``Stochastic.c``).
    gain : float, default 1.0
        ||A||, the spectral norm of the operator.
    start : float or array_like, default 0.0
        Norm of the error of an inexact start, one number or one per trial; 0 is the exact start.

    Returns
    -------
    numpy.ndarray
        The bound on √E||o-õ||² after each difference, shape of ``d``.

    Raises
    ------
    TypeError
        If an argument does not hold real numbers.
    ValueError
        If ``d`` is empty, or if a norm or a constant is negative, infinite or NaN.

    Notes
    -----
    Proof: the error is A of start + Σ ε_k, ε_k = d_k - Q(d_k), E[ε_k | past] = 0. The ε_k are therefore orthogonal in
    mean square (martingale differences), and E||ε_k||² <= omega||d_k||².

    Tight: Q(x) = (1 + √omega ξ)x, ξ = ±1 with equal chances, gives equality for every sequence of differences.

    References
    ----------
    docs/theory.md, section 4.

    Examples
    --------
    >>> from modiff_sim import bounds
    >>> bounds.stochastic_open_loop([1.0, 1.0, 1.0, 1.0], omega=0.25).round(4)
    array([0.5   , 0.7071, 0.866 , 1.    ])
    """
    d = checked(d, omega, "omega", start, gain)
    E, rows = np.asarray(start, np.float64), []
    with np.errstate(over="ignore"):
        for row in d:
            E = np.hypot(E, math.sqrt(omega) * row)
            rows.append(E)
        return gain * np.stack(rows)


def stochastic_closed_loop(
    d: ArrayLike, omega: float, *, gain: float = 1.0, start: ArrayLike = 0.0, unbiased_start: bool = False
) -> np.ndarray:
    """Root-mean-square error of the closed loop with unbiased rounding: E_j² = omega(||d_j||² + E_{j-1}²).

        √E||o-ô||² <= ||A|| √(Σ_k omega^(age+1) ||d_k||²)

    Parameters
    ----------
    d : array_like of float, shape (n,) or (n, trials)
        Norms of the differences in sampling order, finite and >= 0.
    omega : float
        E||x - Q(x)||² <= omega||x||², >= 0 (``Stochastic.c``).
    gain : float, default 1.0
        ||A||, the spectral norm of the operator.
    start : float or array_like, default 0.0
        Norm of the first error, which may be any vector: <d_0, e> does not vanish for it, so that
        E_0² = omega(||d_0|| + start)². One unbiased call later its direction is forgotten.
    unbiased_start : bool, default False
        Whether the first error has mean 0 and root mean square ``start``, as after m unbiased warm-up feeds
        (start = omega^(m/2)||a_T||). Then E_0² = omega(||d_0||² + start²).

    Returns
    -------
    numpy.ndarray
        The bound on √E||o-ô||² after each difference, shape of ``d``.

    Raises
    ------
    TypeError
        If an argument does not hold real numbers.
    ValueError
        If ``d`` is empty, or if a norm or a constant is negative, infinite or NaN.

    Notes
    -----
    Proof: e_j = r_j - Q(r_j), r_j = d_j + e_{j-1}, and E[||e_j||² | past] <= omega||r_j||². Q is unbiased, so
    E e_{j-1} = 0, and with d_j exogenous the cross term of E||r_j||² = ||d_j||² + 2<d_j, E e_{j-1}> + E||e_{j-1}||²
    vanishes: squares add up where norms do in the sharp bound.

    Tight: Q(x) = (1 + √omega ξ)x, ξ = ±1, gives equality at every call for every sequence of differences and every
    omega, also for an inexact start (collinear with d_0).

    References
    ----------
    docs/theory.md, section 4.

    Examples
    --------
    >>> from modiff_sim import bounds
    >>> bounds.stochastic_closed_loop([1.0, 1.0, 1.0], omega=0.25).round(4)
    array([0.5   , 0.559 , 0.5728])
    """
    d = checked(d, omega, "omega", start, gain)
    E, rows = np.asarray(start, np.float64), []
    with np.errstate(over="ignore"):
        for call, row in enumerate(d):
            E = math.sqrt(omega) * (row + E if call == 0 and not unbiased_start else np.hypot(row, E))
            rows.append(E)
        return gain * np.stack(rows)


def stochastic_open_loop_band(
    d_inf: ArrayLike, kappa: float, *, delta: float, size: int, norm: float = math.inf, gain: float = 1.0
) -> np.ndarray:
    """The band that the open loop's error leaves with probability at most ``delta``, at each call; exact start.

    Parameters
    ----------
    d_inf : array_like of float, shape (n,) or (n, trials)
        Max norms of the differences in sampling order, finite and >= 0.
    kappa : float
        Sure contraction in the max norm, >= 0 (``Stochastic.kappa``).
    delta : float
        Probability of leaving the band, 0 < delta < 1.
    size : int
        In the max norm, the number m of outputs; in the 2-norm, the number d of inputs.
    norm : {inf, 2}, default inf
        The norm of the error.
    gain : float, default 1.0
        In the max norm ||A||_{2→inf}, the largest 2-norm of a row of A (1 where A is the identity); in the 2-norm the
        spectral norm.

    Returns
    -------
    numpy.ndarray
        The end of the band after each difference, shape of ``d_inf``.

    Raises
    ------
    TypeError
        If an argument does not hold real numbers.
    ValueError
        For another norm, or arguments out of range.

    Notes
    -----
    norm=inf: ||o-õ||_inf <= ||A||_{2→inf} √(V ln(2m/delta)/2), V = Σ_k (kappa||d_k||_inf)².
    norm=2:   ||o-õ||_2 <= ||A||_2 √(V(d + 2√(dL) + 2L)/4), L = ln(1/delta).

    Proof. Each rounding error lies in an interval of length s_k <= kappa||d_k||_inf and has mean 0 given the past:
    Hoeffding's lemma, E exp(λε) <= exp(λ²s_k²/8). Output i is Σ_k Σ_l A_il ε_kl, so its exponential moment is at most
    exp(λ²||A_i||²V/8); Chernoff with both signs (Azuma-Hoeffding) and m outputs give 2m exp(-2t²/(||A_i||²V)). In the
    2-norm S = Σ_k ε_k has independent entries with variance proxy σ² = V/4, E exp(λ||S||²) <= (1-2λσ²)^(-d/2) as for a
    Gaussian, and the chi-square tail is σ²(d + 2√(dL) + 2L). All n calls *together* stay below the last call's band
    with the same probability (Doob's inequality: the exponential moments are those of a martingale).

    Gap: the sum of many errors ±s/2 is Gaussian with variance V/4, so in the max norm with m = 1 the band is √(2
    ln(2/delta))/z of the true quantile: 1.39 at delta = 0.05, 1.14 at 1e-4, → 1. Fractions spread evenly over the step
    have variance s²/6 rather than s²/4, a further factor 1.22.

    References
    ----------
    Laurent and Massart (2000) for the chi-square tail; docs/theory.md, section 4.

    Examples
    --------
    >>> import modiff_sim as ms
    >>> kappa = ms.Stochastic(4).kappa(64)
    >>> ms.bounds.stochastic_open_loop_band([1.0, 1.0, 1.0], kappa, delta=0.01, size=64).round(3)
    array([0.311, 0.439, 0.538])
    """
    d = checked(d_inf, kappa, "kappa", gain=gain)
    spread = kappa * np.asarray(np.hypot.accumulate(d, axis=0))
    log = _log(delta, size, norm)
    if norm == math.inf:
        return gain * math.sqrt(log / 2) * spread
    return gain / 2 * math.sqrt(size + 2 * math.sqrt(size * log) + 2 * log) * spread


def stochastic_closed_loop_band(
    d_inf: ArrayLike,
    kappa: float,
    *,
    delta: float,
    size: int,
    norm: float = math.inf,
    gain: float = 1.0,
    start: ArrayLike = 0.0,
) -> np.ndarray:
    """The band that the closed loop's error leaves with probability at most ``delta``, at each call.

    Parameters
    ----------
    d_inf : array_like of float, shape (n,) or (n, trials)
        Max norms of the differences in sampling order, finite and >= 0.
    kappa : float
        Sure contraction in the max norm (``Stochastic.kappa``); kappa < 1 (b >= 3) keeps the band bounded.
    delta : float
        Probability of leaving the band, 0 < delta < 1.
    size : int
        In the max norm, the number m of outputs; in the 2-norm, the number d of inputs, whether they share the scale or
        not.
    norm : {inf, 2}, default inf
        The norm of the error.
    gain : float, default 1.0
        In the max norm ||A||_{2→inf}, the largest 2-norm of a row of A; in the 2-norm the spectral norm.
    start : float or array_like, default 0.0
        Max norm of the first error.

    Returns
    -------
    numpy.ndarray
        The end of the band after each difference, shape of ``d_inf``.

    Raises
    ------
    TypeError
        If an argument does not hold real numbers.
    ValueError
        For another norm, or arguments out of range.

    Notes
    -----
    E_j = kappa(||d_j||_inf + E_{j-1}) is the sure bound on ||e_j||_inf, ``max_norm_closed_loop``.
    norm=inf: ||o-ô||_inf <= ||A||_{2→inf} E_j √(ln(2m/delta)/2).
    norm=2:   ||o-ô||_2 <= ||A||_2 E_j √(d/4 + L/2) while 2L <= d, else E_j √min(d, √(dL/2)), L = ln(1/delta).

    Proof. o-ô = A e_j, and e_j is **this call's rounding only**. Given the past, its entries are independent, of mean
    0, each in an interval of length s_j <= kappa||r_j||_inf <= E_j: Hoeffding for Σ_l A_il e_jl, both signs, m outputs.
    In the 2-norm, an entry at the fraction f of its step has e² in {f²s², (1-f)²s²}: mean f(1-f)s², range |1-2f|s².
    With G = Σ_l (1-2f_l)² in [0, d], Hoeffding for Σ e_l² gives s²[(d-G)/4 + √(GL/2)], and the worst G is min(2L, d).
    (d·s² is sure.) Earlier calls enter through E_j alone: the loop has no memory that could add up, and d_j may even
    depend on earlier errors.

    In the max norm the sure bound ||A||_{inf→inf} E_j holds too, and the smaller of the two counts. A band for the
    identity says nothing (its factor is above 1 once 2m/delta > e²); one for a layer that adds up many entries does.

    Gap: in the max norm as for the open loop, where r_j is on half steps and ||r_j||_inf = ||d_j||_inf + E_{j-1}. In
    the 2-norm the error of d entries on half steps is s√d/2, so the band is √(1 + 2L/d) of it: attained as d grows.

    References
    ----------
    docs/theory.md, section 4.

    Examples
    --------
    >>> import modiff_sim as ms
    >>> kappa = ms.Stochastic(4).kappa(64)
    >>> ms.bounds.stochastic_closed_loop_band([1.0, 1.0, 1.0], kappa, delta=0.01, size=64, norm=2).round(3)
    array([0.611, 0.698, 0.711])
    """
    sure = max_norm_closed_loop(d_inf, kappa, start=start)
    number("gain", gain)
    log = _log(delta, size, norm)
    if norm == math.inf:
        return gain * math.sqrt(log / 2) * sure
    square = size / 4 + log / 2 if 2 * log <= size else min(size, math.sqrt(size * log / 2))
    return gain * math.sqrt(square) * sure


def _log(delta: float, size: int, norm: float) -> float:
    """ln(2m/delta) for the max norm, ln(1/delta) for the 2-norm."""
    if norm not in BANDS:
        raise ValueError(f"a band is in the 2-norm or the max norm, norm=2 or norm=math.inf; got {norm!r}")
    number("delta", delta, above=0, below=1, what="the probability of leaving the band")
    count("size, the number of outputs (max norm) or inputs (2-norm),", size)
    return math.log(2 * size / delta) if norm == math.inf else -math.log(delta)
