"""The oracle: equations transcribed literally, with floats, fractions and loops. Slow on purpose; no array library.

Shares nothing with modiff_sim. ``Fraction`` inputs give exact arithmetic; floats give ordinary IEEE arithmetic.
"""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

#: the recursions of the paper: what is written out here, and what fast paths and closed forms implement
PAPER = ("direct", "open_loop", "closed_loop")


def round_even(x):
    """Nearest integer, ties to even. Python's round does this for floats and Fractions."""
    return round(x)


def absmax(x, bits):
    """s = max|x| / (2^(b-1)-1);  x̂ = s·round(x/s)."""
    qmax = 2 ** (bits - 1) - 1
    s = max(abs(v) for v in x) / qmax
    if s == 0:
        return [0 * v for v in x]
    return [s * round_even(v / s) for v in x]


def stochastic(x, bits, u):
    """x̂ = s·clamp(floor(x/s + u), -qmax, qmax)."""
    qmax = 2 ** (bits - 1) - 1
    s = max(abs(v) for v in x) / qmax
    if s == 0:
        return [0 * v for v in x]
    return [s * max(-qmax, min(qmax, math.floor(v / s + w))) for v, w in zip(x, u, strict=True)]


def affine(x, bits, *, include_zero, rounding=round_even, floor=0):
    """s = (max-min)/(2^b-1), z = round(-min/s), code = clamp(round(x/s) + z, 0, 2^b-1), x̂ = s(code - z)."""
    n = 2**bits - 1
    low, high = min(x), max(x)
    if include_zero:
        low, high = min(low, 0), max(high, 0)
    s = (high - low) / n
    if s == 0:
        s = abs(low)
        if s == 0:
            return [0 * v for v in x]
    elif s < floor:
        s = type(s)(floor)
    z = round_even(-low / s)
    return [s * (max(0, min(n, rounding(v / s) + z)) - z) for v in x]


def minmax(x, bits):
    return affine(x, bits, include_zero=True)


def minmax_raw(x, bits):
    return affine(x, bits, include_zero=False, floor=1e-8)


def floor_(x, bits):
    return affine(x, bits, include_zero=False, rounding=math.floor, floor=1e-8)


def static(x, bits, scale=1.0):
    qmax = 2 ** (bits - 1) - 1
    return [scale * max(-(qmax + 1), min(qmax, round_even(v / scale))) for v in x]


def zero(x, bits=0):
    return [0 * v for v in x]


def identity(x, bits=32):
    return list(x)


QUANTIZERS = {
    "absmax": absmax, "minmax": minmax, "minmax_raw": minmax_raw, "floor": floor_, "static": static,
    "zero": zero, "identity": identity,
}  # fmt: skip


def apply(matrix, a):
    return [sum(w * v for w, v in zip(row, a, strict=True)) for row in matrix]


def add(x, y):
    return [v + w for v, w in zip(x, y, strict=True)]


def sub(x, y):
    return [v - w for v, w in zip(x, y, strict=True)]


def direct(inputs, Q, matrix):
    """o_t = A(Q(a_t))."""
    return [apply(matrix, Q(a)) for a in inputs]


def open_loop(inputs, Q, matrix):
    """(7): ô_t = A(Q(a_t - a_{t+1})) + ô_{t+1}, exact start."""
    outputs = [apply(matrix, inputs[0])]
    for previous, a in itertools.pairwise(inputs):
        outputs.append(add(apply(matrix, Q(sub(a, previous))), outputs[-1]))
    return outputs


def closed_loop(inputs, Q, matrix, *, feeds=0):
    """(13)-(14): â_t = Q(a_t - â_{t+1}) + â_{t+1}, ô_t = A(Q(a_t - â_{t+1})) + ô_{t+1}.

    feeds=0: â_T = a_T (Theorem 4.4). feeds=m: the first input fed m times from â = 0; m=1 is (8)-(9).
    """
    if feeds == 0:
        a_hat, o_hat = list(inputs[0]), apply(matrix, inputs[0])
    else:
        a_hat, o_hat = [0 * v for v in inputs[0]], [0 for _ in matrix]
        for _ in range(feeds):
            q = Q(sub(inputs[0], a_hat))
            a_hat, o_hat = add(q, a_hat), add(apply(matrix, q), o_hat)
    outputs = [o_hat]
    for a in inputs[1:]:
        q = Q(sub(a, a_hat))
        a_hat, o_hat = add(q, a_hat), add(apply(matrix, q), o_hat)
        outputs.append(o_hat)
    return outputs


# -- bounds on the *square* of the error at t, with the paper's own index: d[k] for k = T-1 (first) down to t ----


def printed_30(d2, c, T, t):
    """Σ_{k=t}^{T-1} 2^(T-k-1) c ||d_k||²; d2: dict k -> ||d_k||²."""
    return sum(2 ** (T - k - 1) * c * d2[k] for k in range(t, T))


def printed_31(d2, c, T, t):
    """Σ_{k=t}^{T-1} (2c)^(T-k-1) ||d_k||²."""
    return sum((2 * c) ** (T - k - 1) * d2[k] for k in range(t, T))


def corrected_30(d2, c, T, t):
    """(30'): c [Σ_{k=t}^{T-2} 2^(k-t+1) ||d_k||² + 2^(T-1-t) ||d_{T-1}||²]."""
    return c * (sum(2 ** (k - t + 1) * d2[k] for k in range(t, T - 1)) + 2 ** (T - 1 - t) * d2[T - 1])


def corrected_31(d2, c, T, t):
    """(31'), its oldest term c(2c)^(T-1-t)."""
    return sum((2 * c) ** (k - t + 1) * d2[k] for k in range(t, T - 1)) + c * (2 * c) ** (T - 1 - t) * d2[T - 1]


def exact(x):
    """A list of floats as Fractions."""
    return [Fraction(v) for v in x]
