"""What the broken variants of the claims on products share."""

from modiff_sim import bilinear


def unchecked(recursion, inputs, Q):
    """``bilinear.run`` for a recursion that it refuses, because the rule is not derived for it."""
    state = None
    for a, b in inputs:
        state = bilinear.advance(recursion, state, a, b, (Q, Q))
        yield state
