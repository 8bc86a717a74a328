"""Starts and restarts: repeated warm-up inputs, refreshes in full precision, and what they cost.

``contraction`` is that of the norm in use: kappa for max norms, q = √c for 2-norms. R = ||a||/||d|| is the size of the
inputs over that of their differences. Calls are counted from 0 (the start); difference k leads to call k+1.

An inexact start ||e_T|| enters the closed loop's bounds as contraction^n·||e_T|| after n calls (their ``start``). In
the open loop's bounds it stays as it is, because no later call looks at it again.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ..arguments import count, number, reals
from ..names import one_of
from ..recursion import Refresh, refresh_calls, refreshes
from ..typing import Array, ArrayLike
from ._common import checked, geometric, times

Bound = Callable[..., np.ndarray]


def refreshed(bound: Bound, d: ArrayLike, refresh: Refresh, *, start: ArrayLike = 0.0) -> np.ndarray:
    """A bound that starts again from 0 at every refresh.

    Parameters
    ----------
    bound : callable
        bound(d) -> bound after each difference from an exact start: a ``functools.partial`` of any open- or closed-loop
        bound of this package. The stretch before the first refresh is called with ``start=start`` where start is not 0.
    d : array_like of float, shape (n,) or (n, trials)
        Norms of the differences in sampling order, finite and >= 0.
    refresh : "never", int or iterable of int
        As in ``recursion``: "never", every k-th call, or the indices of the calls.
    start : float or array_like, default 0.0
        Norm of the error of an inexact start, one number or one per trial; 0 is the exact start.

    Returns
    -------
    numpy.ndarray
        The bound, shape of ``d``. Row k is after call k+1; a refreshed call has error 0.

    Raises
    ------
    TypeError
        If an argument does not hold real numbers.
    ValueError
        For norms out of range or a refresh that is none of the above.

    Notes
    -----
    Proof: a refresh sets ref = a and ô = A(a), the exact start; the rest is therefore the same run from there.

    References
    ----------
    docs/theory.md, section 5.

    Examples
    --------
    >>> from functools import partial
    >>> from modiff_sim import bounds
    >>> bounds.refreshed(partial(bounds.sharp_open_loop, c=0.25), [1.0] * 5, refresh=3)
    array([0.5, 1. , 0. , 0.5, 1. ])
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
    """The largest bound between two refreshes, for differences of bounded size.

    Parameters
    ----------
    every : int
        k of a refresh at every k-th call, >= 1.
    contraction : float
        kappa in the max norm, or q = √c in the 2-norm.
    recursion : {"closed_loop", "open_loop"}, default "closed_loop"
        The loop.
    size : float, default 1.0
        The largest norm of a difference.

    Returns
    -------
    float
        κ(1-κ^(k-1))/(1-κ)·size with compensation ((k-1)·size at κ = 1), and (k-1)κ·size without.

    Raises
    ------
    TypeError
        If a constant is not a real number.
    ValueError
        For an unknown recursion or arguments out of range.

    Notes
    -----
    k-1 differences lead from one refresh to the last call before the next. Attained with AbsMax in the max norm, by
    ``processes.alternating`` begun again at every refresh, and by ties that all round to the same side. With
    compensation a refresh gains at most the factor 1-κ^(k-1) on the calls between.

    References
    ----------
    docs/theory.md, section 5.

    Examples
    --------
    >>> from modiff_sim import bounds
    >>> bounds.refresh_worst_case(4, 0.5)
    0.875
    >>> bounds.refresh_worst_case(4, 0.5, recursion="open_loop")
    1.5
    """
    _check(contraction)
    number("size", size, what="the largest norm of a difference")
    calls = count("every, k of a refresh every k calls,", every) - 1
    if one_of("recursion", recursion, ("closed_loop", "open_loop")) == "open_loop":
        return calls * contraction * size
    return float(times(size, geometric(calls, contraction)))


def refresh_interval(ratio: float) -> int:
    """The largest k such that the open loop, refreshed every k calls, beats direct quantization at its worst call.

    Parameters
    ----------
    ratio : float
        R = ||a||/||d||, the size of the inputs over that of their differences, > 0.

    Returns
    -------
    int
        k = ⌈R⌉.

    Raises
    ------
    TypeError
        If ``ratio`` is not a real number.
    ValueError
        If ``ratio`` is not finite and > 0.

    Notes
    -----
    (k-1)κ||d|| < κ||a|| is k < 1 + R, whatever κ is, and so whatever the bits are. Both are attained bounds in the same
    norm, for norms that stay the same from call to call.

    Examples
    --------
    >>> from modiff_sim import bounds
    >>> bounds.refresh_interval(7.5)
    8
    """
    return math.ceil(number("ratio", ratio, above=0, what="||a||/||d||"))


def refresh_share(refresh: Refresh, calls: int) -> float:
    """Share of the calls that are done in full precision: the exact start, call 0, and the refreshes.

    Parameters
    ----------
    refresh : "never", int or iterable of int
        As in ``recursion``: "never", every k-th call, or the indices of the calls.
    calls : int
        How many calls the run has, >= 1.

    Returns
    -------
    float
        A part of the calls, between 0 and 1.

    Raises
    ------
    ValueError
        If ``calls`` is not an int >= 1, or for a refresh that is none of the above.

    Examples
    --------
    >>> from modiff_sim import bounds
    >>> bounds.refresh_share(10, calls=100)
    0.1
    """
    return (1 + refreshes(refresh, count("calls", calls))) / calls


def effective_bits(bits: ArrayLike, share: ArrayLike, *, full: float = 32) -> Array:
    """Mean activation bits per call where a share of the calls is in full precision.

    Parameters
    ----------
    bits : array_like of float
        Bits of the quantized calls, finite and >= 0.
    share : array_like of float
        Part of the calls in full precision, between 0 and 1.
    full : float, default 32
        Bits of a call in full precision.

    Returns
    -------
    float or numpy.ndarray
        bits + share·(full - bits), of the broadcast shape of ``bits`` and ``share``.

    Raises
    ------
    TypeError
        If an argument does not hold real numbers.
    ValueError
        If an argument is out of range.

    Notes
    -----
    Bit operations are MACs × weight bits × activation bits, so they grow with this mean.

    Examples
    --------
    >>> from modiff_sim import bounds
    >>> float(bounds.effective_bits(4, share=0.25))
    11.0
    """
    bits, share = reals("bits", bits), reals("share", share)
    if not ((share >= 0) & (share <= 1)).all():
        raise ValueError(f"share is a part of the calls, between 0 and 1; got {share}")
    if not (np.isfinite(bits) & (bits >= 0)).all():
        raise ValueError(f"bits are finite and >= 0, got {bits}")
    return (bits + share * (number("full", full) - bits))[()]


def _check(contraction: float) -> None:
    number("contraction", contraction, what="kappa or q = √c")
