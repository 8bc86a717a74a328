"""What finite precision and quantized weights add: float drift of ô, rounding of â, the weight error.

ô ← fl(ô + A r̂) is an integrator that nothing compensates: its rounding errors stay. The rounding of the stored â is
compensated, because the next residual is taken against the *stored* â. It is quantization error like any other,
provided that ô is updated with A(stored â_new - stored â_old). Updated with A r̂, as plain floats are, ô never learns
what rounding took from â, and this stays in ô - A(â) as well (``output_drift``).

fl rounds to nearest, ties to even, with p significant bits: fl(y) = y(1+δ), |δ| <= u = 2^-p, the unit roundoff.
Overflow and underflow are left out (float16 ends at 65504, and its spacing stays 6e-8 below 6e-5).
"""

from __future__ import annotations

import numpy as np

from ..arguments import count, number, reals
from ..typing import ArrayLike
from ._common import checked, unroll
from .float_types import unit_roundoff


def accumulator_drift(o: ArrayLike, x: ArrayLike, dtype: str, *, start: ArrayLike = 0.0) -> np.ndarray:
    """Bound on |ô - exact sum| of an accumulator that rounds at every step; at most linear in n.

        Δ_j = Δ_{j-1} + min(u(|o_j| + Δ_{j-1}), |x_j|),  Δ_{-1} = start

    The exact sum is A(â) only where â itself loses nothing (kept in a wider type), or where x_j = A(stored â_j -
    stored â_{j-1}); otherwise the rounding of â comes on top: ``output_drift``.

    Parameters
    ----------
    o : array_like of float, shape (n, ...)
        Sizes of the exact sums o_j = ô_{-1} + x_0 + ... + x_j.
    x : array_like of float, shape (n, ...)
        Sizes of the increments A r̂_j, in the same norm as ``o``: entry by entry, max norm or 2-norm.
    dtype : {"float64", "float32", "float16", "bfloat16"}
        The type of ô.
    start : float or array_like, default 0.0
        The deviation before the first step.

    Returns
    -------
    numpy.ndarray
        Δ after each step, of the broadcast shape of ``o`` and ``x``; Σ_j min(u|o_j|, |x_j|) to first order in u.

    Raises
    ------
    TypeError
        If an argument does not hold real numbers.
    ValueError
        For an unknown type or sizes out of range.

    Notes
    -----
    Proof: with y = ô_{j-1} + x_j the new rounding error |fl(y) - y| is at most u|y| <= u(|o_j| + Δ_{j-1}), and at most
    |x_j|, as ô_{j-1} itself is a number of the type and fl(y) is the nearest one. min(u|y_i|, |x_i|) over entries is at
    most min(u||y||, ||x||) in both norms.

    Tight at every step, by stagnation: ô = 1 and increments u = half an ulp, so that 1 + u is a tie that goes to the
    even 1. Nothing is ever added, and the drift is n·u. Errors without a preferred side grow like √n instead. Premises:
    rounding to nearest, no overflow or underflow.

    References
    ----------
    docs/theory.md, section 7.

    Examples
    --------
    >>> from modiff_sim import bounds
    >>> u = bounds.unit_roundoff("bfloat16")
    >>> bounds.accumulator_drift([1 + u, 1 + 2 * u], [u, u], "bfloat16") / u
    array([1., 2.])
    """
    o, x = checked(o, 0.0, start=start), checked(x, 0.0)
    o, x = np.broadcast_arrays(o, x)
    u, drift, rows = unit_roundoff(dtype), np.asarray(start, np.float64), []
    for size, step in zip(o, x, strict=True):
        drift = drift + np.minimum(u * (size + drift), step)
        rows.append(drift)
    return np.stack(rows)


