"""The open loop in the max norm: linear growth, attained."""

import numpy as np

from modiff_sim import AbsMax, Claim, Evidence, MinMax, Verdict, bounds

from .. import _shared
from .._broken import FloorAbsMax, halved, shifted
from .._shared import families, worst_of

ORDER = 9
CLAIM = Claim(
    id="max_norm_open_loop",
    statement="Without compensation, ||o-õ||_∞ ≤ ||A||_{∞→∞} κ Σ_k ||d_k||_∞ at b = 2..8; attained after every "
    "step (largest error over bound).",
    source="this project",
    relation="tight",
)


def check(
    effort: str = "quick", *, recursion="open_loop", bound=bounds.max_norm_open_loop, quantizer=AbsMax
) -> Evidence:
    """Equal differences (2·qmax, 1) attain the bound: the second entry is a tie at half a step and always goes to 0."""
    n = 16 if effort == "quick" else 64
    rng = np.random.default_rng(51)
    ratio, atol, cases = [], [], []
    for bits in range(2, 9):
        Q = quantizer(bits)
        tie = np.tile([2.0 * AbsMax(bits).qmax, 1.0], (n, 1, 1))
        others = [("", R, families(n, d, rng)) for R in (Q, MinMax(bits)) for d in (2, 32)]
        upper = worst_of(recursion, bound, others, n, order=np.inf)
        worst = worst_of(recursion, bound, [("ties", Q, tie)], n, order=np.inf).but(upper)
        ratio.append(worst.ratio)
        atol.append(worst.atol)
        cases += [f"{name}, step {j + 1}" for j, name in enumerate(worst.case)]
    return Evidence(
        claimed=np.ones(len(cases)),
        measured=np.concatenate(ratio),
        cases=cases,
        seed=51,
        note=f"attained at each of {n} steps for b = 2..8",
        atol=np.concatenate(atol) + 2 * n * _shared.EPS,  # besides the run's rounding: κ and the bound's sum,
        everywhere=True,
    )


CONTROLS = [
    ({"bound": halved(bounds.max_norm_open_loop)}, Verdict.VIOLATED),
    ({"bound": shifted(bounds.max_norm_open_loop, 1)}, Verdict.VIOLATED),
    ({"bound": shifted(bounds.max_norm_open_loop, -1)}, Verdict.VIOLATED),
    ({"recursion": "closed_loop"}, Verdict.VIOLATED),
    ({"quantizer": FloorAbsMax}, Verdict.VIOLATED),
]
