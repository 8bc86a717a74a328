"""Controls of the paper's own statements and of their first corrections: one layer, exogenous inputs."""

from functools import partial

import numpy as np
from test_recursion import Dropped, Flipped  # stale state; feedback with the wrong sign

import modiff_sim as ms
from modiff_sim import Verdict, bounds
from modiff_sim import recursion as rec

HOLDS, VIOLATED, PREMISE_FAILS = Verdict.HOLDS, Verdict.VIOLATED, Verdict.PREMISE_FAILS


class Reset(rec.ClosedLoop):
    """The cache is reset at every call: nothing is ever quantized."""

    def step(self, state, a, Q, A, *, random=None):
        return self.exact(a, A, state.call)


class Growing(rec.ClosedLoop):
    """The error is fed back 1.5-fold: what the printed factor 2c would describe."""

    def next_ref(self, ref, a, residual_hat):
        return a - 1.5 * (a - ref - residual_hat)


class Echo(rec.OpenLoop):
    """The error made so far is multiplied by 1.5 at every call: what (30)'s 2^k would describe (A the identity)."""

    def step(self, state, a, Q, A, *, random=None):
        after = super().step(state, a, Q, A, random=random)
        return rec.State(after.ref, after.o_hat + 0.5 * (state.o_hat - state.ref), after.call, after.residual,
                         after.residual_hat, after.qparams)  # fmt: skip


class FloorAbsMax(ms.AbsMax):
    """Floor for round, declared as if it were round."""

    def quantize(self, blocks, qparams, *, random=None):
        return np.floor(blocks / qparams.scale)


class Coarse(ms.MinMaxRaw):
    """One bit less than it says."""

    def choose_qparams(self, a):
        return ms.MinMaxRaw(max(self.bits - 1, 1)).choose_qparams(a)


class Careless(ms.MinMaxRaw):
    """A worst case far above what Corollary A.3 guarantees."""

    def c(self, d):
        return 1e6


class Biased(ms.Stochastic):
    """Rounds to nearest half of the time."""

    def quantize(self, blocks, qparams, *, random=None):
        return super().quantize(blocks, qparams, random=0.25 + 0.5 * random)


class Wide(ms.Stochastic):
    """Random bits from twice the range."""

    def quantize(self, blocks, qparams, *, random=None):
        return super().quantize(blocks, qparams, random=2 * random - 0.5)


def halved(bound):
    """The bound with half of its contraction."""
    return lambda d, c, **options: bound(d, c / 2, **options)


def shifted(bound, by):
    """Exponents off by one: the bound divided (by = 1) or multiplied (by = -1) by one factor of its recursion."""
    factors = {"sharp_closed_loop": lambda c: c**0.5, "max_norm_closed_loop": lambda kappa: kappa,
               "young_closed_loop": lambda c: (2 * c) ** 0.5}  # fmt: skip
    factor = factors.get(bound.__name__, lambda c: 0.5)  # the open loops have none: half or twice the bound
    return lambda d, c, **options: bound(d, c, **options) * (factor(c) ** by if c else 1.0)


def scaled(bound, factor):
    return lambda *args, **options: factor * bound(*args, **options)


CLOSED = {"corrected_31": bounds.young_closed_loop, "sharp_closed_loop": bounds.sharp_closed_loop,
          "max_norm_closed_loop": bounds.max_norm_closed_loop}  # fmt: skip
OPEN = {"corrected_30": bounds.young_open_loop, "sharp_open_loop": bounds.sharp_open_loop,
        "max_norm_open_loop": bounds.max_norm_open_loop}  # fmt: skip