def output_drift(
    o: ArrayLike,
    x: ArrayLike,
    a_hat: ArrayLike,
    r_hat: ArrayLike,
    dtype: str,
    *,
    gain: float,
    terms: int = 0,
    start: ArrayLike = 0.0,
) -> np.ndarray:
    """Bound on ||ô - A(â)||_inf of a closed loop whose ô *and* â are kept in a float type and updated with r̂.

    â_j = fl(â_{j-1} + r̂_j) loses ρ_j = min(u||â_j||, ||r̂_j||), of which ô = fl(ô + A r̂) never learns, so that

        Δ_j = D_j + min(u(||o_j|| + D_j), ||x_j||),   D_j = Δ_{j-1} + ||A||_{inf→inf}(ρ_j + γ||r̂_j||),  Δ_{-1} = start.

    Parameters
    ----------
    o : array_like of float, shape (n, ...)
        ||A â_j||_inf of the *stored* â_j, in sampling order.
    x : array_like of float, shape (n, ...)
        ||A r̂_j||_inf as computed.
    a_hat : array_like of float, shape (n, ...)
        ||â_j||_inf, as stored.
    r_hat : array_like of float, shape (n, ...)
        ||r̂_j||_inf.
    dtype : {"float64", "float32", "float16", "bfloat16"}
        The type of ô and â.
    gain : float
        ||A||_{inf→inf}.
    terms : int, default 0
        The length K of the sums that make up A, where they are formed in ``dtype`` too, in any order: γ = Ku/(1-Ku). 0
        where A r̂ is exact or formed in a wider type.
    start : float or array_like, default 0.0
        The deviation before the first step.

    Returns
    -------
    numpy.ndarray
        Δ after each step, shape (n, ...). To first order in u at most n·u(||o|| + ||A||·||â||): linear, and a small o
        does not make it smaller.

    Raises
    ------
    TypeError
        If an argument does not hold real numbers.
    ValueError
        For an unknown type, sizes out of range, or K·u >= 1, for which there is no bound.

    Notes
    -----
    Proof: |fl(y) - y| is at most u|fl(y)|, and at most |r̂_j| entry by entry, as â_{j-1} is a number of the type. With
    A r̂_j + p_j for what is computed and ε_j for what rounding adds to â, ô_{j-1} + A r̂_j + p_j =
    A â_j + δ_{j-1} + p_j - A ε_j, which is at most ||o_j|| + D_j, and storing it loses u of that or ||x_j||.

    Tight up to n·u: A = (1, -1), â = (1, 1) and r̂ = (u, 0): 1 + u is a tie that goes to the even 1, â never moves, ô
    takes every step, and the deviation is n·u. ``accumulator_drift``, which takes â as exact, says n²u²/2 there.
    Premises: rounding to nearest, no overflow or underflow, K·u < 1.

    References
    ----------
    docs/theory.md, section 7.

    Examples
    --------
    >>> from modiff_sim import bounds
    >>> u = bounds.unit_roundoff("float16")
    >>> drift = bounds.output_drift([4.0, 4.0], [0.5, 0.5], [2.0, 2.0], [0.25, 0.25], "float16", gain=2.0)
    >>> (drift / u).round(2)
    array([ 8.  , 16.01])
    """
    checked(a_hat, gain, "gain")
    o, x, a_hat, r_hat = np.broadcast_arrays(*(checked(v, 0.0, start=start) for v in (o, x, a_hat, r_hat)))
    u, drift, rows = unit_roundoff(dtype), np.asarray(start, np.float64), []
    products = count("terms, the length of A's sums,", terms, 0) * u
    if products >= 1:
        raise ValueError(f"a sum of {terms} terms has no bound in {dtype}: terms·u = {products:.3g} must be below 1")
    lost = np.minimum(u * a_hat, r_hat) + products / (1 - products) * r_hat
    for size, step, ref in zip(o, x, lost, strict=True):
        before = drift + gain * ref
        drift = before + np.minimum(u * (size + before), step)
        rows.append(drift)
    return np.stack(rows)


def steps_until_drift(kappa: float, ratio: float, dtype: str, *, reference: float = 0.0) -> float:
    """Steps after which the drift bound of ô exceeds the closed loop's steady state.

        κ/(1-κ) / (u(ratio + reference))

    Parameters
    ----------
    kappa : float
        Contraction of the quantizer in the max norm, < 1.
    ratio : float
        ||o||_inf over ||A||_{inf→inf}·||d||_inf, the size of the output against its typical change, > 0.
    dtype : {"float64", "float32", "float16", "bfloat16"}
        The type of the states.
    reference : float, default 0.0
        ||a||_inf over ||d||_inf where â is rounded to ``dtype`` too (``output_drift``), then at least ``ratio``; 0
        where â is kept exactly.

    Returns
    -------
    float
        The number of steps. With ratio 10, 4 bits and â exact: 2 in bfloat16, 16 in float16, 1.3e5 in float32; half of
        that with reference 10.

    Raises
    ------
    TypeError
        If a constant is not a real number.
    ValueError
        For an unknown type or constants out of range.

    Notes
    -----
    The drift bound is taken as n·u(||o|| + ||A||·||a||), that is while rounding takes less than the increments bring.
    Errors without a preferred side grow like √n: the number of steps is then about 3 times its square.

    References
    ----------
    docs/theory.md, section 7.

    Examples
    --------
    >>> from modiff_sim import bounds
    >>> round(bounds.steps_until_drift(1 / 14, 10, "float16"), 1)
    15.8
    """
    number("kappa", kappa, below=1)
    number("ratio", ratio, above=0, what="||o|| over ||A||·||d||")
    number("reference", reference, what="||a|| over ||d||")
    return kappa / (1 - kappa) / (unit_roundoff(dtype) * (ratio + reference))


