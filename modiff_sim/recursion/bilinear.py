"""Products of two activations, o = a·b, under the three recursions: what q·kᵀ and softmax·v of an attention need.

A linear layer has one operand that changes from call to call; a product has two, and needs the references of both.
Let ref_a, ref_b be what each operand is compared with (â in the closed loop, the raw last input in the open loop),
r = Q(a - ref_a), s = Q(b - ref_b), and let a prime mark the new value. One rule serves both loops:

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

from ..quantizers import Zero
from ..quantizers.base import Quantizer
from ..typing import Array
from .base import Recursion
from .base import Step as OperandStep
from .lookup import get, label, standard
from .options import Refresh, Warmup
from .scheme import Scheme
from .sequence import check_finite, check_input
from .state import Info, State, nothing

Product = Callable[[Array, Array], Array]
Pair = tuple[Array, Array]


@dataclass(frozen=True)
class ProductState:
    """What has to be kept of a product: the references of both operands, and ô (None for direct).

    ``call`` is the index of the next call.
    """

    left: Array
    right: Array
    o_hat: Array
    call: int = 0


@dataclass(frozen=True)
class ProductInfo:
    """What happened at one call: the product that it gave, and the ``Info`` of both operands."""

    output: Array
    left: Info
    right: Info

    @property
    def quantized(self) -> bool:
        """Whether this call quantized anything (not in full precision: an exact start, a refresh)."""
        return self.left.quantized or self.right.quantized


Step = tuple[ProductState, ProductInfo]


def _operand(recursion: Recursion, ref: Array, a: Array, Q: Quantizer, random: Array | None) -> OperandStep:
    """One call of an operand, which has no output of its own."""
    return recursion.step(State(ref, 0.0), a, Q, nothing, random=random)


def check(recursion: Recursion) -> None:
    """Raise ValueError for a recursion that moves its references in another way than the rule assumes."""
    if standard(recursion) is None:
        raise ValueError(
            "products of two activations are defined for direct, open_loop and closed_loop only, not for "
            f"{label(recursion)}: choose one of these for them"
        )


def exact(recursion: Recursion, a: Array, b: Array, product: Product = operator.matmul, call: int = 0) -> Step:
    """Do a call in full precision: the exact start, and every refresh."""
    (left, seen_a), (right, seen_b) = (recursion.exact(x, nothing, call) for x in (a, b))
    output = product(a, b)
    o_hat = output if recursion.has_state else None
    return ProductState(left.ref, right.ref, o_hat, call + 1), ProductInfo(output, seen_a, seen_b)


def init(
    scheme: Scheme,
    a: Array,
    b: Array,
    Q: tuple[Quantizer, Quantizer],
    product: Product = operator.matmul,
    *,
    random: Sequence[Pair] | None = None,
) -> Step:
    """Do call 0. Q: quantizers of the left and the right operand; ``random``: one pair of arrays per feeding."""
    recursion = scheme.recursion
    if not scheme.feeds:
        return exact(recursion, a, b, product)
    zeros = [array_namespace(x).zeros_like(x) if recursion.has_state else None for x in (a, b)]
    state, info = ProductState(zeros[0], zeros[1], None), ProductInfo(None, Info(None), Info(None))
    for i in range(scheme.feeds):
        state, info = step(recursion, state, a, b, Q, product, random=None if random is None else random[i])
    return ProductState(state.left, state.right, state.o_hat, 1), info


def step(
    recursion: Recursion,
    state: ProductState,
    a: Array,
    b: Array,
    Q: tuple[Quantizer, Quantizer],
    product: Product = operator.matmul,
    *,
    random: Pair | None = None,
) -> Step:
    """Do one call: both residuals, both quantized, two products (one from a zero state, and for direct)."""
    bits = (None, None) if random is None else random
    left, seen_a = _operand(recursion, state.left, a, Q[0], bits[0])
    right, seen_b = _operand(recursion, state.right, b, Q[1], bits[1])
    if not recursion.has_state or state.o_hat is None:
        output = product(seen_a.residual_hat, seen_b.residual_hat)
    else:
        output = state.o_hat
        if type(Q[0]) is not Zero:  # at 0 bits the residual is an exact zero: its product is not computed
            output = product(seen_a.residual_hat, right.ref) + output
        if type(Q[1]) is not Zero:
            output = product(state.left, seen_b.residual_hat) + output
    o_hat = output if recursion.has_state else None
    return ProductState(left.ref, right.ref, o_hat, state.call + 1), ProductInfo(output, seen_a, seen_b)


def advance(
    scheme: Scheme,
    state: ProductState | None,
    a: Array,
    b: Array,
    Q: tuple[Quantizer, Quantizer],
    product: Product = operator.matmul,
    *,
    random: Array | None = None,
) -> Step:
    """Do the next call, whichever it is: the first (no state yet), a refresh, or a step. ``random`` as for ``init``."""
    if state is None:
        return init(scheme, a, b, Q, product, random=random)
    if scheme.refreshed(state.call):
        return exact(scheme.recursion, a, b, product, state.call)
    return step(scheme.recursion, state, a, b, Q, product, random=random)


def run(
    recursion: str | Recursion,
    inputs: Iterable[Pair],
    Q: Quantizer | tuple[Quantizer, Quantizer],
    product: Product = operator.matmul,
    *,
    warmup: Warmup = "exact",
    refresh: Refresh = "never",
    random: Callable[[int], Array] | None = None,
) -> Iterator[Step]:
    """Run a product through a sequence of operand pairs (a, b), in sampling order. One Q serves both operands.

    Yields (ProductState, ProductInfo). Raises TypeError or ValueError as ``recursion.run`` does, for either operand,
    and ValueError for a recursion other than the three that the rule is derived for.
    """
    check(get(recursion))
    scheme = Scheme(recursion, warmup, refresh)
    pair = (Q, Q) if isinstance(Q, Quantizer) else Q
    state: ProductState | None = None
    first: Any = None
    for call, (a, b) in enumerate(inputs):
        first = (a, b) if call == 0 else first
        for quantizer, operand, before in zip(pair, (a, b), first, strict=True):
            check_input(quantizer, operand, before, call)
        bits = None if random is None else random(call)
        state, info = advance(scheme, state, a, b, pair, product, random=bits)
        for quantizer, operand, seen in zip(pair, (a, b), (info.left, info.right), strict=True):
            check_finite(quantizer, seen, operand, f"call {call}")
        yield state, info
