"""Starts and restarts: repeated warm-up inputs, refreshes in full precision, and what they cost.

``contraction`` is that of the norm in use: kappa for max norms, q = √c for 2-norms. R = ||a||/||d|| is the size of the
inputs over that of their differences. Calls are counted from 0 (the start); difference k leads to call k+1.

An inexact start ||e_T|| enters the closed loop's bounds as contraction^n·||e_T|| after n calls (their ``start``), and
stays in the open loop's as it is: nothing ever looks at it again.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..arguments import count, number, reals
from ..recursion import Refresh, refresh_calls, refreshes
from ._common import checked, geometric, times
from .static import steps_to_drain

Bound = Callable[..., np.ndarray]


def refreshed(bound: Bound, d: Any, refresh: Refresh, *, start: Any = 0.0) -> np.ndarray:
    """A bound that starts again from 0 at every refresh; shape of d, row k is after call k+1.

    bound(d) -> bound after each difference, from an exact start: a ``functools.partial`` of any open- or closed-loop
    bound of this package. The stretch before the first refresh is called with ``start=start`` where start is not 0.
    ``refresh`` as in ``recursion``: "never", every k-th call, or call indices; a refreshed call has error 0.
    Proof: a refresh sets ref = a and ô = A(a), the exact start; so the rest is the same run from there.
    """
    d = checked(d, 0.0, start=start)
    is_refresh = refresh_calls(refresh)
    exact = [k for k in range(len(d)) if is_refresh(k + 1)]
    rows, begin = [], 0
    for end in [*exact, len(d)]:
        if end > begin:
            first = {"start": start} if begin == 0 and np.any(np.asarray(start) != 0) else {}
            rows.append(bound(d[begin:end], **first))
        if end < len(d):
            rows.append(np.zeros((1, *d.shape[1:])))
        begin = end + 1
    shape = np.broadcast_shapes(*(row.shape[1:] for row in rows))
    return np.concatenate([np.broadcast_to(row, (len(row), *shape)) for row in rows])


def refresh_worst_case(every: int, contraction: float, *, recursion: str = "closed_loop", size: float = 1.0) -> float:
    """The largest bound between refreshes every k = ``every`` calls, for differences of at most ``size``.

    κ(1-κ^(k-1))/(1-κ)·max||d|| with compensation ((k-1)·max||d|| at κ = 1), (k-1)κ·max||d|| without: k-1 differences
    lead from one refresh to the last call before the next. Attained with AbsMax in the max norm, by
    ``processes.alternating`` begun again at every refresh, and by ties that all round to the same side.
    With compensation a refresh gains at most the factor 1-κ^(k-1) on the calls between.
    """
    _check(contraction)
    number("size", size, what="the largest norm of a difference")
    calls = count("every, k of a refresh every k calls,", every) - 1
    if recursion == "open_loop":
        return calls * contraction * size
    if recursion != "closed_loop":
        raise ValueError(f"unknown recursion {recursion!r}; known: closed_loop, open_loop")
    return float(times(size, geometric(calls, contraction)))


def refresh_interval(ratio: float) -> int:
    """The largest k such that the open loop, refreshed every k calls, is below direct quantization at its worst call.

    (k-1)κ||d|| < κ||a|| is k < 1 + R, whatever κ and so whatever the bits: k = ⌈R⌉ for R = ||a||/||d|| = ``ratio``.
    Both are attained bounds in the same norm, for norms that stay the same from call to call.
    """
    return math.ceil(number("ratio", ratio, above=0, what="||a||/||d||"))


def refresh_share(refresh: Refresh, calls: int) -> float:
    """Share of the calls that are done in full precision: the exact start, call 0, and the refreshes."""
    return (1 + refreshes(refresh, count("calls", calls))) / calls


def effective_bits(bits: Any, share: Any, *, full: float = 32) -> Any:
    """Mean activation bits per call where a ``share`` of the calls has ``full`` bits: bits + share·(full - bits).

    Bit operations are MACs × weight bits × activation bits, so they grow with this mean. Numbers or arrays.
    """
    bits, share = reals("bits", bits), reals("share", share)
    if not ((share >= 0) & (share <= 1)).all():
        raise ValueError(f"share is a part of the calls, between 0 and 1; got {share}")
    if not (np.isfinite(bits) & (bits >= 0)).all():
        raise ValueError(f"bits are finite and >= 0, got {bits}")
    return (bits + share * (number("full", full) - bits))[()]


# -- the first input fed m times ----------------------------------------------------------------------------------


def warm_up_error(a: Any, contraction: float, feeds: int, *, recursion: str = "closed_loop") -> np.ndarray:
    """||a_T - â_T|| <= contraction^m ||a_T|| after the first input was fed m = ``feeds`` times, dynamic scales.

    Proof: the residual of feed i+1 is the error of feed i, and the first is a_T itself. In the open loop the residual
    of a second feed is a_T - a_T = 0: only the first counts, contraction·||a_T|| for every m >= 1.
    Attained for AbsMax by entries 1, κ, κ², ... (each in turn a tie beside the maximum). m = 0: nothing was fed.
    """
    _check(contraction)
    count("feeds", feeds, 0)
    if recursion not in ("closed_loop", "open_loop"):
        raise ValueError(f"unknown recursion {recursion!r}; known: closed_loop, open_loop")
    a = _sizes(a)
    with np.errstate(over="ignore"):
        kept = np.float64(contraction) ** (feeds if recursion == "closed_loop" else min(feeds, 1))
        return np.multiply(a, kept, out=np.zeros_like(a), where=a > 0)


def warm_up_ratio(contraction: float, feeds: int, *, share: float = 1.0) -> float:
    """The largest R = ||a_T||/||d|| at which m feeds leave at most ``share`` of the steady state κ/(1-κ)·||d||.

    κ^m R <= share·κ/(1-κ): R = share·κ^(1-m)/(1-κ). At 4 bits 15.1, 211, 2955, 41371 for m = 2..5.
    Needs 0 < κ < 1, without which there is no steady state: ValueError.
    """
    _below_one(contraction)
    number("share", share, above=0)
    with np.errstate(over="ignore"):
        return float(share * np.float64(contraction) ** (1 - count("feeds", feeds, 0)) / (1 - contraction))


def feeds_needed(contraction: float, ratio: float, *, share: float = 1.0) -> int:
    """The least m whose error κ^m||a_T|| is at most ``share`` of the steady state, for ||a_T||/||d|| = ``ratio``.

    Nothing is lost for good without them: an ordinary call contracts the start's error by κ as a feed does.
    """
    _below_one(contraction)
    number("share", share, above=0)
    number("ratio", ratio, what="||a_T||/||d||")
    if ratio == 0:
        return 0
    guess = 1 + (math.log(ratio) + math.log1p(-contraction) - math.log(share)) / -math.log(contraction)
    feeds = max(0, math.ceil(guess) - 1)  # the logarithms round: one step below is never too far
    while warm_up_ratio(contraction, feeds, share=share) < ratio:
        feeds += 1
    return feeds


def static_feeds(a: float, scale: float, bits: int) -> float:
    """Feeds until a **static** scale s has the error at s/2, where it stops: ⌈(||a_T||_inf/s - ½)/qmax⌉, at least 0.

    Feeding is a closed loop whose differences are 0 and whose first error is a_T: ``static_closed_loop`` with d = 0 and
    start = ||a_T||_inf is the error after every feed, max(s/2, ||a_T||_inf - m·qmax·s). Proof: an entry beyond
    (qmax+½)s saturates and loses qmax·s a feed (one level more below zero); one within ends at most s/2 from a level,
    and from then on it rounds to 0: s/2 remains, however often it is fed. Attained by a_T = (M, s/2), M > 0.
    """
    half = number("a static scale", scale, above=0) / 2
    return steps_to_drain(max(0.0, number("a", a, what="the norm of an input") - half), 0.0, scale, bits)


def _sizes(a: Any) -> np.ndarray:
    a = reals("a", a)
    if not (np.isfinite(a).all() and (a >= 0).all()):
        raise ValueError(f"a is the norm of an input, finite and >= 0; got {a}")
    return a


def _check(contraction: float) -> None:
    number("contraction", contraction, what="kappa or q = √c")


def _below_one(contraction: float) -> None:
    number("contraction", contraction, above=0, below=1, what="kappa or q = √c of a loop with a steady state")
