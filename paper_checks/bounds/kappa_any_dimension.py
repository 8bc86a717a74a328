"""The premise of the max-norm bound: κ has no dimension in it."""

import numpy as np

from modiff_sim import AbsMax, Claim, Evidence, MinMax, Verdict, contraction
from modiff_sim.quantizers.laws import SLACK

from .._broken import FloorAbsMax
from .._shared import EPS, label

ORDER = 10
CLAIM = Claim(
    id="kappa_any_dimension",
    statement="Rounding to nearest, ||x-Q(x)||_∞ ≤ κ||x||_∞ with κ = 1/(2·qmax) for absmax and 1/(2^b-1) for min-max "
    "with zero, at every dimension and for every tail; the largest ratio is κ.",
    source="this project",
    relation="tight",
)


def check(effort: str = "quick", *, quantizers=(AbsMax, MinMax)) -> Evidence:
    """Measure the largest ratio on ties, which attain it, and on random inputs, and search for larger ones."""
    rng = np.random.default_rng(52)
    claimed, measured, cases = [], [], []
    for kind in quantizers:
        for bits in range(2, 9):
            steps = 2**bits - 1 if issubclass(kind, MinMax) else 2 ** (bits - 1) - 1
            kappa = 1 / steps if issubclass(kind, MinMax) else 1 / (2 * steps)
            Q = kind(bits)
            for d in (2, 64, 2**14 if effort == "quick" else 2**20):
                tie = np.zeros((1, d))  # absmax: half a step beside the maximum; min-max: the extremes are ties
                tie[0, :2] = (steps, -steps) if issubclass(kind, MinMax) else (2 * steps, 1)
                found = contraction.search(Q, d, norm="kappa", tries=12, rounds=1, seed=bits).value if d == 64 else 0.0
                data = [tie, rng.standard_normal((2, d)), rng.standard_t(1.5, (2, d)), rng.laplace(size=(2, d))]
                claimed.append(kappa)
                measured.append(max(found, *(contraction.ratios(Q, x, norm="kappa").max() for x in data)))
                cases.append(f"{label(Q)}, d = {d}")
    return Evidence(
        claimed=claimed,
        measured=measured,
        cases=cases,
        atol=SLACK * EPS,
        seed=52,  # SLACK: laws.py
        note=f"up to d = {d}, Student-t1.5 included",
        everywhere=True,
    )


CONTROLS = [
    ({"quantizers": (FloorAbsMax,)}, Verdict.VIOLATED),
]
