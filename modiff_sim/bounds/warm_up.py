"""The first input fed m times: the error that the start then has, and how many feeds are enough.

``contraction`` is that of the norm in use: kappa for max norms, q = √c for 2-norms.
"""

from __future__ import annotations

import math

import numpy as np

from ..arguments import count, number, reals
from ..names import one_of
from ..typing import ArrayLike
from .overload import steps_to_drain


def warm_up_error(a: ArrayLike, contraction: float, feeds: int, *, recursion: str = "closed_loop") -> np.ndarray:
    """Error of the start after the first input was fed m times with dynamic scales: contraction^m ||a_T||.

    Parameters
    ----------
    a : array_like of float
        ||a_T||, norms of the first input, finite and >= 0.
    contraction : float
        kappa in the max norm, or q = √c in the 2-norm.
    feeds : int
        m, how often the first input is fed; 0 means that nothing was fed.
    recursion : {"closed_loop", "open_loop"}, default "closed_loop"
        The loop. In the open loop only the first feed counts: contraction·||a_T|| for every m >= 1.

    Returns
    -------
    numpy.ndarray
        The bound on ||a_T - â_T||, shape of ``a``.

    Raises
    ------
    TypeError
        If an argument does not hold real numbers.
    ValueError
        For an unknown recursion or arguments out of range.

    Notes
    -----
    Proof: the residual of feed i+1 is the error of feed i, and the first residual is a_T itself. In the open loop the
    residual of a second feed is a_T - a_T = 0. Attained for AbsMax by entries 1, κ, κ², ... (each in turn a tie beside
    the maximum).

    References
    ----------
    docs/theory.md, section 5.

    Examples
    --------
    >>> from modiff_sim import bounds
    >>> bounds.warm_up_error([8.0, 16.0], contraction=0.5, feeds=3)
    array([1., 2.])
    """
    number("contraction", contraction, what="kappa or q = √c")
    count("feeds", feeds, 0)
    one_of("recursion", recursion, ("closed_loop", "open_loop"))
    a = _sizes(a)
    with np.errstate(over="ignore"):
        kept = np.float64(contraction) ** (feeds if recursion == "closed_loop" else min(feeds, 1))
        return np.multiply(a, kept, out=np.zeros_like(a), where=a > 0)


def warm_up_ratio(contraction: float, feeds: int, *, share: float = 1.0) -> float:
    """The largest R = ||a_T||/||d|| at which m feeds leave at most a share of the steady state κ/(1-κ)·||d||.

    Parameters
    ----------
    contraction : float
        kappa in the max norm, or q = √c in the 2-norm; 0 < κ < 1, without which there is no steady state.
    feeds : int
        m, how often the first input is fed, >= 0.
    share : float, default 1.0
        The share of the steady state that the start's error may have, > 0.

    Returns
    -------
    float
        R = share·κ^(1-m)/(1-κ), from κ^m R <= share·κ/(1-κ). At 4 bits 15.1, 211, 2955, 41371 for m = 2..5.

    Raises
    ------
    TypeError
        If a constant is not a real number.
    ValueError
        If an argument is out of range.

    References
    ----------
    docs/theory.md, section 5.

    Examples
    --------
    >>> from modiff_sim import bounds
    >>> round(bounds.warm_up_ratio(1 / 14, feeds=2), 2)
    15.08
    """
    _below_one(contraction)
    number("share", share, above=0)
    with np.errstate(over="ignore"):
        return float(share * np.float64(contraction) ** (1 - count("feeds", feeds, 0)) / (1 - contraction))


def feeds_needed(contraction: float, ratio: float, *, share: float = 1.0) -> int:
    """The least number of feeds m whose error κ^m||a_T|| is at most a share of the steady state.

    Without these feeds nothing is lost for good: an ordinary call contracts the start's error by κ, as a feed does.

    Parameters
    ----------
    contraction : float
        kappa in the max norm, or q = √c in the 2-norm; 0 < κ < 1, without which there is no steady state.
    ratio : float
        ||a_T||/||d||, >= 0.
    share : float, default 1.0
        The share of the steady state that the start's error may have, > 0.

    Returns
    -------
    int
        m, >= 0.

    Raises
    ------
    TypeError
        If a constant is not a real number.
    ValueError
        If an argument is out of range.

    References
    ----------
    docs/theory.md, section 5.

    Examples
    --------
    >>> from modiff_sim import bounds
    >>> bounds.feeds_needed(1 / 14, ratio=100)
    3
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
    """Feeds until a **static** scale s has the error of the first input at s/2, where it stops.

    Parameters
    ----------
    a : float
        ||a_T||_inf, >= 0.
    scale : float
        The static scale s, > 0.
    bits : int
        From 2 to 32.

    Returns
    -------
    float
        ⌈(||a_T||_inf/s - ½)/qmax⌉, and at least 0.

    Raises
    ------
    TypeError
        If a constant is not a real number.
    ValueError
        If an argument is out of range.

    Notes
    -----
    Feeding is a closed loop whose differences are 0 and whose first error is a_T: ``static_closed_loop`` with d = 0 and
    start = ||a_T||_inf is the error after every feed, max(s/2, ||a_T||_inf - m·qmax·s). Proof: an entry beyond
    (qmax+½)s saturates and loses qmax·s a feed (one level more below zero). An entry within ends at most s/2 from a
    level, and from then on it rounds to 0: s/2 remains, however often it is fed. Attained by a_T = (M, s/2), M > 0.

    References
    ----------
    docs/theory.md, section 5.

    Examples
    --------
    >>> from modiff_sim import bounds
    >>> bounds.static_feeds(10.0, scale=0.5, bits=4)
    3
    """
    half = number("a static scale", scale, above=0) / 2
    return steps_to_drain(max(0.0, number("a", a, what="the norm of an input") - half), 0.0, scale, bits)


def _sizes(a: ArrayLike) -> np.ndarray:
    a = reals("a", a)
    if not (np.isfinite(a).all() and (a >= 0).all()):
        raise ValueError(f"a is the norm of an input, finite and >= 0; got {a}")
    return a


def _below_one(contraction: float) -> None:
    number("contraction", contraction, above=0, below=1, what="kappa or q = √c of a loop with a steady state")
