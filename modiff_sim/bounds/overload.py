"""Slope overload of a fixed scale in closed form: the backlog, how long it lasts, and the scale with the least of both.

The symbols are those of ``bounds.static``.
"""

from __future__ import annotations

import math

import numpy as np

from ..arguments import number
from ..names import one_of
from ..typing import ArrayLike
from ._common import checked, qmax
from .static import reach_of

CRITERIA = ("max", "mean", "last")


def backlog(d: ArrayLike, scale: float, bits: int) -> np.ndarray:
    """The overload W_j of a static scale in closed form: E_j <= s/2 + W_j.

        W_j = max(0, max_k Σ_{i=k}^{j} (||d_i|| - qmax·s))

    Parameters
    ----------
    d : array_like of float, shape (n,) or (n, trials)
        Max norms of the differences in sampling order, finite and >= 0.
    scale : float
        The static scale s, > 0.
    bits : int
        From 2 to 32.

    Returns
    -------
    numpy.ndarray
        W after each difference, shape of ``d``.

    Raises
    ------
    TypeError
        If an argument does not hold real numbers.
    ValueError
        If ``d`` is empty, or if a norm or a constant is negative, infinite or NaN.

    Notes
    -----
    Each step brings ||d_j|| and works off the reach qmax·s; W is what the worst run of recent steps has left over.
    Proof: with E_j <= s/2 + W_j, ψ(x) <= max(s/2, x - qmax·s) gives W_j = max(0, W_{j-1} + ||d_j|| - qmax·s), which
    unrolls to the maximum. Equality for start = s/2; an exact start lets E be smaller, by at most s/2.

    References
    ----------
    docs/theory.md, section 6.

    Examples
    --------
    >>> from modiff_sim import bounds
    >>> bounds.backlog([2.0, 20.0, 0.0, 0.0], scale=1.0, bits=4)
    array([ 0., 13.,  6.,  0.])
    """
    surplus = np.cumsum(checked(d, 0.0) - reach_of(scale, bits), axis=0)
    before = np.concatenate([np.zeros_like(surplus[:1]), surplus])
    return surplus - np.minimum.accumulate(before)[1:]


def steps_to_drain(left: float, rest: float, scale: float, bits: int) -> float:
    """Steps after which a backlog W is gone, while every later difference is at most ``rest``: ⌈W/(qmax·s - rest)⌉.

    Parameters
    ----------
    left : float
        The backlog W, >= 0.
    rest : float
        Largest max norm of the differences after it, >= 0.
    scale : float
        The static scale s, > 0.
    bits : int
        From 2 to 32.

    Returns
    -------
    float
        The number of steps; inf if rest >= qmax·s and W > 0, because the backlog then stays.

    Raises
    ------
    TypeError
        If a constant is not a real number.
    ValueError
        If an argument is out of range.

    Notes
    -----
    Tight: differences of exactly ``rest``, all of one sign.

    Examples
    --------
    >>> from modiff_sim import bounds
    >>> bounds.steps_to_drain(13.0, rest=1.0, scale=1.0, bits=4)
    3
    """
    number("left", left, what="a backlog")
    spare = reach_of(scale, bits) - number("rest", rest, what="the size of the differences after a backlog")
    if left == 0:
        return 0
    return math.ceil(left / spare) if spare > 0 else math.inf


def best_static_scale(d: ArrayLike, bits: int, *, criterion: str = "max") -> float:
    """The static scale with the least bound s/2 + W_j(s) for a sequence of differences.

    Parameters
    ----------
    d : array_like of float, shape (n,)
        Max norms of the differences in sampling order, finite and >= 0, not all 0.
    bits : int
        From 2 to 32.
    criterion : {"max", "mean", "last"}, default "max"
        What is minimised. "max": the maximum over the steps, where s = max_j ||d_j||/qmax with the error s/2 =
        max||d||/(2·qmax), without any overload. "last": the last row, where s is the largest mean of the last m
        differences over qmax; an early burst may overload. "mean": the mean over the steps; rare bursts overload where
        that costs less than coarse steps all the time.

    Returns
    -------
    float
        The scale.

    Raises
    ------
    TypeError
        If ``d`` does not hold real numbers.
    ValueError
        For an unknown criterion, another shape, norms out of range, or differences that are all 0.

    Notes
    -----
    Proof: W_j is a maximum of functions linear in s, so every criterion is convex in s, with slope ½ from the granular
    noise and -m·qmax where the worst run has m steps. As m·qmax >= 1 > ½, "max" and "last" fall until there is no
    overload: until max_j,m of the mean of m differences ending at j (which is the largest difference), or of those
    ending at the last. "mean" has slope ½ - qmax·(mean over steps of m_j); its zero is found by bisection.

    For ||d|| constant the error is D/(2·qmax), less than the dynamic closed loop's D/(2·qmax-1), whose scale also
    covers the error it carries. Where differences shrink, the dynamic scale follows and this one does not. The best
    scale of the recursion itself (``static_closed_loop``, which an exact start lets begin below s/2) lies between
    D/(qmax+½) and this one for "max", and its error is at least D/(2·qmax+1): at most 1/(2·qmax+1) better.

    References
    ----------
    docs/theory.md, section 6.

    Examples
    --------
    >>> from modiff_sim import bounds
    >>> bounds.best_static_scale([7.0, 3.5, 14.0, 1.0], bits=4)
    2.0
    >>> bounds.best_static_scale([7.0, 3.5, 14.0, 1.0], bits=4, criterion="last")
    1.0714285714285714
    """
    d = checked(d, 0.0)
    if d.ndim != 1:
        raise ValueError(f"best_static_scale takes one sequence of norms, shape (n,), got {d.shape}")
    one_of("criterion", criterion, CRITERIA)
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
