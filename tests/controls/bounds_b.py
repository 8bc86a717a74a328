"""Controls of what lies beyond one layer with exogenous inputs: loops, static scales, stored numbers, chains."""

import numpy as np
from test_recursion import Dropped, Flipped  # stale state; feedback with the wrong sign

import modiff_sim as ms
from modiff_sim import Verdict, bounds
from paper_checks._beyond import linear_feedback

from .paper import scaled

VIOLATED, PREMISE_FAILS = Verdict.VIOLATED, Verdict.PREMISE_FAILS


class Wrapping(ms.Static):
    """Codes wrap around at the grid's end, as an unclipped two's complement does."""

    def quantize(self, blocks, qparams, *, random=None):
        n = 2 * (self.qmax + 1)
        return (np.round(blocks / qparams.scale) + n / 2) % n - n / 2


class Floored(ms.Static):
    """Floor for round."""

    def quantize(self, blocks, qparams, *, random=None):
        return np.clip(np.floor(blocks / qparams.scale), -(self.qmax + 1), self.qmax)


def chopped(y, dtype):
    """Rounding towards zero."""
    mantissa, exponent = np.frexp(y)
    p = bounds.SIGNIFICANT_BITS[dtype]
    return np.ldexp(np.trunc(np.ldexp(mantissa, p)), exponent - p)


def one_sided_loop(d, kappa, L, **options):
    """The loop that forgets that the reference was moved as well: η_t for η_t - η_{t-1}."""
    return bounds.small_gain_closed_loop(d, kappa, L / 2, **options)


def longer_grid(d, scale, bits, **options):
    """The reach of the negative side, (qmax+1)s."""
    return bounds.static_closed_loop(d, scale * 2 ** (bits - 1) / (2 ** (bits - 1) - 1), bits, **options)


def only_u(o, x, dtype, *, start=0.0):
    """u|o| without the minimum: too large where a tie loses exactly |x|."""
    return start + np.cumsum(bounds.unit_roundoff(dtype) * o, axis=0)


def passed_on(d, q, gains):
    """A chain that adds what enters, and forgets that it is quantized again: H for (1+q)H."""
    F, last = np.zeros_like(d), np.zeros_like(d[0])
    for t in range(len(d)):
        for layer in range(d.shape[1]):
            H = gains[layer - 1] * F[t, layer - 1] if layer else 0.0
            F[t, layer] = H + q * (d[t, layer] + last[layer])
        last = F[t]
    return F


CONTROLS = [
    ("small_gain_sufficient", {"factor": scaled(bounds.small_gain, 0.5)}, VIOLATED),
    ("small_gain_sufficient", {"factor": scaled(bounds.small_gain, 1.01)}, VIOLATED),  # true, and not attained
    ("small_gain_sufficient", {"steps": one_sided_loop}, VIOLATED),
    ("small_gain_sufficient", {"steps": scaled(bounds.small_gain_closed_loop, 1.01)}, VIOLATED),
    ("small_gain_sufficient", {"recursion": "open_loop"}, VIOLATED),
    ("small_gain_sufficient", {"recursion": Dropped()}, VIOLATED),
    ("small_gain_sufficient", {"recursion": Flipped()}, VIOLATED),
    ("small_gain_sufficient", {"shares": (0.5, 1.0)}, PREMISE_FAILS),
    ("small_gain_linear_example_diverges", {"growth": lambda kappa, L: kappa * (1 + 2 * L)}, VIOLATED),
    ("small_gain_linear_example_diverges", {"feedback": lambda L: linear_feedback(-L)}, VIOLATED),
    ("small_gain_linear_example_diverges", {"recursion": "direct"}, VIOLATED),
    ("small_gain_linear_example_diverges", {"loads": (0.9, 2.0)}, PREMISE_FAILS),
    ("open_loop_small_gain", {"bound": lambda d, kappa, L: bounds.max_norm_open_loop(d, kappa)}, VIOLATED),
    ("open_loop_small_gain", {"bound": scaled(bounds.small_gain_open_loop, 1.01)}, VIOLATED),
    ("open_loop_small_gain", {"recursion": "closed_loop"}, VIOLATED),
    ("open_loop_small_gain", {"gains": (0.0,)}, PREMISE_FAILS),
    ("static_slope_overload", {"bound": longer_grid}, VIOLATED),
    ("static_slope_overload", {"bound": bounds.static_direct}, VIOLATED),  # no backlog
    ("static_slope_overload", {"bound": scaled(bounds.static_closed_loop, 2.0)}, VIOLATED),
    ("static_slope_overload", {"recursion": "open_loop"}, VIOLATED),
    ("static_slope_overload", {"recursion": Flipped()}, VIOLATED),
    ("static_slope_overload", {"quantizer": Wrapping}, VIOLATED),
    ("static_slope_overload", {"quantizer": Floored}, VIOLATED),
    ("static_no_overload_half_step", {"recursion": "open_loop"}, VIOLATED),
    ("static_no_overload_half_step", {"recursion": Flipped()}, VIOLATED),
    ("static_no_overload_half_step", {"quantizer": Floored}, VIOLATED),
    ("static_no_overload_half_step", {"reach": 0.9}, VIOLATED),  # true, and not attained at every call
    ("static_no_overload_half_step", {"reach": 1.1}, PREMISE_FAILS),
    ("static_scale_choice", {"best": lambda d, bits: bounds.best_static_scale(d, bits, criterion="mean")}, VIOLATED),
    ("static_scale_choice", {"best": lambda d, bits: d.max() / 2 ** (bits - 1)}, VIOLATED),
    ("static_scale_choice", {"backlog": scaled(bounds.backlog, 0.1)}, VIOLATED),
    ("accumulator_drift", {"bound": scaled(bounds.accumulator_drift, 0.5)}, VIOLATED),
    ("accumulator_drift", {"bound": only_u}, VIOLATED),
    ("accumulator_drift", {"store": chopped}, VIOLATED),
    ("accumulator_drift", {"store": lambda y, dtype: y}, VIOLATED),  # nothing is stored shorter: no drift
    ("reference_rounding_is_compensated", {"telescoping": False}, VIOLATED),
    ("reference_rounding_is_compensated",
     {"bound": lambda d, kappa, rho, **o: bounds.max_norm_closed_loop(d, kappa, **o)}, VIOLATED),
    ("reference_rounding_is_compensated",
     {"bound": lambda d, kappa, rho, **o: bounds.stored_reference(d, kappa, kappa * rho, **o)}, VIOLATED),
    ("weight_error", {"bound": lambda error, a, *, gain, weight_error: gain * error}, VIOLATED),
    ("weight_error", {"bound": lambda error, a, *, gain, weight_error: gain * error + 2 * weight_error * a}, VIOLATED),
    ("weight_error", {"recursions": ("open_loop", "direct", "closed_loop")}, VIOLATED),
    ("weight_error", {"recursions": ("direct", "open_loop", Flipped())}, VIOLATED),
    ("chain_of_layers", {"bound": passed_on}, VIOLATED),
    ("chain_of_layers", {"bound": scaled(bounds.chain_closed_loop, 1.01)}, VIOLATED),
    ("chain_of_layers", {"bound": bounds.chain_open_loop}, VIOLATED),  # true here, and not attained
    ("chain_of_layers", {"recursion": "open_loop"}, VIOLATED),
    ("chain_of_layers", {"recursion": Flipped()}, VIOLATED),
]  # fmt: skip
