"""Float types by their significant bits: rounding to them, and sums that round at every step.

fl rounds to nearest, ties to even, with p significant bits: fl(y) = y(1+δ), |δ| <= u = 2^-p, the unit roundoff.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arguments import reals
from ..names import one_of
from ..typing import ArrayLike

#: significant bits of the float types, the hidden one included; the unit roundoff is 2^-p
SIGNIFICANT_BITS = {"float64": 53, "float32": 24, "float16": 11, "bfloat16": 8}


def unit_roundoff(dtype: str) -> float:
    """The unit roundoff u = 2^-p of a float type: half the distance from 1 to the next larger number.

    Parameters
    ----------
    dtype : {"float64", "float32", "float16", "bfloat16"}
        The float type.

    Returns
    -------
    float
        u.

    Raises
    ------
    ValueError
        For any other name.

    Examples
    --------
    >>> from modiff_sim import bounds
    >>> bounds.unit_roundoff("bfloat16")
    0.00390625
    """
    one_of("float type", dtype, SIGNIFICANT_BITS)
    return 2.0 ** -SIGNIFICANT_BITS[dtype]


def rounded(y: Any, dtype: str) -> np.ndarray:
    """Values rounded once to the significant bits of a float type, ties to even.

    The result is exact and free of the type's exponent range: it equals a cast wherever the result is a normal number
    of the type.

    Parameters
    ----------
    y : array_like of float
        Values; NaN and Inf stay what they are.
    dtype : {"float64", "float32", "float16", "bfloat16"}
        The float type.

    Returns
    -------
    numpy.ndarray
        The rounded values, as float64, shape of ``y``.

    Raises
    ------
    TypeError
        If ``y`` does not hold real numbers.
    ValueError
        For an unknown type.

    Examples
    --------
    >>> from modiff_sim import bounds
    >>> bounds.rounded([1.0, 1 + 2**-8, 1 + 2**-7], "bfloat16")  # the second is a tie, which goes to the even 1
    array([1.       , 1.       , 1.0078125])
    """
    unit_roundoff(dtype)
    p = SIGNIFICANT_BITS[dtype]
    mantissa, exponent = np.frexp(reals("y", y))
    return np.ldexp(np.rint(np.ldexp(mantissa, p)), exponent - p)


def accumulate(first: ArrayLike, increments: ArrayLike, dtype: str) -> np.ndarray:
    """ô of every call when it is stored in a float type: ô_j = fl(ô_{j-1} + x_j), ô_{-1} = fl(first).

    Parameters
    ----------
    first : array_like of float
        ô before the first increment, finite.
    increments : array_like of float, shape (n, ...)
        A r̂ of every call in sampling order, finite. They are computed in float64, so that storing is the one thing
        that rounds (float64 storage rounds as float64 does).
    dtype : {"float64", "float32", "float16", "bfloat16"}
        The type of ô.

    Returns
    -------
    numpy.ndarray
        ô after every call, as float64, shape (n, ...).

    Raises
    ------
    TypeError
        If an argument does not hold real numbers.
    ValueError
        For an unknown type, NaN or Inf, or no increments.

    Examples
    --------
    >>> from modiff_sim import bounds
    >>> bounds.accumulate(1.0, [2**-8] * 3, "bfloat16")  # half an ulp is never added
    array([1., 1., 1.])
    """
    o_hat, rows = rounded(reals("first", first, finite=True), dtype), []
    steps = reals("increments", increments, finite=True)
    if steps.ndim == 0 or len(steps) == 0:
        raise ValueError(f"increments must hold at least one call's, got shape {steps.shape}")
    for x in steps:
        o_hat = rounded(o_hat + x, dtype)
        rows.append(o_hat)
    return np.stack(rows)
