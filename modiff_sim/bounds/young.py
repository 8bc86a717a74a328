"""Young's inequality with a parameter: the proof's own recursions (30') and (31'), EF21's constants, the best choices.

    ||x + y||² <= (1+β)||x||² + (1+1/β)||y||²,  every β > 0:  (1+β)||x||² + (1+1/β)||y||² - ||x+y||²
                                                              = β||x||² + ||y||²/β - 2<x,y> = ||√β x - y/√β||² >= 0.

Here x is what is left of the old error, and y what this call adds. ``beta`` of the bounds below is one of

    a number           the same β at every call; 1.0 gives (30') and (31'), the recursions in the paper's proof
    an array           β_j of call j, shape (n,), or the shape of d
    "ef21"             closed loop: the constant of the fastest decay and of the lowest steady state, 1+β = 1/q
    "horizon"          the constant with the smallest bound after the *last* difference, see ``best_constant_beta``
    "best"             β_j = ||y||/||x|| at every call, where the right-hand side is (||x|| + ||y||)²: the sharp bound

At the first call after an exact start the old error is 0. No inequality is needed there, and none is used.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..arguments import number, reals
from ..names import one_of
from ..typing import ArrayLike
from ._common import checked

CHOICES = ("best", "horizon")
#: β between HUGE and 1/HUGE stands for its limits ∞ and 0: every β > 0 is allowed, and these lose a part of 1/HUGE
HUGE = 2.0**500


def ef21_constants(c: float) -> tuple[float, float]:
    """The constants (θ, β) of EF21, with which ||e_j||² <= (1-θ)||e_{j-1}||² + β||d_j||².

    Parameters
    ----------
    c : float
        Contraction of the quantizer in the squared 2-norm, 0 <= c < 1.

    Returns
    -------
    theta, beta : float
        θ = 1-q and β = c/(1-q), q = √c. This β is the weight of the new difference; Young's parameter (EF21's s) is
        1/q - 1.

    Raises
    ------
    TypeError
        If ``c`` is not a real number.
    ValueError
        Unless 0 <= c < 1: otherwise no constant makes ||e||² decay.

    Notes
    -----
    EF21 has θ = 1-√(1-α) and β = (1-α)/(1-√(1-α)) for a compressor with ||x-Q(x)||² <= (1-α)||x||², so α = 1-c.

    References
    ----------
    Richtárik, Sokolov, Fatkhullin, EF21 (2021); docs/theory.md, section 3.

    Examples
    --------
    >>> from modiff_sim import bounds
    >>> bounds.ef21_constants(0.25)
    (0.5, 0.5)
    """
    if not 0 <= number("c", c) < 1:
        raise ValueError(f"EF21's constants need 0 <= c < 1 (a contraction, α = 1-c > 0), got c = {c}")
    q = math.sqrt(c)
    return 1 - q, c / (1 - q)


def best_constant_beta(d: ArrayLike, c: float, *, recursion: str = "closed_loop", start: ArrayLike = 0.0) -> np.ndarray:
    """The constant β with the smallest Young bound after the last of the given differences.

    Parameters
    ----------
    d : array_like of float, shape (n,) or (n, trials)
        Norms of the differences in sampling order, finite and >= 0.
    c : float
        Contraction of the quantizer in the squared 2-norm, >= 0.
    recursion : {"closed_loop", "open_loop"}, default "closed_loop"
        The loop whose bound is minimised.
    start : float or array_like, default 0.0
        Norm of the error of an inexact start, one number or one per trial; 0 is the exact start.

    Returns
    -------
    numpy.ndarray
        β of each trial, shape ``d.shape[1:]``. Values outside e^±60 are returned as e^±60: nothing, or everything, is
        old.

    Raises
    ------
    TypeError
        If an argument does not hold real numbers.
    ValueError
        If ``d`` is empty, or if a norm or a constant is negative, infinite or NaN.

    Notes
    -----
    β is found by bisection: for n differences it is the root of a polynomial of degree n. With a constant β the squared
    bound is Σ_k w_k (1+β)^(m_k)/β^(p_k), w_k >= 0, p_k in {0, 1}, 0 <= p_k <= m_k. In u = log β the logarithm of each
    term is log w_k + m_k log(1+e^u) - p_k u, which is convex; so is that of the sum (log-sum-exp), and its derivative
    has one change of sign.

    Two limits. Closed loop, equal differences, n → ∞, c < 1: EF21's 1/q - 1. Open loop, n equal differences: β = x/n
    with x = 2(1-e^-x) = 2 + W(-2e^-2) = 1.594, and the bound is √((e^x-1)/x²) = 1.243 times the sharp one, so linear in
    n. The exponential 2^k of (30) comes from β = 1, not from Young's inequality.

    References
    ----------
    docs/theory.md, section 3.

    Examples
    --------
    >>> from modiff_sim import bounds
    >>> round(float(bounds.best_constant_beta([1.0] * 100, c=0.25)), 4)  # EF21: 1/q - 1
    1.0
    """
    d, begin = _expanded(d, c, start)
    keep = _keep(recursion, c)
    n = len(d)
    age = np.arange(n)[::-1].reshape(-1, *(1,) * begin.ndim)
    with np.errstate(divide="ignore", invalid="ignore"):
        lost = np.log(c) + 2 * np.log(d) + np.where(age == 0, 0.0, 2 * age * np.log(keep))
        logs = np.concatenate([lost, (2 * n * np.log(keep) + 2 * np.log(begin))[None]])  # log w_k, the start's last
    m = np.concatenate([np.broadcast_to(age + 1.0, d.shape), np.full((1, *begin.shape), float(n))])
    p = np.ones_like(m)
    p[-1] = 0
    m[0], p[0] = np.where(begin == 0, n - 1, m[0]), np.where(begin == 0, 0, 1)
    low, high = np.full(begin.shape, -60.0), np.full(begin.shape, 60.0)
    for _ in range(64):
        u = (low + high) / 2
        exponent = logs + m * np.logaddexp(0, u) - p * u
        weight = np.exp(exponent - np.max(exponent, axis=0, initial=-1e300))
        rising = np.sum(weight * (m / (1 + np.exp(-u)) - p), axis=0) > 0
        low, high = np.where(rising, low, u), np.where(rising, u, high)
    return np.asarray(np.exp((low + high) / 2))


def young_open_loop(
    d: ArrayLike, c: float, *, beta: ArrayLike = 1.0, gain: float = 1.0, start: ArrayLike = 0.0
) -> np.ndarray:
    """The open loop's bound by Young's inequality; β = 1 gives (30'), the recursion in the paper's proof.

        E_j² = (1+β_j)E_{j-1}² + (1+1/β_j)c||d_j||²

    Parameters
    ----------
    d : array_like of float, shape (n,) or (n, trials)
        Norms of the differences in sampling order, finite and >= 0.
    c : float
        Contraction of the quantizer in the squared 2-norm, >= 0.
    beta : float, array_like or {"horizon", "best"}, default 1.0
        Young's parameter: one number > 0, one per call of shape (n,), or the shape of ``d``. "horizon" is
        ``best_constant_beta``; "best" chooses ||y||/||x|| at every call, which gives the sharp bound.
    gain : float, default 1.0
        ||A||, the spectral norm of the operator.
    start : float or array_like, default 0.0
        Norm of the error of an inexact start, one number or one per trial; 0 is the exact start.

    Returns
    -------
    numpy.ndarray
        The bound on the norm of the output error after each difference, shape of ``d``.

    Raises
    ------
    TypeError
        If an argument does not hold real numbers.
    ValueError
        For an unknown or non-positive β or one whose shape does not fit, and for norms or constants out of range.

    Notes
    -----
    (30'): c||A||² [Σ_{k<T-1} 2^(age+1) ||d_k||² + 2^(T-1-t) ||d_{T-1}||²]. Proof: e_j = e_{j-1} + (I-Q)(d_j), then
    Young's inequality; the first error is c||d_0||² alone. The error of an inexact start stays: E_{-1} = start.

    Tight for any β_j > 0, with Q(x) = (1-q)x and collinear differences where q||d_j|| = β_j||e_{j-1}||. So "best",
    which is q Σ||d_k||, is attained by all collinear differences. A constant β grows exponentially, at the rate √(1+β).

    References
    ----------
    The proof of Theorem 4.4; docs/theory.md, section 3.

    Examples
    --------
    >>> from modiff_sim import bounds
    >>> bounds.young_open_loop([1.0, 1.0], c=0.25)
    array([0.5, 1. ])
    >>> bounds.young_open_loop([1.0, 1.0], c=0.25, beta="best")
    array([0.5, 1. ])
    """
    return _young("open_loop", d, c, beta, gain, start)


def young_closed_loop(
    d: ArrayLike, c: float, *, beta: ArrayLike = 1.0, gain: float = 1.0, start: ArrayLike = 0.0
) -> np.ndarray:
    """The closed loop's bound by Young's inequality; β = 1 gives (31'), the recursion in the paper's proof.

        E_j² = c[(1+β_j)E_{j-1}² + (1+1/β_j)||d_j||²]

    Parameters
    ----------
    d : array_like of float, shape (n,) or (n, trials)
        Norms of the differences in sampling order, finite and >= 0.
    c : float
        Contraction of the quantizer in the squared 2-norm, >= 0.
    beta : float, array_like or {"ef21", "horizon", "best"}, default 1.0
        Young's parameter: one number > 0, one per call of shape (n,), or the shape of ``d``. "ef21" is the constant 1/q
        - 1, which gives inf at c >= 1; "horizon" is ``best_constant_beta``; "best" chooses ||y||/||x|| at every call,
        which gives the sharp bound.
    gain : float, default 1.0
        ||A||, the spectral norm of the operator.
    start : float or array_like, default 0.0
        Norm of the error of an inexact start, one number or one per trial; 0 is the exact start.

    Returns
    -------
    numpy.ndarray
        The bound on the norm of the output error after each difference, shape of ``d``.

    Raises
    ------
    TypeError
        If an argument does not hold real numbers.
    ValueError
        For an unknown or non-positive β or one whose shape does not fit, and for norms or constants out of range.

    Notes
    -----
    (31'): ||A||² [Σ_{k<T-1} (2c)^(age+1) ||d_k||² + c(2c)^(T-1-t) ||d_{T-1}||²]. Proof: e_j² <= c||d_j + e_{j-1}||²,
    then Young's inequality; with an exact start the first error is c||d_0||². An inexact start adds Π_j
    c(1+β_j)·start².

    A constant β decays only if c(1+β) < 1. β = 1/q - 1 ("ef21") gives E_j² = qE_{j-1}² + c/(1-q)·||d_j||² for every c <
    1, with the steady state (q/(1-q))²||d||², which is the true worst case: no constant has a lower one. Its memory is
    longer than that of the true worst case: the *norm* of an impulse decays by √q a call rather than by q. At c >= 1 no
    constant decays.

    Tight for any β_j > 0, with Q(x) = (1-q)x and collinear differences where ||d_j|| = β_j||e_{j-1}||. So "best", which
    is Σ q^(age+1)||d_k||, is attained by all collinear differences, at any c.

    References
    ----------
    The proof of Theorem 4.4; docs/theory.md, section 3.

    Examples
    --------
    >>> from modiff_sim import bounds
    >>> bounds.young_closed_loop([1.0, 1.0], c=0.25)
    array([0.5       , 0.79056942])
    >>> bounds.young_closed_loop([1.0, 1.0], c=0.25, beta="best")
    array([0.5 , 0.75])
    """
    if isinstance(beta, str) and beta == "ef21":
        shape = _expanded(d, c, start)[0].shape
        if c >= 1:
            return np.full(shape, math.inf)
        q = math.sqrt(c)
        beta = min((1 - q) / q, HUGE) if q > 0 else HUGE
    return _young("closed_loop", d, c, beta, gain, start)


def _expanded(d: ArrayLike, c: float, start: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """The checked differences and start, of shapes (n, *trials) and trials."""
    d, begin = checked(d, c, start=start), np.asarray(start, np.float64)
    trials = np.broadcast_shapes(d.shape[1:], begin.shape)
    d = d.reshape(len(d), *(1,) * (len(trials) + 1 - d.ndim), *d.shape[1:])
    return np.broadcast_to(d, (len(d), *trials)), np.broadcast_to(begin, trials)


def _keep(recursion: str, c: float) -> float:
    """What one call leaves of the old error at least: q with compensation, 1 without."""
    one_of("recursion", recursion, ("closed_loop", "open_loop"))
    return math.sqrt(c) if recursion == "closed_loop" else 1.0


def _young(recursion: str, d: ArrayLike, c: float, beta: ArrayLike, gain: float, start: ArrayLike) -> np.ndarray:
    """E_j² = (1+β_j)(keep·E_{j-1})² + (1+1/β_j)c||d_j||², in units of a power of two: no square over- or underflows."""
    number("gain", gain, what="the norm of an operator")
    d, begin = _expanded(d, c, start)
    keep = _keep(recursion, c)
    if isinstance(beta, str) and beta == "horizon":
        beta = np.broadcast_to(best_constant_beta(d, c, recursion=recursion, start=begin), d.shape)
    per_call = _per_call(beta, d, recursion)
    unit = int(np.frexp(max(d.max(), begin.max()))[1])
    new = math.sqrt(c) * np.ldexp(d, -unit)
    rows, square = [], np.square(np.ldexp(begin, -unit))  # `** 2` of one number is rounded otherwise than of an array
    with np.errstate(over="ignore"):  # a bound that overflows is infinite, which is true
        for call, (row, b) in enumerate(zip(new, per_call, strict=True)):
            old = keep * np.sqrt(square)
            if b is None:
                b = np.clip(np.divide(row, old, out=np.full(row.shape, HUGE), where=old > 0), 1 / HUGE, HUGE)
            elif call == 0:
                b = np.where(begin == 0, HUGE, b)
            square = (1 + b) * np.square(old) + (1 + 1 / b) * np.square(row)
            rows.append(square)
        return gain * np.ldexp(np.sqrt(np.stack(rows)), unit)


def _per_call(beta: ArrayLike, d: np.ndarray, recursion: str) -> list[Any]:
    """β of every call; None where the best of the call is meant."""
    if isinstance(beta, str):
        if beta == "best":
            return [None] * len(d)
        known = (*CHOICES, "ef21") if recursion == "closed_loop" else CHOICES
        raise ValueError(f"unknown beta {beta!r}; known: a number, an array, {', '.join(known)}")
    values = reals("beta", beta)
    if not (np.isfinite(values).all() and (values > 0).all()):
        raise ValueError(f"Young's inequality needs a finite beta > 0, got {beta}")
    if values.ndim == 0:
        return [values] * len(d)
    if values.shape in ((len(d),), d.shape):
        return list(values)
    raise ValueError(
        f"beta has shape {values.shape}: one number, one per call {(len(d),)}, or the shape of d, {d.shape}"
    )
