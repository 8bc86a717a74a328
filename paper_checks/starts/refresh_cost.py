"""What refreshing costs in bits."""

import numpy as np

from modiff_sim import AbsMax, Claim, Evidence, Verdict, bounds, simulate
from modiff_sim.simulation.processes import random_walk

ORDER = 5
CLAIM = Claim(
    id="refresh_cost",
    statement="A share p of calls in full precision makes b-bit activations cost b + p(32-b) bits on average: 3 bits "
    "with the official code's 11 of 100 calls (Feb 2025) cost 6.2, and with the first call alone 3.3.",
    source="this project; official code",
    relation="equal",
)
OFFICIAL = (0, 7, 47, 52, 56, 59, 83, 96, 97, 98, 99)  # indices of the calls in full precision, out of 100


def check(effort: str = "quick", *, formula=bounds.effective_bits, share=bounds.refresh_share) -> Evidence:
    """Compare the formula with a count of the quantized calls of a run."""
    claimed, measured, cases = [], [], []
    for bits in (3, 4, 8):
        for name, refresh in (("11 of 100 calls", OFFICIAL), ("every 10th call", 10), ("first call only", "never")):
            r = simulate(random_walk(4), AbsMax(bits), steps=100, trials=1, refresh=refresh)
            measured.append(float(np.where(np.isnan(r.c[:, 0]), 32, bits).mean()))
            claimed.append(formula(bits, share(refresh, 100)))
            cases.append(f"{bits} bits, {name}: {measured[-1]:.2f} bits")
    return Evidence(
        claimed=claimed,
        measured=measured,
        cases=cases,
        seed=0,
        atol=1e-12,  # means of at most 100 numbers below 32
        note="; ".join(cases[:3]),
    )


CONTROLS = [
    ({"formula": lambda bits, share: bits + share * 32}, Verdict.VIOLATED),
    ({"share": lambda refresh, calls: 0.0}, Verdict.VIOLATED),
]
