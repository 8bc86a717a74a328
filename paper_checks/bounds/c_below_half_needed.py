"""Is c < 1/2 needed for the closed loop to stay bounded, as the appendix of Theorem 4.4 assumes?"""

from collections.abc import Sequence

import numpy as np

from modiff_sim import AbsMax, Claim, Evidence, Verdict, bounds, contraction
from modiff_sim.bounds.growth import slope
from modiff_sim.evidence import Premise

from .. import _shared
from .._broken import Growing
from .._shared import Shrink, collinear

ORDER = 3
CLAIM = Claim(
    id="c_below_half_needed",
    statement="c < 1/2 is needed: for 1/2 < c < 1 the closed loop's worst error grows by a factor √(2c) per step, as "
    "the printed bound does (growth of log error per step).",
    source="the summary; the paper assumes c < 1/2 in its appendix, and prints 0 < c < 1 in its text",
    relation="lower",
    expected=Verdict.VIOLATED,
)


def check(
    effort: str = "quick",
    *,
    recursion="closed_loop",
    contractions: Sequence[float] = (0.55, 0.6, 0.75, 0.9, 0.95),
) -> Evidence:
    """Fit the growth of the worst case of (29), which is Shrink on equal differences, over the last half of the run."""
    steps = 500 if effort == "quick" else 8000
    half = np.arange(steps // 2, steps)
    claimed, low, measured, high, cases, past = [], [], [], [], [], 0.0
    for c in contractions:
        done = _shared.run(recursion, collinear(np.ones(steps)), Shrink(contraction=c))
        past = max(past, float(np.max(done.error[:, 0] / bounds.sharp_closed_loop(done.d, c)[:, 0])) - 1)
        fit = slope(half, done.error[half])
        claimed.append(0.5 * np.log(2 * c))
        measured.append(fit[0]), low.append(fit[1]), high.append(fit[2])
        limit = np.sqrt(c) / (1 - np.sqrt(c))
        cases.append(
            f"c = {c:g}: error {done.error[-1, 0]:.4g} after {steps} steps, steady state q/(1-q) = {limit:.4g}"
        )
    Q, d, n = AbsMax(2), 1024, 200  # a real grid whose c is above 1/2, on a random walk
    done = _shared.run(recursion, np.random.default_rng(42).standard_normal((n, 8, d)), Q)
    c = np.mean([contraction.ratios(Q, r).mean() for r in done.residuals])
    fit = slope(np.arange(n // 2, n), done.error[n // 2 :])
    claimed.append(0.5 * np.log(2 * c))
    measured.append(fit[0]), low.append(fit[1]), high.append(fit[2])
    cases.append(f"{_shared.label(Q)}, d = {d}, random walk, measured c = {c:.3f}")
    premises = (Premise("1/2 < c < 1", all(0.5 < c < 1 for c in contractions), f"c = {list(contractions)}"),)
    return Evidence(
        claimed=claimed,
        measured=measured,
        low=low,
        high=high,
        cases=cases,
        premises=premises,
        seed=42,
        params={"steps": steps, "largest excess over the sharp bound": past},
    )


CONTROLS = [
    ({"recursion": Growing(), "contractions": (0.55,)}, Verdict.HOLDS),
    ({"contractions": (0.4,)}, Verdict.PREMISE_FAILS),
]