CONTROLS = [
    # single steps
    ("theorem_4_3_floor", {"bound": scaled(bounds.theorem_4_3, 0.5)}, VIOLATED),
    ("theorem_4_3_floor", {"quantizer": Coarse}, PREMISE_FAILS),
    ("theorem_4_3_nearest", {"quantizer": ms.Floor}, VIOLATED),
    ("theorem_4_3_nearest", {"bound": scaled(bounds.theorem_4_3, 2.0)}, VIOLATED),  # true, and not attained
    ("theorem_4_3_nearest", {"quantizer": ms.MinMax}, PREMISE_FAILS),
    ("three_bits_dropped", {"bits": (6, 7, 8)}, HOLDS),
    ("three_bits_dropped", {"bits": (5,)}, VIOLATED),
    ("three_bits_dropped_corrected", {"bound": lambda s, d: bounds.theorem_4_3(s, d) ** 0.5}, VIOLATED),
    ("corollary_a3", {"bits": (8,), "dimensions": (128,)}, HOLDS),  # says something at 8 bits
    ("corollary_a3", {"quantizer": Careless}, VIOLATED),
    ("absmax_worst_case_c", {"quantizer": FloorAbsMax}, VIOLATED),
    ("assumption_29_real_dimension", {"dimensions": (36,)}, PREMISE_FAILS),
    ("assumption_29_real_dimension", {"bits": 6, "dimensions": (4096,)}, VIOLATED),
    ("assumption_29_typical", {"bits": 6}, HOLDS),
    ("kappa_any_dimension", {"quantizers": (FloorAbsMax,)}, VIOLATED),
    ("stochastic_rounding_c", {"quantizer": Biased}, VIOLATED),
    ("stochastic_rounding_kappa", {"quantizer": Wide}, VIOLATED),
    ("stochastic_rounding_kappa", {"quantizer": Biased}, VIOLATED),
    # the printed bounds: with a bound that is true the same search finds nothing
    ("printed_30_paper_index", {"bound": bounds.young_open_loop}, HOLDS),
    ("printed_30_sampling_order", {"bound": bounds.young_open_loop}, HOLDS),
    ("printed_31_paper_index", {"bound": bounds.young_closed_loop}, HOLDS),
    ("printed_31_paper_index", {"bound": partial(bounds.printed_closed_loop, index="sampling")}, HOLDS),
    ("printed_31_sampling_order", {"bound": partial(bounds.printed_closed_loop, index="paper")}, VIOLATED),
    ("printed_31_sampling_order", {"bound": halved(partial(bounds.printed_closed_loop, index="sampling"))}, VIOLATED),
    ("printed_31_sampling_order", {"contractions": (0.6,)}, PREMISE_FAILS),
    ("printed_31_sampling_order", {"recursion": "open_loop"}, VIOLATED),
    ("printed_31_condition", {"bound": partial(bounds.printed_closed_loop, index="paper")}, VIOLATED),
    ("printed_31_condition", {"recursion": "open_loop"}, VIOLATED),
    # the loops: too small, too large (not attained), and the wrong recursion
    *((name, {"bound": halved(bound)}, VIOLATED) for name, bound in (CLOSED | OPEN).items()),
    *((name, {"bound": shifted(bound, by)}, VIOLATED) for name, bound in (CLOSED | OPEN).items() for by in (1, -1)),
    *((name, {"recursion": "open_loop"}, VIOLATED) for name in CLOSED),
    *((name, {"recursion": "closed_loop"}, VIOLATED) for name in OPEN),
    *((name, {"recursion": broken()}, VIOLATED) for name in CLOSED for broken in (Dropped, Flipped, Reset)),
    ("max_norm_closed_loop", {"quantizer": FloorAbsMax}, VIOLATED),
    ("max_norm_open_loop", {"quantizer": FloorAbsMax}, VIOLATED),
    ("reconstruction", {"recursion": "open_loop"}, VIOLATED),
    ("reconstruction", {"recursion": Dropped()}, VIOLATED),
    ("reconstruction", {"recursion": Flipped()}, VIOLATED),
    ("closed_loop_steady_state", {"recursion": "open_loop"}, VIOLATED),
    ("closed_loop_steady_state", {"recursion": Flipped()}, VIOLATED),
    ("closed_loop_steady_state", {"bound": halved(bounds.sharp_closed_loop)}, VIOLATED),
    ("c_below_half_needed", {"recursion": Growing(), "contractions": (0.55,)}, HOLDS),
    ("c_below_half_needed", {"contractions": (0.4,)}, PREMISE_FAILS),
    ("young_best_beta", {"bound": bounds.young_closed_loop, "contractions": (0.2, 0.4)}, VIOLATED),
    ("open_loop_exponential", {"recursion": Echo()}, HOLDS),
    ("open_loop_linear", {"recursion": Echo()}, VIOLATED),
    ("bits_saved", {"formula": lambda bits, ratio: bounds.bits_saved(bits, ratio) + 0.1}, VIOLATED),
    ("warm_up", {"quantizer": ms.Static}, VIOLATED),
    ("warm_up", {"quantizer": FloorAbsMax}, VIOLATED),
    ("warm_up", {"recursion": Dropped()}, VIOLATED),
    ("stochastic_two_bits", {"recursion": "open_loop", "d": 256}, VIOLATED),
    ("stochastic_two_bits", {"bits": 3, "d": 64}, PREMISE_FAILS),
]
