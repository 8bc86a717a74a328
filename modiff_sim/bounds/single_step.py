"""Statements on one step: Theorem 4.3, Corollary A.3, and the bits that a smaller range saves."""

from __future__ import annotations

import math

import numpy as np

from ..arguments import count, number, reals
from ..names import one_of
from ..typing import ArrayLike
from ._common import qmax


def theorem_4_3(scale: ArrayLike, d: int, *, rounding: str = "floor") -> np.ndarray:
    """Theorem 4.3's bound on the *squared* error of one quantization, as printed: ||x - Q(x)||² <= s²d.

    Parameters
    ----------
    scale : array_like of float
        Scale s of the quantizer, finite and >= 0.
    d : int
        How many entries share the scale.
    rounding : {"floor", "nearest"}, default "floor"
        "floor" is the quantizer of the paper's proof, s²d. "nearest" is rounding to nearest, s²d/4.

    Returns
    -------
    numpy.ndarray
        The bound on the square, shape of ``scale``.

    Raises
    ------
    TypeError
        If ``scale`` does not hold real numbers.
    ValueError
        For an unknown rounding, d < 1, or a scale that is negative or not finite.

    References
    ----------
    Theorem 4.3.

    Examples
    --------
    >>> from modiff_sim import bounds
    >>> bounds.theorem_4_3([0.1, 0.2], d=100)
    array([1., 4.])
    >>> bounds.theorem_4_3([0.1, 0.2], d=100, rounding="nearest")
    array([0.25, 1.  ])
    """
    factor = {"floor": 1.0, "nearest": 0.25}
    one_of("rounding", rounding, factor)
    scale = reals("scale", scale)
    count("d", d)
    if not (np.isfinite(scale).all() and (scale >= 0).all()):
        raise ValueError(f"Theorem 4.3 needs finite scales >= 0, got scale={scale}")
    return np.asarray(factor[rounding] * scale**2 * d)


def corollary_a3_bits(d: int, c: float) -> float:
    """Bits from which on (29) holds, by Corollary A.3: b >= log2(sqrt(4d/c) + 1).

    Parameters
    ----------
    d : int
        How many entries share a scale, >= 1.
    c : float
        The contraction that is asked for, > 0.

    Returns
    -------
    float
        The right-hand side; any number of bits at or above it is enough.

    Raises
    ------
    TypeError
        If ``c`` is not a real number.
    ValueError
        If ``d`` is not an int >= 1, or c <= 0.

    References
    ----------
    Corollary A.3.

    Examples
    --------
    >>> from modiff_sim import bounds
    >>> round(bounds.corollary_a3_bits(d=64, c=0.25), 3)
    5.044
    """
    count("d", d)
    number("c", c, above=0)
    return math.log2(math.sqrt(4 * d / c) + 1)


def bits_saved(bits: int, ratio: float) -> float:
    """Bits that a closed loop saves over direct AbsMax at an equal steady-state bound in the max norm.

    Parameters
    ----------
    bits : int
        Bits b of the closed loop, from 2 to 32.
    ratio : float
        R = ||a||_inf/||d||_inf, the size of the inputs over that of their differences, > 0.

    Returns
    -------
    float
        b' - b, where b' are the bits that direct quantization needs: 1.6, 2.7, 3.0 at 2, 3, 4 bits for R = 10.

    Raises
    ------
    TypeError
        If ``ratio`` is not a real number.
    ValueError
        If an argument is out of range.

    Notes
    -----
    Equating kappa(b')·||a|| with kappa(b)/(1-kappa(b))·||d|| gives qmax(b') = (qmax - ½)R, so that
    b' - b = log2((1 + (qmax - ½)R)/(qmax + 1)).

    Examples
    --------
    >>> from modiff_sim import bounds
    >>> round(bounds.bits_saved(4, ratio=10), 2)
    3.04
    """
    top = qmax(bits)
    number("ratio", ratio, above=0, what="||a||/||d||")
    return math.log2((1 + (top - 0.5) * ratio) / (top + 1))