def stored_reference(
    d: ArrayLike, contraction: float, rounding: ArrayLike, *, gain: float = 1.0, start: ArrayLike = 0.0
) -> np.ndarray:
    """Bound of the closed loop with a rounded â, whose rounding is forgotten rather than summed.

        E_j = k(||d_j|| + E_{j-1}) + ρ_j

    Parameters
    ----------
    d : array_like of float, shape (n,) or (n, trials)
        Norms of the differences in sampling order, finite and >= 0.
    contraction : float
        k: kappa in the max norm, or sqrt(c) in the 2-norm.
    rounding : float or array_like
        ρ_j, a bound on ||â_j - (â_{j-1} + r̂_j)||, â as stored: the shape of ``d``, or one number, such as u·||â||. It
        never exceeds ||r̂|| (``output_drift``).
    gain : float, default 1.0
        ||A|| in the norm of the statement.
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
        If ``d`` is empty, or if a norm or a constant is negative, infinite or NaN.

    Notes
    -----
    The steady state is (k·||d|| + ρ)/(1-k): for AbsMax at 4 bits ρ is amplified by 14/13, however long the run is.

    Proof: e_j = a_j - stored â_j = (I-Q)(r_j) - ρ_j, where r_j = d_j + e_{j-1} is taken against the stored â_{j-1}.
    Tight: the quantizer Q(x) = (1-k)x, differences of one sign, and a store that is always below by ρ.

    References
    ----------
    docs/theory.md, section 7.

    Examples
    --------
    >>> from modiff_sim import bounds
    >>> bounds.stored_reference([1.0, 1.0, 1.0], 0.5, rounding=0.25)
    array([0.75  , 1.125 , 1.3125])
    """
    d = checked(d, contraction, "contraction", start, gain)
    rounding = reals("rounding", rounding)
    if not (np.isfinite(rounding).all() and (rounding >= 0).all()):
        raise ValueError("rounding is the norm of what storing â loses: finite and >= 0")
    return gain * unroll(contraction * d + rounding, contraction, start)


def with_weight_error(error: ArrayLike, a: ArrayLike, *, gain: float, weight_error: float) -> np.ndarray:
    """Bound with quantized weights A_q, for every recursion: ||o_j - ô_j|| <= ||A_q||·E_j + ||A - A_q||·||a_j||.

    Parameters
    ----------
    error : array_like of float, shape (n,) or (n, trials)
        E_j, a bound on the *input* error ||a_j - â_j||: any bound of this package with gain 1, for direct quantization
        and the open loop as well.
    a : array_like of float, shape (n,) or (n, trials)
        ||a_j||, in the same norm. If call 0 is done with the weights in full precision, ||a_j - a_0|| instead.
    gain : float
        ||A_q||.
    weight_error : float
        ||A - A_q||.

    Returns
    -------
    numpy.ndarray
        The bound on the output error at each call.

    Raises
    ------
    TypeError
        If an argument does not hold real numbers.
    ValueError
        If ``d`` is empty, or if a norm or a constant is negative, infinite or NaN.

    Notes
    -----
    No recursion compensates the weight error: it is a floor that bits of activations do not lower. With call 0 in full
    precision it acts on what has changed since.

    Proof: A a - A_q â = A_q(a - â) + (A - A_q)a; with o_0 exact, A_q(a - â) + (A - A_q)(a - a_0). Tight: scalars
    0 < A_q < A, a_j > 0 growing, and Q(x) = (1-k)x, whose errors have the sign of a.

    References
    ----------
    docs/theory.md, section 7.

    Examples
    --------
    >>> from modiff_sim import bounds
    >>> error = bounds.sharp_closed_loop([1.0, 1.0], c=0.25)
    >>> bounds.with_weight_error(error, [8.0, 9.0], gain=2.0, weight_error=0.125)
    array([2.   , 2.625])
    """
    error, a = checked(error, gain, "gain"), checked(a, weight_error, "weight_error")
    return np.asarray(gain * error + weight_error * a)
