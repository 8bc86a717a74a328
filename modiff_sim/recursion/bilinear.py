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

import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from array_api_compat import array_namespace

from .. import recursion as _recursion
from ..quantizers import Zero
from ..quantizers.base import Quantizer
from . import Recursion, Refresh, State, Warmup

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
