"""A fixed scale s: granular noise of half a step, and slope overload where a difference outruns the grid.

``Static`` quantizes with the codes clip(round(x/s), -(qmax+1), qmax), qmax = 2^(b-1)-1. Its error φ(x) = x - Q(x) obeys

    |φ(x)| <= ψ(|x|),  ψ(x) = min(x, max(s/2, x - qmax·s)):

in the dead zone x <= s/2 the code is 0 and everything is lost; in the granular range half a step is lost; beyond the
last level the excess is. ψ does not decrease and is at most x. Two's complement has one level more on the negative
side, where the excess is smaller by s: there ψ is conservative. Tight for x >= 0: equality in the dead zone, at
x = (k+½)s for even codes k (ties go to even, so the error is +s/2), and for x >= (qmax+½)s.

Sizes are |d_j| of one coordinate or ||d_j||_inf of all, in sampling order, shape (n,) or (n, ...). As ψ does not
decrease, what holds for every coordinate holds for the largest. ``gain`` is ||A||_{inf→inf}.
"""

from __future__ import annotations

import numpy as np

from ..arguments import number, reals
from ..typing import ArrayLike
from ._common import checked, qmax


def reach_of(scale: float, bits: int) -> float:
    """How far the grid follows in one step: qmax·s."""
    return qmax(bits) * number("a static scale", scale, above=0)


def static_error(x: ArrayLike, scale: float, bits: int) -> np.ndarray:
    """ψ(|x|), the largest error of one quantization of x with a static scale.

    Parameters
    ----------
    x : array_like of float
        What is quantized, or its sizes; NaN and Inf are refused.
    scale : float
        The static scale s, > 0.
    bits : int
        From 2 to 32.

    Returns
    -------
    numpy.ndarray
        min(|x|, max(s/2, |x| - qmax·s)), shape of ``x``: see ``modiff_sim.bounds.static`` for where it is attained.

    Raises
    ------
    TypeError
        If ``x`` or ``scale`` is not real.
    ValueError
        If an argument is out of range.

    References
    ----------
    docs/theory.md, section 6.

    Examples
    --------
    >>> from modiff_sim import bounds
    >>> bounds.static_error([0.25, 2.0, 10.0], scale=1.0, bits=4)
    array([0.25, 0.5 , 3.  ])
    """
    reach = reach_of(scale, bits)
    size = np.abs(reals("x", x))
    if not np.isfinite(size).all():
        raise ValueError("x must be finite: NaN and Inf cannot be quantized")
    return np.minimum(size, np.maximum(scale / 2, size - reach))


def static_contraction(x: ArrayLike, scale: float, bits: int) -> np.ndarray:
    """κ of a static scale at size M: the largest ||x - Q(x)||_inf/||x||_inf of blocks with ||x||_inf = M.

    Parameters
    ----------
    x : array_like of float
        Sizes M (their signs do not count), not 0.
    scale : float
        The static scale s, > 0.
    bits : int
        From 2 to 32.

    Returns
    -------
    numpy.ndarray
        κ = ψ(M)/M at each size, shape of ``x``.

    Raises
    ------
    TypeError
        If ``x`` or ``scale`` is not real.
    ValueError
        For a size of 0, whose ratio is undefined, and for arguments out of range.

    Notes
    -----
    1 in the dead zone M <= s/2, s/(2M) on the grid, least 1/(2·qmax+1) at M = (qmax+½)s, and 1 - qmax·s/M beyond: it
    tends to 1 at both ends. At M = qmax·s it is AbsMax's 1/(2·qmax). A scale that is too coarse by a factor f
    multiplies that by f (up to 1); one that is too fine by f makes it 1 - 1/f (from f = (qmax+½)/qmax on).

    Tight for every M and d >= 2: the block (M, min(M, s/2)).

    References
    ----------
    docs/theory.md, section 6.

    Examples
    --------
    >>> from modiff_sim import bounds
    >>> bounds.static_contraction([0.5, 7.0, 28.0], scale=1.0, bits=4).round(4)
    array([1.    , 0.0714, 0.75  ])
    """
    size = np.abs(reals("x", x))
    if not np.all(size > 0):
        raise ValueError("static_contraction needs sizes > 0: a ratio of norms of a zero block is undefined")
    return static_error(size, scale, bits) / size


