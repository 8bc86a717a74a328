"""What the broken variants of the claims on products share."""

from modiff_sim import bilinear
from modiff_sim.recursion import Scheme


def unchecked(recursion, inputs, Q):
    """Run ``bilinear.run`` with a recursion that it refuses, because the rule is not derived for it."""
    scheme, state = Scheme(recursion), None
    for a, b in inputs:
        state, info = bilinear.advance(scheme, state, a, b, (Q, Q))
        yield state, info
