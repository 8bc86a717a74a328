"""How an error grows with the number of calls: an exponent fitted to runs, with its confidence interval.

    error ∝ n^p        ``power_law``: p = 0 settles, ½ is a random walk, 1 is linear
    error ∝ exp(r n)   ``slope`` against the calls themselves: r = log q for an impulse in the closed loop

Rows are calls in sampling order, columns independent trials. The root mean square over the trials is fitted, since that
is what adds up: n uncorrelated errors of variance v have exactly √(n v).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..arguments import affordable, count, number, reals
from ..typing import ArrayLike


class Fit(NamedTuple):
    """A fitted slope and its confidence interval, of width 0 for a single trial, which is a deterministic run.

    Parameters
    ----------
    slope : float
        The fitted slope.
    low, high : float
        The ends of its confidence interval.

    Examples
    --------
    >>> from modiff_sim import growth
    >>> growth.Fit(slope=0.5, low=0.4, high=0.6).slope
    0.5
    """

    slope: float
    low: float
    high: float


def slope(x: ArrayLike, error: ArrayLike, *, level: float = 0.95) -> Fit:
    """Least-squares slope of log(RMS error over trials) against x.

    Parameters
    ----------
    x : array_like of float, shape (points,)
        At least two different finite values.
    error : array_like of float, shape (points, trials)
        Errors, finite and >= 0. Calls of one trial may depend on each other.
    level : float, default 0.95
        Confidence level of the interval.

    Returns
    -------
    Fit
        The slope with the jackknife's interval over trials, with Student's t of trials - 1 degrees of freedom. No
        random numbers are involved, and the interval is honest for few trials.

    Raises
    ------
    TypeError
        If an argument does not hold real numbers.
    ValueError
        For shapes that do not fit, NaN or Inf, or a point whose errors are 0 in all trials but one: the logarithm of 0
        has no slope.

    Examples
    --------
    >>> from modiff_sim import growth
    >>> growth.slope([0.0, 1.0, 2.0], [[1.0], [0.5], [0.25]]).slope  # log(1/2)
    -0.6931471805599453
    """
    x, error = reals("x", x), reals("error", error)
    if x.ndim != 1 or error.ndim != 2 or len(x) != len(error) or error.shape[1] == 0 or len(np.unique(x)) < 2:
        raise ValueError(
            f"a slope needs two or more different x (points,) and errors (points, trials), got {x.shape}, {error.shape}"
        )
    number("level", level, above=0, below=1, what="a probability")
    if not (np.isfinite(x).all() and np.isfinite(error).all() and (error >= 0).all()):
        raise ValueError("a slope of log error needs finite x and finite errors >= 0")
    largest = error.max(axis=1, keepdims=True)
    square = (error / np.where(largest > 0, largest, 1.0)) ** 2  # scaled: the square of a small error is not 0
    trials = square.shape[1]
    total = square.sum(axis=1, keepdims=True)
    without = total - square if trials > 1 else total
    if not ((total > 0).all() and (without > 0).all()):
        raise ValueError("a slope of log error needs errors that are not 0, at every point in at least two trials")
    centred = (x - x.mean()) / np.sum((x - x.mean()) ** 2)
    fitted = float(centred @ (np.log(largest) + 0.5 * np.log(total / trials))[:, 0])
    if trials == 1:
        return Fit(fitted, fitted, fitted)
    from scipy.special import stdtrit

    left_out = centred @ (np.log(largest) + 0.5 * np.log(without / (trials - 1)))
    deviation = np.sqrt((trials - 1) / trials * np.sum((left_out - left_out.mean()) ** 2))
    half = float(stdtrit(trials - 1, 0.5 + level / 2) * deviation)
    return Fit(fitted, fitted - half, fitted + half)


def calls(first: int, last: int, points: int = 40) -> np.ndarray:
    """About ``points`` call numbers from first to last, evenly spaced on a logarithmic axis, each once.

    Parameters
    ----------
    first, last : int
        The ends, 1 <= first < last.
    points : int, default 40
        How many numbers are asked for, at least 2.

    Returns
    -------
    numpy.ndarray
        Ascending int64 numbers; there are fewer than ``points`` where some coincide.

    Raises
    ------
    ValueError
        If an argument is out of range.
    MemoryError
        If so many points do not fit into this machine's memory.

    Examples
    --------
    >>> from modiff_sim import growth
    >>> growth.calls(1, 100, points=5)
    array([  1,   3,  10,  32, 100])
    """
    if count("first", first) >= count("last", last) or count("points", points) < 2:
        raise ValueError(f"calls go from first to a later last, in 2 points or more, got {first}, {last}, {points}")
    affordable(f"{points:,} points", 40 * points)
    return np.unique(np.geomspace(first, last, points).round().astype(np.int64))


def power_law(error: ArrayLike, *, first: int | None = None, level: float = 0.95) -> Fit:
    """Exponent p of error ∝ n^p, fitted over the calls from ``first`` to n.

    Parameters
    ----------
    error : array_like of float, shape (n, trials)
        Errors, finite and >= 0; row j is after j + 1 differences, n >= 16.
    first : int, optional
        The call at which the transient is over; n/8 by default.
    level : float, default 0.95
        Confidence level of the interval.

    Returns
    -------
    Fit
        The exponent with its interval, as ``slope`` computes it. Points are evenly spaced in log n, so that the many
        late calls do not decide alone.

    Raises
    ------
    TypeError
        If ``error`` does not hold real numbers.
    ValueError
        For another shape, fewer than 16 calls, NaN or Inf, or errors of 0 (see ``slope``).

    Examples
    --------
    >>> import numpy as np
    >>> from modiff_sim import growth
    >>> round(growth.power_law(np.sqrt(np.arange(1.0, 101.0))[:, None]).slope, 6)
    0.5
    """
    error = reals("error", error, finite=True)
    if error.ndim != 2 or len(error) < 16:
        raise ValueError(f"an exponent needs errors (calls, trials) of at least 16 calls, got shape {error.shape}")
    chosen = calls(max(len(error) // 8, 1) if first is None else first, len(error))
    return slope(np.log(chosen), error[chosen - 1], level=level)
