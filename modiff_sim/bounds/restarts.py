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

from ..recursion import Refresh, refresh_calls
from .static import steps_to_drain

Bound = Callable[..., np.ndarray]


def refreshed(bound: Bound, d: Any, refresh: Refresh, *, start: Any = 0.0) -> np.ndarray:
    """A bound that starts again from 0 at every refresh; shape of d, row k is after call k+1.

    bound(d) -> bound after each difference, from an exact start: a ``functools.partial`` of any open- or closed-loop
    bound of this package. The stretch before the first refresh is called with ``start=start`` where start is not 0.
    ``refresh`` as in ``recursion``: "never", every k-th call, or call indices; a refreshed call has error 0.
    Proof: a refresh sets ref = a and ô = A(a), the exact start; so the rest is the same run from there.
    """
    d = np.asarray(d, np.float64)
    if d.ndim == 0 or d.size == 0:
        raise ValueError(f"d must hold the norms of at least one difference, got shape {d.shape}")
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
    if every < 1:
        raise ValueError(f"a refresh every k calls needs k >= 1, got {every}")
    calls = every - 1
    if recursion == "open_loop":
        return calls * contraction * size
    if recursion != "closed_loop":
        raise ValueError(f"unknown recursion {recursion!r}; known: closed_loop, open_loop")
    total = math.fsum(contraction**i for i in range(1, calls + 1)) if contraction != 1 else float(calls)
    return total * size


def refresh_interval(ratio: float) -> int:
    """The largest k such that the open loop, refreshed every k calls, is below direct quantization at its worst call.

    (k-1)κ||d|| < κ||a|| is k < 1 + R, whatever κ and so whatever the bits: k = ⌈R⌉ for R = ||a||/||d|| = ``ratio``.
    Both are attained bounds in the same norm, for norms that stay the same from call to call.
    """
    if not 0 < ratio < math.inf:
        raise ValueError(f"ratio is ||a||/||d||, finite and > 0; got {ratio}")
    return math.ceil(ratio)


def refresh_share(refresh: Refresh, calls: int) -> float:
    """Share of the calls that are done in full precision: the exact start, call 0, and the refreshes."""
    if calls < 1:
        raise ValueError(f"calls must be at least 1, got {calls}")
    is_refresh = refresh_calls(refresh)
    return (1 + sum(is_refresh(call) for call in range(1, calls))) / calls


def effective_bits(bits: Any, share: Any, *, full: float = 32) -> Any:
    """Mean activation bits per call where a ``share`` of the calls has ``full`` bits: bits + share·(full - bits).

    Bit operations are MACs × weight bits × activation bits, so they grow with this mean. Numbers or arrays.
    """
    if not np.all((np.asarray(share) >= 0) & (np.asarray(share) <= 1)):
        raise ValueError(f"share is a part of the calls, between 0 and 1; got {share}")
    return bits + share * (full - bits)


# -- the first input fed m times ----------------------------------------------------------------------------------


def warm_up_error(a: Any, contraction: float, feeds: int, *, recursion: str = "closed_loop") -> np.ndarray:
    """||a_T - â_T|| <= contraction^m ||a_T|| after the first input was fed m = ``feeds`` times, dynamic scales.

    Proof: the residual of feed i+1 is the error of feed i, and the first is a_T itself. In the open loop the residual
    of a second feed is a_T - a_T = 0: only the first counts, contraction·||a_T|| for every m >= 1.
    Attained for AbsMax by entries 1, κ, κ², ... (each in turn a tie beside the maximum). m = 0: nothing was fed.
    """
    _check(contraction)
    if feeds < 0 or recursion not in ("closed_loop", "open_loop"):
        raise ValueError(f"feeds >= 0 of closed_loop or open_loop, got feeds={feeds}, recursion={recursion!r}")
    return _sizes(a) * contraction ** (feeds if recursion == "closed_loop" else min(feeds, 1))


def warm_up_ratio(contraction: float, feeds: int, *, share: float = 1.0) -> float:
    """The largest R = ||a_T||/||d|| at which m feeds leave at most ``share`` of the steady state κ/(1-κ)·||d||.

    κ^m R <= share·κ/(1-κ): R = share·κ^(1-m)/(1-κ). At 4 bits 15.1, 211, 2955, 41371 for m = 2..5.
    Needs 0 < κ < 1, without which there is no steady state: ValueError.
    """
    _below_one(contraction)
    if feeds < 0 or not share > 0:
        raise ValueError(f"feeds >= 0 and a share > 0, got feeds={feeds}, share={share}")
    return share * contraction ** (1 - feeds) / (1 - contraction)


def feeds_needed(contraction: float, ratio: float, *, share: float = 1.0) -> int:
    """The least m whose error κ^m||a_T|| is at most ``share`` of the steady state, for ||a_T||/||d|| = ``ratio``.

    Nothing is lost for good without them: an ordinary call contracts the start's error by κ as a feed does.
    """
    _below_one(contraction)
    if not 0 <= ratio < math.inf or not share > 0:
        raise ValueError(f"a finite ratio >= 0 and a share > 0, got ratio={ratio}, share={share}")
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
    return steps_to_drain(max(0.0, float(_sizes(a)) - scale / 2), 0.0, scale, bits)


def _sizes(a: Any) -> np.ndarray:
    a = np.asarray(a, np.float64)
    if not (np.isfinite(a).all() and (a >= 0).all()):
        raise ValueError(f"a is the norm of an input, finite and >= 0; got {a}")
    return a


def _check(contraction: float) -> None:
    if not 0 <= contraction < math.inf:
        raise ValueError(f"contraction is kappa or q = √c, finite and >= 0; got {contraction}")


def _below_one(contraction: float) -> None:
    if not 0 < contraction < 1:
        raise ValueError(f"a steady state needs 0 < contraction < 1 (kappa or q = √c), got {contraction}")
