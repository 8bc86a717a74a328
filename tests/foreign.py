"""A recursion, a quantizer and a granularity of somebody else: no fast path implements them."""

from dataclasses import dataclass

from array_api_compat import array_namespace

import modiff_sim as ms
from modiff_sim import PerSample
from modiff_sim import recursion as rec


class Leaky(rec.Recursion):
    """Compared with half of the reconstruction: neither the closed nor the open loop."""

    name = "leaky"

    def next_ref(self, ref, a, residual_hat):
        return 0.5 * (ref + residual_hat)


class LeakyLoop(rec.ClosedLoop):
    """A subclass that keeps the closed loop's name and flags, and moves the reference in another way."""

    def next_ref(self, ref, a, residual_hat):
        return 0.5 * (ref + residual_hat)


class Momentum(rec.Recursion):
    """Compared with the last reconstruction moved on by the last residual: needs the residual of the call before."""

    name = "momentum"

    def init(self, a, Q, A, *, warmup="exact", affine=None, random=None):
        o_hat = (affine or A)(a)
        return rec.State((a, None), o_hat, 1), rec.Info(o_hat)

    def step(self, state, a, Q, A, *, random=None):
        ref, last = state.ref
        ahead = ref if last is None else ref + 0.5 * last
        hat, qparams = Q.apply(a - ahead, random=random)
        new = ahead + hat
        o_hat = state.o_hat + A(new - ref)
        return rec.State((new, hat), o_hat, state.call + 1), rec.Info(o_hat, a - ahead, hat, qparams)


class TwoBack(rec.Recursion):
    """Keeps its reference as a pair of arrays, one of which is the input itself."""

    name = "two_back"

    def init(self, a, Q, A, *, warmup="exact", affine=None, random=None):
        o_hat = (affine or A)(a)
        return rec.State((a, a), o_hat, 1), rec.Info(o_hat)

    def step(self, state, a, Q, A, *, random=None):
        last, before = state.ref
        hat, qparams = Q.apply(a - last, random=random)
        del before
        o_hat = state.o_hat + A(hat)
        return rec.State((a, last), o_hat, state.call + 1), rec.Info(o_hat, a - last, hat, qparams)


def overridden():
    """The closed loop with a method put on the instance."""
    made = rec.ClosedLoop()
    made.next_ref = Leaky().next_ref
    return made


RECURSIONS = {
    "leaky": Leaky(),
    "subclass": LeakyLoop(),
    "momentum": Momentum(),
    "pair": TwoBack(),
    "put on": overridden(),
}


@dataclass(frozen=True, kw_only=True)
class Coarse(ms.AbsMax):
    """AbsMax with twice its scale."""

    def choose_qparams(self, a):
        found = super().choose_qparams(a)
        return type(found)(2 * found.scale, found.zero_point, found.zero_range)


@dataclass(frozen=True, kw_only=True)
class Mean(ms.AbsMax):
    """One bit less: the scale is the mean size, no block is said to be without range."""

    def choose_qparams(self, a):
        xp = array_namespace(a)
        blocks, axes = self.blocks(xp, a)
        size = xp.mean(xp.abs(blocks), axis=axes, keepdims=True)
        return ms.QParams(xp.where(size > 0, size, xp.ones_like(size)))


@dataclass(frozen=True)
class Everything(PerSample):
    """A subclass of one scale per sample that has one for all samples."""

    def blocked(self, shape):
        return shape, tuple(range(len(shape)))


QUANTIZERS = {"coarse": Coarse(4), "mean": Mean(4), "granularity": ms.AbsMax(4, granularity=Everything())}
