"""Controls of Young with a parameter, stochastic rounding, starts and refreshes."""

from functools import partial

import numpy as np
from test_recursion import Dropped, Flipped  # stale state; feedback with the wrong sign

import modiff_sim as ms
from modiff_sim import Verdict, bounds
from paper_checks._stochastic import Coin

from .paper import Reset, halved, scaled

VIOLATED, PREMISE_FAILS = Verdict.VIOLATED, Verdict.PREMISE_FAILS


class Lopsided(Coin):
    """The coin always falls on one side: not unbiased."""

    def quantize(self, blocks, qparams, *, random=None):
        return super().quantize(blocks, qparams, random=np.zeros_like(random))


class Down(ms.Stochastic):
    """Always rounds down."""

    def quantize(self, blocks, qparams, *, random=None):
        return super().quantize(blocks, qparams, random=0 * random)


def forgets(bound):
    """A bound that leaves out its start."""
    return lambda d, start=0.0, **options: np.maximum(bound(d, **options), np.finfo(float).tiny)


def exponent(by):
    """The geometric sum between refreshes with k - 1 + by terms."""
    return lambda every, *rest, **options: bounds.refresh_worst_case(max(every + by, 1), *rest, **options)


ef21 = partial(bounds.young_closed_loop, beta="ef21")
EXPECTED = {"stochastic_expectation_closed": bounds.stochastic_closed_loop,
            "stochastic_expectation_open": bounds.stochastic_open_loop}  # fmt: skip
BANDS = (bounds.stochastic_open_loop_band, bounds.stochastic_closed_loop_band)

CONTROLS = [
    # Young with a parameter
    ("young_best_beta", {"contractions": (0.4, 1.0)}, PREMISE_FAILS),
    ("young_ef21_constants", {"bound": halved(ef21)}, VIOLATED),
    ("young_ef21_constants", {"bound": bounds.young_closed_loop}, VIOLATED),  # β = 1: true, and not attained
    ("young_ef21_constants", {"recursion": "open_loop"}, VIOLATED),
    ("young_ef21_constants", {"recursion": Flipped()}, VIOLATED),
    ("young_ef21_constants", {"contractions": (0.25, 1.5)}, PREMISE_FAILS),
    ("young_per_step_is_sharp", {"beta": 1.0}, VIOLATED),
    ("young_per_step_is_sharp", {"beta": "horizon"}, VIOLATED),
    ("young_per_step_is_sharp",
     {"pairs": {"halved": (bounds.young_closed_loop, halved(bounds.sharp_closed_loop))}}, VIOLATED),
    ("young_open_loop_constant", {"beta": "best"}, VIOLATED),
    # stochastic rounding
    *((name, {"bound": halved(bound)}, VIOLATED) for name, bound in EXPECTED.items()),
    *((name, {"bound": scaled(bound, 1.01)}, VIOLATED) for name, bound in EXPECTED.items()),  # true, not attained
    *((name, {"compressor": Lopsided}, VIOLATED) for name in EXPECTED),
    ("stochastic_expectation_closed", {"recursion": "open_loop"}, VIOLATED),
    ("stochastic_expectation_closed", {"recursion": Reset()}, VIOLATED),
    ("stochastic_expectation_open", {"recursion": "closed_loop"}, VIOLATED),
    ("stochastic_expectation_open", {"bound": bounds.sharp_open_loop}, VIOLATED),  # linear: true, not attained
    ("stochastic_band", {"bands": tuple(map(halved, BANDS))}, VIOLATED),
    ("stochastic_band", {"recursions": ("open_loop", "open_loop")}, VIOLATED),
    ("stochastic_band", {"quantizer": Down}, VIOLATED),
    # starts and refreshes
    ("inexact_start", {"max_norm": forgets(bounds.max_norm_closed_loop)}, VIOLATED),
    ("inexact_start", {"two_norm": forgets(bounds.sharp_closed_loop)}, VIOLATED),
    ("inexact_start", {"recursions": ("open_loop", "open_loop")}, VIOLATED),
    ("inexact_start", {"recursions": ("closed_loop", "closed_loop")}, VIOLATED),
    ("inexact_start", {"recursions": (Dropped(), "open_loop")}, VIOLATED),
    ("inexact_start", {"warm_up": lambda a, kappa, m, **_: a * kappa ** (m + 1)}, VIOLATED),
    ("refresh_worst_case", {"formula": exponent(-1)}, VIOLATED),
    ("refresh_worst_case", {"formula": exponent(1)}, VIOLATED),
    ("refresh_worst_case", {"recursions": ("open_loop", "open_loop")}, VIOLATED),
    ("refresh_worst_case", {"wrapper": lambda bound, d, refresh: bound(d)}, VIOLATED),  # no refresh
    ("refresh_worst_case", {"late": 1}, VIOLATED),
    ("refresh_interval", {"formula": lambda ratio: bounds.refresh_interval(ratio) + 1}, VIOLATED),
    ("refresh_interval", {"recursion": "closed_loop"}, VIOLATED),
    ("refresh_cost", {"formula": lambda bits, share: bits + share * 32}, VIOLATED),
    ("refresh_cost", {"share": lambda refresh, calls: 0.0}, VIOLATED),
    ("warm_up_four_to_five", {"formula": lambda kappa, m: bounds.warm_up_ratio(kappa, m + 1)}, VIOLATED),
    ("warm_up_four_to_five", {"recursion": "open_loop"}, VIOLATED),
    ("warm_up_four_to_five", {"needed": lambda *a, **o: bounds.feeds_needed(*a, **o) - 1}, VIOLATED),
    ("warm_up_static", {"feeds": lambda *a: bounds.static_feeds(*a) + 1}, VIOLATED),
    ("warm_up_static", {"recursion": "open_loop"}, VIOLATED),
    ("warm_up_static", {"bound": lambda d, *rest, start: 0.5 * bounds.static_closed_loop(d, *rest, start=start)},
     VIOLATED),
]  # fmt: skip
