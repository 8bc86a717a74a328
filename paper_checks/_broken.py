"""Broken variants that the controls of several rooms share: loops, a quantizer and bounds, each with one error."""

from dataclasses import replace

import numpy as np

from modiff_sim import AbsMax
from modiff_sim import recursion as rec


class Dropped(rec.ClosedLoop):
    """The residual is not added to the reference, so that the state is stale."""

    name = "dropped"

    def next_ref(self, ref, a, residual_hat):
        return ref


class Flipped(rec.ClosedLoop):
    """The feedback has the wrong sign."""

    name = "flipped"

    def next_ref(self, ref, a, residual_hat):
        return a + (a - ref - residual_hat)


class Reset(rec.ClosedLoop):
    """The cache is reset at every call, so that nothing is ever quantized."""

    def step(self, state, a, Q, A, *, random=None):
        return self.exact(a, A, state.call)


class Growing(rec.ClosedLoop):
    """The error is fed back 1.5-fold, as the printed factor 2c would describe it."""

    def next_ref(self, ref, a, residual_hat):
        return a - 1.5 * (a - ref - residual_hat)


class Echo(rec.OpenLoop):
    """The error so far is multiplied by 1.5 at every call, as the 2^k of (30) would describe it (A is the identity)."""

    def step(self, state, a, Q, A, *, random=None):
        after, info = super().step(state, a, Q, A, random=random)
        o_hat = after.o_hat + 0.5 * (state.o_hat - state.ref)
        return rec.State(after.ref, o_hat, after.call), replace(info, output=o_hat)


class FloorAbsMax(AbsMax):
    """Rounds down, and is declared as if it rounded to nearest."""

    def quantize(self, blocks, qparams, *, random=None):
        return np.floor(blocks / qparams.scale)


def halved(bound):
    """Return the bound with half of its contraction."""
    return lambda d, c, **options: bound(d, c / 2, **options)


def shifted(bound, by):
    """Return the bound with exponents off by one: divided (by = 1) or multiplied (by = -1) by one factor."""
    factors = {"sharp_closed_loop": lambda c: c**0.5, "max_norm_closed_loop": lambda kappa: kappa,
               "young_closed_loop": lambda c: (2 * c) ** 0.5}  # fmt: skip
    factor = factors.get(bound.__name__, lambda c: 0.5)  # the open loops do not have one: half or twice the bound
    return lambda d, c, **options: bound(d, c, **options) * (factor(c) ** by if c else 1.0)


def scaled(bound, factor):
    """Return the bound multiplied by a factor."""
    return lambda *args, **options: factor * bound(*args, **options)