def static_direct(a: ArrayLike, scale: float, bits: int, *, gain: float = 1.0) -> np.ndarray:
    """Bound of direct quantization with a static scale: ||o - A(Q(a))||_inf <= ||A||_{inf→inf} ψ(||a||_inf).

    Parameters
    ----------
    a : array_like of float, shape (n,) or (n, trials)
        Max norms of the inputs, finite and >= 0.
    scale : float
        The static scale s, > 0.
    bits : int
        From 2 to 32.
    gain : float, default 1.0
        ||A||_{inf→inf}, the largest absolute row sum of the operator.

    Returns
    -------
    numpy.ndarray
        The bound at each call, shape of ``a``.

    Raises
    ------
    TypeError
        If an argument does not hold real numbers.
    ValueError
        If ``d`` is empty, or if a norm or a constant is negative, infinite or NaN.

    References
    ----------
    docs/theory.md, section 6.

    Examples
    --------
    >>> from modiff_sim import bounds
    >>> bounds.static_direct([5.0, 9.0], scale=1.0, bits=4)
    array([0.5, 2. ])
    """
    return gain * static_error(checked(a, 0.0, gain=gain), scale, bits)


def static_open_loop(d: ArrayLike, scale: float, bits: int, *, gain: float = 1.0) -> np.ndarray:
    """Bound of the open loop with a static scale: the losses add up and are never made good.

        ||o - õ||_inf <= ||A||_{inf→inf} Σ_k ψ(||d_k||_inf)

    Parameters
    ----------
    d : array_like of float, shape (n,) or (n, trials)
        Max norms of the differences in sampling order, finite and >= 0.
    scale : float
        The static scale s, > 0.
    bits : int
        From 2 to 32.
    gain : float, default 1.0
        ||A||_{inf→inf}, the largest absolute row sum of the operator.

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
    Tight at every step: differences d_k >= 0 at which φ = ψ (``modiff_sim.bounds.static``), so that all errors have one
    sign.

    References
    ----------
    docs/theory.md, section 6.

    Examples
    --------
    >>> from modiff_sim import bounds
    >>> bounds.static_open_loop([2.0, 9.0, 0.0], scale=1.0, bits=4)
    array([0.5, 2.5, 2.5])
    """
    return gain * np.cumsum(static_error(checked(d, 0.0, gain=gain), scale, bits), axis=0)


def static_closed_loop(
    d: ArrayLike, scale: float, bits: int, *, gain: float = 1.0, start: ArrayLike = 0.0
) -> np.ndarray:
    """Bound of the closed loop with a static scale, where a loss is a *backlog* that later steps work off.

        E_j = ψ(||d_j|| + E_{j-1}),  E_{-1} = start

    Parameters
    ----------
    d : array_like of float, shape (n,) or (n, trials)
        Max norms of the differences in sampling order, finite and >= 0.
    scale : float
        The static scale s, > 0.
    bits : int
        From 2 to 32.
    gain : float, default 1.0
        ||A||_{inf→inf}, the largest absolute row sum of the operator.
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
    Proof: e_j = φ(r_j), r_j = d_j + e_{j-1}, and ψ does not decrease. Unlike a contraction it has no factor below 1:
    E_j <= s/2 for ever if ||d_j|| <= qmax·s for all j (and start <= s/2), because ||r_j|| <= (qmax+½)s then. A larger
    difference overloads the grid in the worst case, by the Lindley recursion of a queue (see ``backlog``).

    Tight at every step: d_j >= 0 such that φ = ψ at every residual (``modiff_sim.bounds.static``); exact in floats
    where s and the differences are multiples of one power of two.

    References
    ----------
    docs/theory.md, section 6.

    Examples
    --------
    >>> from modiff_sim import bounds
    >>> bounds.static_closed_loop([2.0, 20.0, 0.0, 0.0], scale=1.0, bits=4)  # overload, then 7 steps of the grid a call
    array([ 0.5, 13.5,  6.5,  0.5])
    """
    d = checked(d, 0.0, start=start, gain=gain)
    error, E = np.asarray(start, np.float64), []
    for row in d:
        error = static_error(row + error, scale, bits)
        E.append(error)
    return gain * np.stack(E)
