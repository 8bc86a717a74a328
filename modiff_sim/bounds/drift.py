"""What finite precision and quantized weights add: float drift of ô, rounding of â, the weight error.

ô ← fl(ô + A r̂) is an integrator that nothing compensates: its rounding errors stay. The rounding of the stored â is
compensated, because the next residual is taken against the *stored* â: it is quantization error like any other,
provided ô is updated with A(stored â_new - stored â_old). Updated with A r̂, as plain floats do, ô never learns what
rounding took from â: behind A that stays in ô - A(â) as well (``output_drift``).

fl rounds to nearest, ties to even, with p significant bits: fl(y) = y(1+δ), |δ| <= u = 2^-p, the unit roundoff.
Overflow and underflow are left out (float16 ends at 65504, and its spacing stays 6e-8 below 6e-5).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arguments import count, number, reals
from ._common import checked, unroll

#: significant bits of the float types, the hidden one included; the unit roundoff is 2^-p
SIGNIFICANT_BITS = {"float64": 53, "float32": 24, "float16": 11, "bfloat16": 8}


def unit_roundoff(dtype: str) -> float:
    """u = 2^-p of "float64", "float32", "float16" or "bfloat16": half the distance from 1 to the next number."""
    if dtype not in SIGNIFICANT_BITS:
        raise ValueError(f"unknown float type {dtype!r}; known: {', '.join(SIGNIFICANT_BITS)}")
    return 2.0 ** -SIGNIFICANT_BITS[dtype]


def rounded(y: Any, dtype: str) -> np.ndarray:
    """float64 values rounded once to the significant bits of ``dtype``, ties to even; still float64.

    Exact, and free of the type's exponent range: equal to a cast wherever the result is a normal number of the type.
    NaN and Inf stay what they are.
    """
    unit_roundoff(dtype)
    p = SIGNIFICANT_BITS[dtype]
    mantissa, exponent = np.frexp(reals("y", y))
    return np.ldexp(np.rint(np.ldexp(mantissa, p)), exponent - p)


def accumulate(first: Any, increments: Any, dtype: str) -> np.ndarray:
    """ô of every call when it is stored in ``dtype``: ô_j = fl(ô_{j-1} + x_j), ô_{-1} = fl(first).

    increments: A r̂ of every call, shape (n, ...), in sampling order; computed in float64, so that storing is the one
    thing that rounds (float64 storage rounds as float64 does). Returns (n, ...).
    """
    o_hat, rows = rounded(reals("first", first, finite=True), dtype), []
    steps = reals("increments", increments, finite=True)
    if steps.ndim == 0 or len(steps) == 0:
        raise ValueError(f"increments must hold at least one call's, got shape {steps.shape}")
    for x in steps:
        o_hat = rounded(o_hat + x, dtype)
        rows.append(o_hat)
    return np.stack(rows)


def accumulator_drift(o: Any, x: Any, dtype: str, *, start: Any = 0.0) -> np.ndarray:
    """|ô - exact sum| of an accumulator: Δ_j = Δ_{j-1} + min(u(|o_j| + Δ_{j-1}), |x_j|), Δ_{-1} = start.

    The exact sum is A(â) only where â itself loses nothing (kept in a wider type), or where x_j = A(stored â_j -
    stored â_{j-1}); else the rounding of â comes on top: ``output_drift``.
    o: sizes of the exact sums o_j = ô_{-1} + x_0 + ... + x_j; x: sizes of the increments A r̂_j; both (n, ...) and in
    the same norm (entry by entry, max norm or 2-norm). At most linear: Σ_j min(u|o_j|, |x_j|) to first order in u.

    Proof: with y = ô_{j-1} + x_j the new rounding error |fl(y) - y| is at most u|y| <= u(|o_j| + Δ_{j-1}), and at most
    |x_j|, as ô_{j-1} itself is a number of the type and fl(y) is the nearest one. min(u|y_i|, |x_i|) over entries is at
    most min(u||y||, ||x||) in both norms.
    Tight at every step, by stagnation: ô = 1 and increments u = half an ulp, so that 1 + u is a tie that goes to the
    even 1. Nothing is ever added, and the drift is n·u. Without a preferred side it grows like √n instead.
    Premises: nearest rounding, no overflow or underflow.
    """
    o, x = checked(o, 0.0, start=start), checked(x, 0.0)
    o, x = np.broadcast_arrays(o, x)
    u, drift, rows = unit_roundoff(dtype), np.asarray(start, np.float64), []
    for size, step in zip(o, x, strict=True):
        drift = drift + np.minimum(u * (size + drift), step)
        rows.append(drift)
    return np.stack(rows)


def output_drift(
    o: Any, x: Any, a_hat: Any, r_hat: Any, dtype: str, *, gain: float, terms: int = 0, start: Any = 0.0
) -> np.ndarray:
    """||ô - A(â)||_inf of a closed loop whose ô *and* â are kept in ``dtype`` and updated with r̂: plain float states.

    â_j = fl(â_{j-1} + r̂_j) loses ρ_j = min(u||â_j||, ||r̂_j||), of which ô = fl(ô + A r̂) never learns, so that

        Δ_j = D_j + min(u(||o_j|| + D_j), ||x_j||),   D_j = Δ_{j-1} + ||A||_{inf→inf}(ρ_j + γ||r̂_j||),  Δ_{-1} = start.

    o: ||A â_j||_inf of the *stored* â_j; x: ||A r̂_j||_inf as computed; a_hat: ||â_j||_inf, as stored; r_hat:
    ||r̂_j||_inf; each (n, ...), in sampling order. gain: ||A||_{inf→inf}. terms: the length K of the sums that make
    up A, where they are formed in ``dtype`` too, in any order: γ = Ku/(1-Ku); 0 where A r̂ is exact, or formed wider.
    To first order in u at most n·u(||o|| + ||A||·||â||): linear, and a small o does not make it smaller.
    Returns (n, ...).

    Proof: |fl(y) - y| is at most u|fl(y)|, and at most |r̂_j| entry by entry, as â_{j-1} is a number of the type.
    With A r̂_j + p_j for what is computed and ε_j for what rounding adds to â, ô_{j-1} + A r̂_j + p_j =
    A â_j + δ_{j-1} + p_j - A ε_j, which is at most ||o_j|| + D_j, and storing it loses u of that or ||x_j||.
    Tight up to n·u: A = (1, -1), â = (1, 1) and r̂ = (u, 0): 1 + u is a tie that goes to the even 1, â never moves, ô
    takes every step, and the deviation is n·u. ``accumulator_drift``, which has â exact, says n²u²/2 there.
    Premises: nearest rounding, no overflow or underflow, K·u < 1.
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
    """After how many steps the drift bound of ô exceeds the closed loop's steady state: κ/(1-κ) / (u(ratio+reference)).

    ratio: ||o||_inf over ||A||_{inf→inf}·||d||_inf, how large the output is against its typical change. reference:
    ||a||_inf over ||d||_inf where â is rounded to ``dtype`` too (``output_drift``), then at least ratio; 0 where it is
    kept exactly. The drift bound is taken as n·u(||o|| + ||A||·||a||), that is while rounding takes less than the
    increments bring. κ < 1. With ratio 10, 4 bits and â exact: 2 steps in bfloat16, 16 in float16, 1.3e5 in float32;
    half of that with reference 10. Errors without a preferred side grow like √n: about 3 times its square.
    """
    number("kappa", kappa, below=1)
    number("ratio", ratio, above=0, what="||o|| over ||A||·||d||")
    number("reference", reference, what="||a|| over ||d||")
    return kappa / (1 - kappa) / (unit_roundoff(dtype) * (ratio + reference))


