"""How many bits the closed loop is worth against direct quantization."""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import brentq

from modiff_sim import AbsMax, Claim, Evidence, Verdict, bounds, contraction, processes, simulate
from modiff_sim.evidence import Premise

ORDER = 11
CLAIM = Claim(
    id="bits_saved",
    statement="With R = ||a||_∞/||d||_∞ the closed loop saves log2((1+(qmax-½)R)/(qmax+1)) bits at an equal worst-case "
    "error: 1.6, 2.7, 3.0 bits at 2, 3, 4 bits for R = 10.",
    source="this project",
    relation="equal",
)


def direct_bits(error: float, size: float) -> float:
    """Return the (real) number of bits at which direct AbsMax has this worst-case error: κ(b')·||a||_∞ = error."""
    excess = lambda b: float(bounds.direct(np.array([size]), (0.5 / (2 ** (b - 1) - 1)) ** 2)[0]) - error  # noqa: E731
    return float(brentq(excess, 1.001, 40, xtol=1e-13, rtol=1e-14))


def check(
    effort: str = "quick", *, formula=bounds.bits_saved, ratios: Sequence[float] = (3.0, 10.0, 100.0)
) -> Evidence:
    """Compare the formula with the bits at which direct quantization has the closed loop's steady-state worst error.

    That error is taken from the bound, and from the simulated sequence that attains it.
    """
    steps, claimed, measured, cases, off = 64, [], [], [], 0.0
    for bits in range(2, 9):
        Q = AbsMax(bits)
        limit = float(bounds.max_norm_closed_loop(np.ones(steps), Q.kappa(2))[-1])
        reached = float(simulate(processes.alternating(bits=bits), Q, steps=steps + 1, trials=1).error_inf[-1, 0])
        searched = contraction.search(Q, 2, norm="kappa", tries=12, rounds=1).value
        off = max(off, abs(searched - 0.5 / Q.qmax))
        for R in ratios:
            for name, error in (("bound", limit), ("simulated", reached)):
                claimed.append(formula(bits, R))
                measured.append(direct_bits(error, R) - bits)
                cases.append(f"b = {bits}, R = {R:g}, {name}")
    at_ten = ", ".join(f"{formula(b, 10):.2f}" for b in (2, 3, 4))
    return Evidence(
        claimed=claimed,
        measured=measured,
        cases=cases,
        # direct worst-case error is κ||a||, found by search; tolerance of the root 1e-13, 64 steps of rounding in the
        # error, and κ^64 = 2^-64 missing to the steady state at 2 bits
        atol=1e-11,
        premises=(Premise("direct AbsMax attains κ||a||_∞", off <= 1e-14, f"off by {off:.2g}"),),
        note=f"{at_ten} bits at 2, 3, 4 bits for R = 10",
    )


CONTROLS = [
    ({"formula": lambda bits, ratio: bounds.bits_saved(bits, ratio) + 0.1}, Verdict.VIOLATED),
]
