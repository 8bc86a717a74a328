"""Stochastic rounding at 2 bits: no bound applies, and yet the closed loop does not diverge on a random walk."""

import numpy as np

from modiff_sim import Claim, Evidence, Stochastic, Verdict, simulate
from modiff_sim.bounds.growth import slope
from modiff_sim.evidence import Premise
from modiff_sim.simulation.processes import random_walk

ORDER = 3
CLAIM = Claim(
    id="stochastic_two_bits",
    statement="Stochastic rounding at 2 bits and d = 4096, where sup c = 31.5 and κ = 1, so that no bound applies: on "
    "a random walk the closed loop's error settles instead of growing (slope of log error against log n; the open "
    "loop's is 1/2).",
    source="this project",
    relation="upper",
)


def check(
    effort: str = "quick", *, recursion: str = "closed_loop", bits: int = 2, d: int = 4096, quantizer=Stochastic
) -> Evidence:
    """Fit the growth over the last half of the calls. The loop settles if its slope is below half the open loop's."""
    n, trials = (400, 8) if effort == "quick" else (1000, 16)
    Q = quantizer(bits)
    walk = random_walk(d)
    closed = simulate(walk, Q, recursion, steps=n + 1, trials=trials, seed=72).error
    opened = simulate(walk, Q, "open_loop", steps=101, trials=2, seed=73).error
    half = np.arange(n // 2, n + 1)
    fit = slope(np.log(half), closed[half])
    levels = (closed[half].mean(), closed[100].mean(), opened[100].mean())
    no_bound = Q.c(d) >= 1 and Q.kappa(d) >= 1
    return Evidence(
        claimed=0.25,
        measured=fit.slope,
        low=fit.low,
        high=fit.high,
        seed=72,
        premises=(Premise("c ≥ 1 and κ ≥ 1", no_bound, f"c = {Q.c(d):.3g}, κ = {Q.kappa(d):.3g}"),),
        note="settles at {:.1f}·||d||; after 100 calls it is at {:.1f}·||d||, the open loop at {:.1f}·||d||".format(
            *(level / np.sqrt(d) for level in levels)
        ),
    )


CONTROLS = [
    ({"recursion": "open_loop", "d": 256}, Verdict.VIOLATED),
    ({"bits": 3, "d": 64}, Verdict.PREMISE_FAILS),
]
