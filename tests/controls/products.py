"""Controls of the claims on products of two activations: a wrong rule, wrong bounds, wrong costs."""

from dataclasses import replace

from test_recursion import Dropped, Flipped  # stale state; feedback with the wrong sign

import modiff_sim as ms
from modiff_sim import Verdict, bilinear
from modiff_sim.bounds import products

VIOLATED = Verdict.VIOLATED


def _rule(new_right, new_left):
    """ô moved by r·b + a·s, with the old or the new references."""

    def run(recursion, inputs, Q):
        last, o_hat = None, None
        for state in bilinear.run(recursion, inputs, Q):
            if last is None:
                o_hat = state.o_hat
            else:
                right, left = (state if new_right else last).right.ref, (state if new_left else last).left.ref
                o_hat = o_hat + state.left.residual_hat @ right + left @ state.right.residual_hat
            last = state
            yield replace(state, o_hat=o_hat)

    return run


first_order = _rule(False, False)  # r·s is dropped
twice = _rule(True, True)  # r·s is counted twice


def unchecked(recursion, inputs, Q):
    """``bilinear.run`` for a recursion that it refuses, because the rule is not derived for it."""
    state = None
    for a, b in inputs:
        state = bilinear.advance(recursion, state, a, b, (Q, Q))
        yield state


def without_second_order(a, b, d_a, d_b, kappa, inner):
    """The bound without E_a·E_b."""
    E = [ms.bounds.max_norm_closed_loop(d, k) for d, k in zip((d_a, d_b), kappa, strict=True)]
    return inner * (E[0] * b + a * E[1])


def this_call_only(a_before, b, d_a, d_b, kappa, inner):
    """The open loop's bound without its sum."""
    return inner * (kappa[0] * d_a * b + kappa[1] * a_before * d_b)


def no_inner(*args):
    """A bound that forgets how many terms an entry has."""
    return products.closed_loop_bound(*args[:-1], 1)


CONTROLS = [
    ("product_of_reconstructions", {"with_closed": first_order}, VIOLATED),
    ("product_of_reconstructions", {"with_closed": twice}, VIOLATED),
    ("product_of_reconstructions", {"rule": first_order}, VIOLATED),
    ("product_of_reconstructions", {"closed": Dropped(), "with_closed": unchecked}, VIOLATED),
    ("product_of_reconstructions", {"closed": Flipped(), "with_closed": unchecked}, VIOLATED),
    ("product_of_reconstructions", {"closed": "open_loop"}, VIOLATED),
    ("product_of_reconstructions", {"without": "closed_loop"}, VIOLATED),
    ("product_bound_closed", {"bound": without_second_order}, VIOLATED),
    ("product_bound_closed", {"bound": no_inner}, VIOLATED),
    ("product_bound_closed", {"recursion": "open_loop"}, VIOLATED),
    ("product_bound_closed", {"recursion": Dropped(), "rule": unchecked}, VIOLATED),
    ("product_bound_open", {"bound": this_call_only}, VIOLATED),
    ("product_bound_open", {"recursion": "closed_loop"}, VIOLATED),
    ("product_cost", {"bops": lambda bits, states: bits[0] * bits[1] * 2}, VIOLATED),
    ("product_cost", {"bops": lambda bits, states: bits[0] * states[1]}, VIOLATED),
    ("product_cost", {"recursion": "open_loop"}, VIOLATED),
    ("product_cost", {"ratio": lambda bits: 10.0}, VIOLATED),
    ("softmax_rows_vanish", {"granularity": ms.PerToken()}, VIOLATED),
    ("softmax_rows_vanish", {"quantizer": ms.AbsMax}, VIOLATED),
    ("softmax_rows_vanish", {"tokens": lambda bits: 2**bits - 1}, VIOLATED),
]
