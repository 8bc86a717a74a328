"""Products of two activations (``recursion.bilinear``): their error, and when to modulate one costs less.

See docs/theory.md, section 14.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..arguments import count, number, reals
from ..quantizers.base import MAX_BITS
from ._common import qmax
from .sharp import max_norm_closed_loop


def error_bound(size_a: Any, size_b: Any, error_a: Any, error_b: Any, inner: int = 1) -> Any:
    """max|a·b - â·b̂| from the operands' max norms and those of their errors, any shapes that broadcast.

    inner·(E_a‖b‖ + ‖a‖E_b + E_a E_b), ``inner`` the number of terms of one entry of the product. Attained where all
    errors have their operands' signs reversed (â overshoots). With ‖·‖_{∞→∞} (largest absolute row sum) for the left
    operand and its error it holds with ``inner`` = 1: rows of a softmax have size 1.
    """
    size_a, size_b, error_a, error_b = (_norms(x) for x in (size_a, size_b, error_a, error_b))
    count("inner", inner)
    return inner * (error_a * size_b + size_a * error_b + error_a * error_b)


def closed_loop_bound(a: Any, b: Any, d_a: Any, d_b: Any, kappa: tuple[float, float], inner: int = 1) -> Any:
    """``error_bound`` with the errors of two closed loops from an exact start, after each difference.

    a, b: max norms of the operands after each difference, shape (n, ...); d_a, d_b: those of the differences; kappa of
    the two quantizers. E = Σ κ^(age+1)‖d‖ (``bounds.max_norm_closed_loop``).
    """
    return error_bound(a, b, max_norm_closed_loop(d_a, kappa[0]), max_norm_closed_loop(d_b, kappa[1]), inner)


def open_loop_bound(a_before: Any, b: Any, d_a: Any, d_b: Any, kappa: tuple[float, float], inner: int = 1) -> Any:
    """Open loop, after each difference: inner·Σ_k (κ_a‖Δa_k‖‖b_k‖ + ‖a_{k-1}‖κ_b‖Δb_k‖). It never falls.

    a_before: max norm of a before each difference, b: of b after it; shapes (n, ...) as the differences'.
    """
    a_before, b, d_a, d_b = (_norms(x) for x in (a_before, b, d_a, d_b))
    count("inner", inner)
    for k in kappa:
        number("kappa", k)
    return inner * np.cumsum(kappa[0] * d_a * b + kappa[1] * a_before * d_b, axis=0)


def _norms(x: Any) -> np.ndarray:
    """Norms as an array; TypeError or ValueError for what is none."""
    norms = reals("norms", x)
    if not (norms >= 0).all():
        raise ValueError("norms are >= 0, and hold no NaN")
    return norms


# -- cost --------------------------------------------------------------------------------------------------------------


def bops_per_mac(bits: tuple[float, float], state_bits: tuple[float, float]) -> float:
    """Bit operations that a modulated product costs per MAC of the plain one: b_a·B_b + B_a·b_b.

    bits: of the residuals (left, right); state_bits: of what the references are kept in.
    """
    for b in (*bits, *state_bits):
        number("bits", b)
    return bits[0] * state_bits[1] + state_bits[0] * bits[1]


def pays(bits: tuple[float, float], direct: tuple[float, float], state_bits: tuple[float, float] | None = None) -> bool:
    """Whether a modulated product costs fewer bit operations than one quantized directly with ``direct`` bits.

    state_bits: None is the least that can hold operands as accurate as direct's, B = p. Then it pays exactly if
    b_a/p_a + b_b/p_b < 1: the shares of bits that are left must add up to less than one.
    """
    return bops_per_mac(bits, direct if state_bits is None else state_bits) < direct[0] * direct[1]


def least_ratio(bits: int) -> float:
    """R = ‖a‖/‖d‖ (max norms, both operands alike) beyond which modulating a product with ``bits`` pays.

    (2^(2b-1) - 1)/(2^(b-1) - 3/2): 14, 12.4, 19.5 at 2, 3, 4 bits, 259 at 8. At that R the closed loop of b bits has
    the bound of direct AbsMax with 2b bits, and two products b × 2b cost what one 2b × 2b does.
    """
    return qmax(2 * count("bits", bits, 2)) / (qmax(bits) - 0.5)


def vanishing_tokens(bits: int) -> int:
    """From how many tokens on a uniform softmax row becomes all zero, where another row of its block is one-hot.

    1/n is at most half the step 1/(2^b - 1) of an unsigned grid (``MinMax``), ties to even: n >= 2(2^b - 1), 30 at 4
    bits and 510 at 8.
    """
    return int(2 * (2 ** count("bits", bits, most=MAX_BITS) - 1))


def state_elements(shape_a: Sequence[int], shape_b: Sequence[int], shape_o: Sequence[int]) -> int:
    """Numbers that a modulated product keeps between calls: both references and ô."""
    return sum(math.prod(count("every number of a shape", n, 0) for n in s) for s in (shape_a, shape_b, shape_o))
