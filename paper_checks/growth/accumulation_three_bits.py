"""Measured accumulation over more than 100 calls for both loops, at 3 bits, against the bound."""

import numpy as np

from modiff_sim import AbsMax, Claim, Evidence

from .._digits import STAND_IN
from ._recorded import SIZES, limit, runs

ORDER = 4
CLAIM = Claim(
    id="accumulation_three_bits",
    statement=f"{STAND_IN}: at 3 bits, over 250 calls of DDIM, in every layer, image and call, the error is at most "
    "Σ κ^(age+1) ||d||_inf with compensation and κ Σ ||d||_inf without (max norm, largest error over bound).",
    source="this project, on Theorem 4.4",
    relation="upper",
    topic="practice",
)


def check(
    effort: str = "quick", *, bits: int = 3, kappa: float | None = None, closed="closed_loop", without="open_loop"
) -> Evidence:
    """Measure the largest error over its bound, per layer and loop."""
    Q = AbsMax(bits)
    measured, cases, ends = [], [], {}
    for loop, recursion in (("closed_loop", closed), ("open_loop", without)):
        last = []
        for name, r in runs(effort, recursion, Q).items():
            bound = limit(loop, r.d_inf[1:], Q.kappa(2) if kappa is None else kappa)
            measured.append(float(np.max(r.error_inf[1:] / bound)))
            cases.append(f"{recursion}, {name}")
            last.append(np.median(r.error_inf[-1] / r.a_inf[-1]))
        ends[recursion] = f"{min(last):.2g} to {max(last):.2g}"
    steps, images = SIZES[effort]
    return Evidence(
        claimed=np.ones(len(cases)),
        measured=measured,
        cases=cases,
        seed=0,
        # float64 on float32 inputs: a few roundings per call, far below the 1e-9 of the bound that is allowed here
        atol=1e-9,
        params={"calls": steps, "images": images, "sampler": "ddim", "spacing": "uniform", "bits": bits},
        note="error of the last call relative to its input, over the layers: "
        + ", ".join(f"{name} {text}" for name, text in ends.items()),
    )
