"""Products of two activations, o = a·b, under the three recursions: what q·kᵀ and softmax·v of an attention need.

A linear layer has one operand that changes from call to call; a product has two, and needs the references of both.
Let ref_a, ref_b be what each operand is compared with (``recursion.State.ref``: â in the closed loop, the raw last
input in the open loop), r = Q(a - ref_a), s = Q(b - ref_b), and let a prime mark the new value. One rule serves both
loops:

    direct       ô = Q(a)·Q(b)
    loops        ô ← ô + r·ref_b' + ref_a·s            new reference of b, old reference of a

because ref_a'·ref_b' - ref_a·ref_b = (ref_a' - ref_a)·ref_b' + ref_a·(ref_b' - ref_b) exactly.

    closed loop  â ← â + r, b̂ ← b̂ + s, ô ← ô + r·b̂' + â·s = â'·b̂': the error is this call's alone,
                 a·b - ô = e_a·b + â·e_b with e = a - â (after the update)
    open loop    ô ← ô + Q(Δa)·b + a_prev·Q(Δb): the error is a sum, ε(Δa)·b + a_prev·ε(Δb) of every call so far; the
                 raw operands take part in the product, at full precision

The order is a choice: r·b̂ + â'·s and r·b̂ + â·s + r·s are the same number. Dropping r·s is not (second order, and it
accumulates). Warm-up and refresh are those of ``recursion``; from a zero state (warm-up "quantized", or m times) the
first product is r·s. Which operand is transposed is the caller's business: the product is any bilinear map.
See docs/theory.md, section 14: the bound, and when modulating a product costs less than quantizing it.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from . import recursion as _recursion
from .arguments import count, number, reals
from .bounds import max_norm_closed_loop
from .bounds._common import qmax
from .quantizer import MAX_BITS, Quantizer
from .quantizers import Zero
from .recursion import Recursion, Refresh, State, Warmup

Product = Callable[[Any, Any], Any]
Pair = tuple[Any, Any]


@dataclass(frozen=True)
class ProductState:
    """Both operands' states and the product's: ``left`` and ``right`` (``ref``, ``residual``, ...), ô = ``o_hat``.

    ``call`` is the next index. The operands' own ``o_hat`` is unused.
    """

    left: State
    right: State
    o_hat: Any
    call: int = 0

    @property
    def quantized(self) -> bool:
        """Whether this call quantized anything (not in full precision: an exact start, a refresh)."""
        return self.left.quantized or self.right.quantized


def _nothing(hat: Any) -> float:
    """An operand has no output of its own: the operator that its recursion adds up."""
    return 0.0


def _operand(recursion: Recursion, state: State, a: Any, Q: Quantizer, random: Any) -> State:
    return recursion.step(State(state.ref, 0.0, state.call), a, Q, _nothing, random=random)


def check(recursion: Recursion) -> None:
    """Raise ValueError for a recursion that moves its references in another way than the rule assumes."""
    if _recursion.standard(recursion) is None:
        raise ValueError(
            "products of two activations are defined for direct, open_loop and closed_loop only, not for "
            f"{_recursion.label(recursion)}: choose one of these for them"
        )


def exact(recursion: Recursion, a: Any, b: Any, product: Product = operator.matmul, call: int = 0) -> ProductState:
    """A call in full precision: the exact start, and every refresh."""
    left, right = (recursion.exact(x, _nothing, call) for x in (a, b))
    return ProductState(left, right, product(a, b), call + 1)


def init(
    recursion: Recursion,
    a: Any,
    b: Any,
    Q: tuple[Quantizer, Quantizer],
    product: Product = operator.matmul,
    *,
    warmup: Warmup = "exact",
    random: Sequence[Pair] | None = None,
) -> ProductState:
    """State after call 0. Q: quantizers of the left and the right operand; ``random``: one pair per feeding."""
    _recursion.check_warmup(warmup)
    feeds = _recursion.feeds(warmup) if recursion.has_state else 1
    if not feeds:
        return exact(recursion, a, b, product)
    zeros = [State(array_namespace(x).zeros_like(x) if recursion.has_state else None, 0.0) for x in (a, b)]
    state = ProductState(zeros[0], zeros[1], None)
    for i in range(feeds):
        state = step(recursion, state, a, b, Q, product, random=None if random is None else random[i])
    return ProductState(state.left, state.right, state.o_hat, 1)


def step(
    recursion: Recursion,
    state: ProductState,
    a: Any,
    b: Any,
    Q: tuple[Quantizer, Quantizer],
    product: Product = operator.matmul,
    *,
    random: Pair | None = None,
) -> ProductState:
    """One call: both residuals, both quantized, two products (one from a zero state, and in the direct recursion)."""
    bits = (None, None) if random is None else random
    left = _operand(recursion, state.left, a, Q[0], bits[0])
    right = _operand(recursion, state.right, b, Q[1], bits[1])
    if not recursion.has_state or state.o_hat is None:
        return ProductState(left, right, product(left.residual_hat, right.residual_hat), state.call + 1)
    o_hat = state.o_hat
    if type(Q[0]) is not Zero:  # at 0 bits the residual is an exact zero: its product is not computed
        o_hat = product(left.residual_hat, right.ref) + o_hat
    if type(Q[1]) is not Zero:
        o_hat = product(state.left.ref, right.residual_hat) + o_hat
    return ProductState(left, right, o_hat, state.call + 1)


def advance(
    recursion: Recursion,
    state: ProductState | None,
    a: Any,
    b: Any,
    Q: tuple[Quantizer, Quantizer],
    product: Product = operator.matmul,
    *,
    warmup: Warmup = "exact",
    refreshed: bool = False,
    random: Any = None,
) -> ProductState:
    """The next call, whichever it is: first (state None), refresh, or a step. ``random`` as for ``init`` when first."""
    if state is None:
        return init(recursion, a, b, Q, product, warmup=warmup, random=random)
    if refreshed:
        return exact(recursion, a, b, product, state.call)
    return step(recursion, state, a, b, Q, product, random=random)


def run(
    recursion: str | Recursion,
    inputs: Iterable[Pair],
    Q: Quantizer | tuple[Quantizer, Quantizer],
    product: Product = operator.matmul,
    *,
    warmup: Warmup = "exact",
    refresh: Refresh = "never",
    random: Callable[[int], Any] | None = None,
) -> Iterator[ProductState]:
    """States of a whole sequence of operand pairs (a, b), in sampling order. One Q serves both operands.

    Raises TypeError or ValueError as ``recursion.run`` does, for either operand, and ValueError for a recursion that is
    none of the three that the rule is derived for.
    """
    chosen = _recursion.get(recursion)
    check(chosen)
    pair = (Q, Q) if isinstance(Q, Quantizer) else Q
    is_refresh = _recursion.refresh_calls(refresh)
    state: ProductState | None = None
    first: Any = None
    for call, (a, b) in enumerate(inputs):
        first = (a, b) if call == 0 else first
        for quantizer, operand, before in zip(pair, (a, b), first, strict=True):
            _recursion.check_input(quantizer, operand, before, call)
        bits = None if random is None else random(call)
        state = advance(chosen, state, a, b, pair, product, warmup=warmup, refreshed=is_refresh(call), random=bits)
        for quantizer, operand, kept in zip(pair, (a, b), (state.left, state.right), strict=True):
            _recursion.check_finite(quantizer, kept, operand, f"call {call}")
        yield state


# -- bounds ------------------------------------------------------------------------------------------------------------


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
