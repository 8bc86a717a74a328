"""A fixed scale s: granular noise of half a step, and slope overload where a difference outruns the grid.

``Static`` quantizes with codes clip(round(x/s), -(qmax+1), qmax), qmax = 2^(b-1)-1. Its error φ(x) = x - Q(x) obeys

    |φ(x)| <= ψ(|x|),  ψ(x) = min(x, max(s/2, x - qmax·s)):

the dead zone x <= s/2, where the code is 0 and everything is lost; the granular range, half a step; and beyond the last
level the excess. ψ does not decrease and is at most x. Two's complement has one level more on the negative side, where
the excess is smaller by s: there ψ is conservative. Tight for x >= 0: equality in the dead zone, at x = (k+½)s for even
codes k (ties go to even, so the error is +s/2), and for x >= (qmax+½)s.

Sizes are |d_j| of one coordinate or ||d_j||_inf of all, in sampling order, shape (n,) or (n, ...): as ψ does not
decrease, what holds for every coordinate holds for the largest. ``gain`` is ||A||_{inf→inf}.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..arguments import number, reals
from ._common import checked, qmax

CRITERIA = ("max", "mean", "last")


def _reach(scale: float, bits: int) -> float:
    """qmax·s, how far the grid follows in one step."""
    return qmax(bits) * number("a static scale", scale, above=0)


def static_error(x: Any, scale: float, bits: int) -> np.ndarray:
    """ψ(|x|), the largest error of one quantization of x; the shape of x. See the top of this file."""
    reach = _reach(scale, bits)
    size = np.abs(reals("x", x))
    if not np.isfinite(size).all():
        raise ValueError("x is what is quantized: NaN and Inf have no error")
    return np.minimum(size, np.maximum(scale / 2, size - reach))


def static_contraction(x: Any, scale: float, bits: int) -> np.ndarray:
    """κ at size M: the largest ||x - Q(x)||_inf/||x||_inf of blocks with ||x||_inf = M, which is ψ(M)/M.

    1 in the dead zone M <= s/2, s/(2M) on the grid, least 1/(2·qmax+1) at M = (qmax+½)s, and 1 - qmax·s/M beyond: it
    tends to 1 at both ends. At M = qmax·s it is AbsMax's 1/(2·qmax); a scale too coarse by a factor f multiplies that
    by f (up to 1), one too fine by f makes it 1 - 1/f (from f = (qmax+½)/qmax on).
    Tight for every M and d >= 2: the block (M, min(M, s/2)).
    """
    size = np.abs(reals("x", x))
    if not np.all(size > 0):
        raise ValueError("static_contraction needs sizes > 0: a ratio of norms of a zero block is undefined")
    return static_error(size, scale, bits) / size


def static_direct(a: Any, scale: float, bits: int, *, gain: float = 1.0) -> np.ndarray:
    """Direct quantization with a static scale: ||o - A(Q(a))||_inf <= ||A||_{inf→inf} ψ(||a||_inf)."""
    return gain * static_error(checked(a, 0.0, gain=gain), scale, bits)


def static_open_loop(d: Any, scale: float, bits: int, *, gain: float = 1.0) -> np.ndarray:
    """Without compensation the losses add up, never made good: ||o - õ||_inf <= ||A||_{inf→inf} Σ_k ψ(||d_k||_inf).

    Tight at every step: differences d_k >= 0 at which φ = ψ (top of this file), so that all errors have one sign.
    """
    return gain * np.cumsum(static_error(checked(d, 0.0, gain=gain), scale, bits), axis=0)


def static_closed_loop(d: Any, scale: float, bits: int, *, gain: float = 1.0, start: Any = 0.0) -> np.ndarray:
    """With compensation a loss is a *backlog* that later steps work off: E_j = ψ(||d_j|| + E_{j-1}), E_{-1} = start.

    Proof: e_j = φ(r_j), r_j = d_j + e_{j-1}, and ψ does not decrease. Unlike a contraction it has no factor below 1:
    E_j <= s/2 for ever if ||d_j|| <= qmax·s for all j (and start <= s/2), because ||r_j|| <= (qmax+½)s then. A larger
    difference overloads the grid in the worst case, by the Lindley recursion of a queue (see ``backlog``).
    Tight at every step: d_j >= 0 such that φ = ψ at every residual (top of this file); exact in floats where s and
    the differences are multiples of one power of two.
    """
    d = checked(d, 0.0, start=start, gain=gain)
    error, E = np.asarray(start, np.float64), []
    for row in d:
        error = static_error(row + error, scale, bits)
        E.append(error)
    return gain * np.stack(E)


def backlog(d: Any, scale: float, bits: int) -> np.ndarray:
    """W_j = max(0, max_k Σ_{i=k}^{j} (||d_i|| - qmax·s)), the overload in closed form: E_j <= s/2 + W_j.

    Each step brings ||d_j|| and works off the reach qmax·s; W is what the worst run of recent steps has left over.
    Proof: with E_j <= s/2 + W_j, ψ(x) <= max(s/2, x - qmax·s) gives W_j = max(0, W_{j-1} + ||d_j|| - qmax·s), which
    unrolls to the maximum. Equality for start = s/2; an exact start lets E be smaller, by at most s/2.
    """
    surplus = np.cumsum(checked(d, 0.0) - _reach(scale, bits), axis=0)
    before = np.concatenate([np.zeros_like(surplus[:1]), surplus])
    return surplus - np.minimum.accumulate(before)[1:]


def steps_to_drain(left: float, rest: float, scale: float, bits: int) -> float:
    """After how many steps a backlog W has gone, while every difference is at most ``rest``: ⌈W/(qmax·s - rest)⌉.

    inf if rest >= qmax·s and W > 0: it never does. Tight: differences of exactly ``rest``, one-sided.
    """
    number("left", left, what="a backlog")
    spare = _reach(scale, bits) - number("rest", rest, what="the size of the differences after a backlog")
    if left == 0:
        return 0
    return math.ceil(left / spare) if spare > 0 else math.inf


def best_static_scale(d: Any, bits: int, *, criterion: str = "max") -> float:
    """The scale with the least bound s/2 + W_j(s) for differences of these max norms, shape (n,).

    "max":  its maximum over the steps. s = max_j ||d_j||/qmax, with error s/2 = max||d||/(2·qmax): no overload at all.
    "last": its last row. s = the largest mean of the last m differences, over qmax: an early burst may overload.
    "mean": its mean over the steps: rare bursts overload where that costs less than coarse steps all the time.

    Proof: W_j is a maximum of functions linear in s, so every criterion is convex in s, with slope ½ from the granular
    noise and -m·qmax where the worst run has m steps. As m·qmax >= 1 > ½, "max" and "last" fall until there is no
    overload: until max_j,m of the mean of m differences ending at j (which is the largest difference), or of those
    ending at the last. "mean" has slope ½ - qmax·(mean over steps of m_j); its zero is found by bisection.

    For ||d|| constant that is D/(2·qmax), less than the dynamic closed loop's D/(2·qmax-1), whose scale also covers the
    error it carries; where differences shrink, the dynamic scale follows and this one does not.
    The best scale of the recursion itself (``static_closed_loop``, which an exact start lets begin below s/2) lies
    between D/(qmax+½) and this one for "max", and its error is at least D/(2·qmax+1): at most 1/(2·qmax+1) better.
    """
    d = checked(d, 0.0)
    if d.ndim != 1:
        raise ValueError(f"best_static_scale takes one sequence of norms, shape (n,), got {d.shape}")
    if criterion not in CRITERIA:
        raise ValueError(f"unknown criterion {criterion!r}; known: {', '.join(CRITERIA)}")
    if not d.any():
        raise ValueError("all differences are 0: every scale is as good as any other")
    top = qmax(bits)
    if criterion == "max":
        return float(d.max() / top)
    if criterion == "last":
        return float((np.cumsum(d[::-1]) / np.arange(1, len(d) + 1)).max() / top)
    low, high = 0.0, float(d.max() / top)
    while (middle := (low + high) / 2) not in (low, high):
        busy = _run_lengths(d, middle * top)
        low, high = (middle, high) if top * busy.mean() > 0.5 else (low, middle)
    return high


def _run_lengths(d: np.ndarray, reach: float) -> np.ndarray:
    """m_j: how many steps the worst run that ends at j has, 0 where there is no backlog."""
    left, m, lengths = 0.0, 0, []
    for size in d:
        left += size - reach
        left, m = (left, m + 1) if left > 0 else (0.0, 0)
        lengths.append(m)
    return np.asarray(lengths)
