"""Products of two activations (``recursion.bilinear``): their error, and when modulating one costs less.

See docs/theory.md, section 14.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..arguments import count, number, reals
from ..quantizers.base import MAX_BITS
from ..typing import Array, ArrayLike
from ._common import qmax
from .sharp import max_norm_closed_loop


def error_bound(size_a: ArrayLike, size_b: ArrayLike, error_a: ArrayLike, error_b: ArrayLike, inner: int = 1) -> Array:
    """Bound on max|a·b - â·b̂| from the sizes of two operands and of their errors.

        inner·(E_a‖b‖ + ‖a‖E_b + E_a E_b)

    Parameters
    ----------
    size_a, size_b : array_like of float
        Max norms of the operands, >= 0, any shapes that broadcast.
    error_a, error_b : array_like of float
        Max norms of their errors.
    inner : int, default 1
        The number of terms of one entry of the product.

    Returns
    -------
    float or numpy.ndarray
        The bound, of the broadcast shape.

    Raises
    ------
    TypeError
        If an argument does not hold real numbers.
    ValueError
        For a negative norm or NaN, or if ``inner`` is not an int >= 1.

    Notes
    -----
    Attained where all errors have their operands' signs reversed (â overshoots). With ‖·‖_{∞→∞} (largest absolute row
    sum) for the left operand and its error it holds with ``inner`` = 1: rows of a softmax have size 1.

    References
    ----------
    docs/theory.md, section 14.

    Examples
    --------
    >>> from modiff_sim.bounds import products
    >>> float(products.error_bound(1.0, 2.0, 0.5, 0.25, inner=4))
    5.5
    """
    size_a, size_b, error_a, error_b = (_norms(x) for x in (size_a, size_b, error_a, error_b))
    count("inner", inner)
    return inner * (error_a * size_b + size_a * error_b + error_a * error_b)


def closed_loop_bound(
    a: ArrayLike, b: ArrayLike, d_a: ArrayLike, d_b: ArrayLike, kappa: tuple[float, float], inner: int = 1
) -> Array:
    """``error_bound`` with the errors of two closed loops from an exact start, after each difference.

    Parameters
    ----------
    a, b : array_like of float, shape (n, ...)
        Max norms of the operands after each difference.
    d_a, d_b : array_like of float, shape (n, ...)
        Max norms of the differences.
    kappa : tuple of float
        Contractions of the two quantizers in the max norm.
    inner : int, default 1
        The number of terms of one entry of the product.

    Returns
    -------
    numpy.ndarray
        The bound after each difference, with E = Σ κ^(age+1)‖d‖ (``bounds.max_norm_closed_loop``).

    Raises
    ------
    TypeError
        If an argument does not hold real numbers.
    ValueError
        For norms or constants out of range.

    References
    ----------
    docs/theory.md, section 14.

    Examples
    --------
    >>> from modiff_sim.bounds import products
    >>> products.closed_loop_bound([1.0, 1.0], [2.0, 2.0], [1.0, 1.0], [1.0, 1.0], kappa=(0.5, 0.25))
    array([1.375   , 2.046875])
    """
    return error_bound(a, b, max_norm_closed_loop(d_a, kappa[0]), max_norm_closed_loop(d_b, kappa[1]), inner)


def open_loop_bound(
    a_before: ArrayLike, b: ArrayLike, d_a: ArrayLike, d_b: ArrayLike, kappa: tuple[float, float], inner: int = 1
) -> Array:
    """Bound of the open loop after each difference; it never falls.

        inner·Σ_k (κ_a‖Δa_k‖‖b_k‖ + ‖a_{k-1}‖κ_b‖Δb_k‖)

    Parameters
    ----------
    a_before : array_like of float, shape (n, ...)
        Max norm of a before each difference.
    b : array_like of float, shape (n, ...)
        Max norm of b after each difference.
    d_a, d_b : array_like of float, shape (n, ...)
        Max norms of the differences.
    kappa : tuple of float
        Contractions of the two quantizers in the max norm.
    inner : int, default 1
        The number of terms of one entry of the product.

    Returns
    -------
    numpy.ndarray
        The bound after each difference.

    Raises
    ------
    TypeError
        If an argument does not hold real numbers.
    ValueError
        For norms or constants out of range.

    References
    ----------
    docs/theory.md, section 14.

    Examples
    --------
    >>> from modiff_sim.bounds import products
    >>> products.open_loop_bound([1.0, 1.0], [2.0, 2.0], [1.0, 1.0], [1.0, 1.0], kappa=(0.5, 0.25))
    array([1.25, 2.5 ])
    """
    a_before, b, d_a, d_b = (_norms(x) for x in (a_before, b, d_a, d_b))
    count("inner", inner)
    for k in kappa:
        number("kappa", k)
    return inner * np.cumsum(kappa[0] * d_a * b + kappa[1] * a_before * d_b, axis=0)


def _norms(x: ArrayLike) -> np.ndarray:
    """Norms as an array; raises TypeError or ValueError for what cannot be norms."""
    norms = reals("norms", x)
    if not (norms >= 0).all():
        raise ValueError("norms must be >= 0 and not NaN")
    return norms


# -- cost --------------------------------------------------------------------------------------------------------------


def bops_per_mac(bits: tuple[float, float], state_bits: tuple[float, float]) -> float:
    """Bit operations that a modulated product costs per MAC of the plain one: b_a·B_b + B_a·b_b.

    Parameters
    ----------
    bits : tuple of float
        Bits b of the residuals, left and right.
    state_bits : tuple of float
        Bits B in which the references are kept, left and right.

    Returns
    -------
    float
        Bit operations per MAC.

    Raises
    ------
    TypeError
        If a number of bits is not a real number.
    ValueError
        If a number of bits is negative or not finite.

    Examples
    --------
    >>> from modiff_sim.bounds import products
    >>> products.bops_per_mac((4, 4), (8, 8))
    64
    """
    for b in (*bits, *state_bits):
        number("bits", b)
    return bits[0] * state_bits[1] + state_bits[0] * bits[1]


def pays(bits: tuple[float, float], direct: tuple[float, float], state_bits: tuple[float, float] | None = None) -> bool:
    """Whether a modulated product costs fewer bit operations than one that is quantized directly.

    Parameters
    ----------
    bits : tuple of float
        Bits of the residuals, left and right.
    direct : tuple of float
        Bits p of the operands in direct quantization, left and right.
    state_bits : tuple of float, optional
        Bits in which the references are kept. None is the least that can hold operands as accurate as direct
        quantization's, B = p.

    Returns
    -------
    bool
        With B = p it pays exactly if b_a/p_a + b_b/p_b < 1: the shares of bits that are left must add up to less than
        one.

    Raises
    ------
    TypeError
        If a number of bits is not a real number.
    ValueError
        If a number of bits is negative or not finite.

    References
    ----------
    docs/theory.md, section 14.

    Examples
    --------
    >>> from modiff_sim.bounds import products
    >>> products.pays((3, 3), (8, 8)), products.pays((4, 4), (8, 8))
    (True, False)
    """
    return bops_per_mac(bits, direct if state_bits is None else state_bits) < direct[0] * direct[1]


def least_ratio(bits: int) -> float:
    """R = ‖a‖/‖d‖ beyond which modulating a product with ``bits`` pays (max norms, both operands alike).

    Parameters
    ----------
    bits : int
        Bits b of the residuals, from 2 to 16.

    Returns
    -------
    float
        (2^(2b-1) - 1)/(2^(b-1) - 3/2): 14, 12.4, 19.5 at 2, 3, 4 bits, 259 at 8.

    Raises
    ------
    ValueError
        If ``bits`` is out of range.

    Notes
    -----
    At that R the closed loop of b bits has the bound of direct AbsMax with 2b bits, and two products b × 2b cost what
    one 2b × 2b does.

    References
    ----------
    docs/theory.md, section 14.

    Examples
    --------
    >>> from modiff_sim.bounds import products
    >>> products.least_ratio(2)
    14.0
    """
    return qmax(2 * count("bits", bits, 2)) / (qmax(bits) - 0.5)


def vanishing_tokens(bits: int) -> int:
    """Number of tokens from which on a uniform softmax row becomes all zero beside a one-hot row of its block.

    Parameters
    ----------
    bits : int
        Bits of the unsigned grid (``MinMax``).

    Returns
    -------
    int
        2(2^b - 1): 30 at 4 bits and 510 at 8. From there on 1/n is at most half the step 1/(2^b - 1), ties to even.

    Raises
    ------
    ValueError
        If ``bits`` is out of range.

    References
    ----------
    docs/theory.md, section 14.

    Examples
    --------
    >>> from modiff_sim.bounds import products
    >>> products.vanishing_tokens(4)
    30
    """
    return int(2 * (2 ** count("bits", bits, most=MAX_BITS) - 1))


def state_elements(shape_a: Sequence[int], shape_b: Sequence[int], shape_o: Sequence[int]) -> int:
    """Numbers that a modulated product keeps between calls: both references and ô.

    Parameters
    ----------
    shape_a, shape_b, shape_o : sequence of int
        Shapes of the operands and of the product.

    Returns
    -------
    int
        How many numbers they have together.

    Raises
    ------
    ValueError
        If a shape holds something other than ints >= 0.

    Examples
    --------
    >>> from modiff_sim.bounds import products
    >>> products.state_elements((2, 16, 8), (2, 8, 16), (2, 16, 16))
    1024
    """
    return sum(math.prod(count("every number of a shape", n, 0) for n in s) for s in (shape_a, shape_b, shape_o))
