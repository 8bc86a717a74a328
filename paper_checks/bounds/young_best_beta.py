"""Where the factor 2 of (30) and (31) comes from, and what the best choice gives."""

from collections.abc import Sequence

import numpy as np

from modiff_sim import Claim, Evidence, Verdict, bounds
from modiff_sim.evidence import Premise

from .._shared import EPS

ORDER = 5
CLAIM = Claim(
    id="young_best_beta",
    statement="The proof's ||x+y||² ≤ 2||x||²+2||y||² is Young's inequality with β = 1. The best constant β gives "
    "EF21's contraction 1-θ = √(1-α), α = 1-c, and the sharp steady state (q/(1-q))², for every c < 1 (found by "
    "minimising over β, against both).",
    source="this project; EF21 (Richtárik et al. 2021)",
    relation="equal",
)


def check(
    effort: str = "quick",
    *,
    bound=bounds.sharp_closed_loop,
    contractions: Sequence[float] = (0.05, 0.2, 0.4, 0.5, 0.7, 0.9),
) -> Evidence:
    """Minimise the bound after many equal differences over β; compare β with EF21's and the bound with the sharp one.

    No β of a scan may give a lower bound.
    """
    claimed, measured, cases = [], [], []
    for c in (c for c in contractions if 0 < c < 1):  # elsewhere there is nothing to compute: see the premise
        q = np.sqrt(c)
        n = int(np.ceil(np.log(EPS) / np.log(q))) + 1  # what is missing to the steady state, q^n, is below eps
        ones = np.ones(n)
        beta = float(bounds.best_constant_beta(ones, c))
        theta, weight = bounds.ef21_constants(c)
        least = c / (1 - c)  # from there on c(1+1/x) < 1; our β multiplies the old error: β < 1/least
        scan = 1 / (least + np.geomspace(1e-4, 1e4, 101))
        lowest = bounds.young_closed_loop(np.ones((n, len(scan))), c, beta=np.tile(scan, (n, 1)))[-1].min() ** 2
        sharp = bound(ones, c)[-1] ** 2
        best = bounds.young_closed_loop(ones, c, beta=beta)[-1] ** 2
        claimed += [sharp, 1 - theta, weight, sharp]
        measured += [best, c * (1 + beta), c * (1 + 1 / beta), min(best, lowest)]
        cases += [
            f"c = {c:g}, {what}" for what in ("steady state squared", "1-θ", "weight of ||d||²", "lowest of all β")
        ]
    # β is a root found to eps, divided by 1-q in the weight and by (1-q)² in the steady state
    return Evidence(
        claimed=claimed,
        measured=measured,
        cases=cases,
        atol=64 * EPS * (1 + np.asarray(claimed)) ** 2,
        premises=(Premise("0 < c < 1", all(0 < c < 1 for c in contractions), f"c = {list(contractions)}"),),
        note=f"for c = {', '.join(f'{c:g}' for c in contractions)}",
    )


CONTROLS = [
    ({"contractions": (0.4, 1.0)}, Verdict.PREMISE_FAILS),
    ({"bound": bounds.young_closed_loop, "contractions": (0.2, 0.4)}, Verdict.VIOLATED),
]