def stored_reference(d: Any, contraction: float, rounding: Any, *, gain: float = 1.0, start: Any = 0.0) -> np.ndarray:
    """Closed loop with a rounded â: E_j = k(||d_j|| + E_{j-1}) + ρ_j: its rounding is forgotten, not summed.

    contraction k is kappa in the max norm or sqrt(c) in the 2-norm. rounding bounds ||â_j - (â_{j-1} + r̂_j)||, â as
    stored: ρ_j, shape of d, or a number (u·||â||, and never more than ||r̂||, as above). Steady state
    (k·||d|| + ρ)/(1-k): for AbsMax at 4 bits ρ is amplified by 14/13, however long the run.

    Proof: e_j = a_j - stored â_j = (I-Q)(r_j) - ρ_j, where r_j = d_j + e_{j-1} is taken against the stored â_{j-1}.
    Tight: the quantizer Q(x) = (1-k)x, differences of one sign, and a store that is always below by ρ.
    """
    d = checked(d, contraction, "contraction", start, gain)
    rounding = reals("rounding", rounding)
    if not (np.isfinite(rounding).all() and (rounding >= 0).all()):
        raise ValueError("rounding is the norm of what storing â loses: finite and >= 0")
    return gain * unroll(contraction * d + rounding, contraction, start)


def with_weight_error(error: Any, a: Any, *, gain: float, weight_error: float) -> np.ndarray:
    """Quantized weights A_q: ||o_j - ô_j|| <= ||A_q||·E_j + ||A - A_q||·||a_j||, for every recursion.

    error: E_j, a bound on the *input* error ||a_j - â_j|| (any bound of this package with gain 1; direct and open loop
    as well); a: ||a_j||; gain: ||A_q||; weight_error: ||A - A_q||, all in one norm.
    If call 0 is done with the weights in full precision, a_j is replaced by a_j - a_0: the weight error then acts on
    what has changed since. No recursion compensates it: it is a floor that bits of activations do not lower.

    Proof: A a - A_q â = A_q(a - â) + (A - A_q)a; with o_0 exact, A_q(a - â) + (A - A_q)(a - a_0).
    Tight: scalars 0 < A_q < A, a_j > 0 growing, and Q(x) = (1-k)x, whose errors have the sign of a.
    """
    error, a = checked(error, gain, "gain"), checked(a, weight_error, "weight_error")
    return np.asarray(gain * error + weight_error * a)
