"""How often the open loop must be refreshed to be worth anything."""

from collections.abc import Sequence

import numpy as np

from modiff_sim import AbsMax, Claim, Evidence, Verdict, bounds

from .. import _shared
from . import _restarts

ORDER = 4
CLAIM = Claim(
    id="refresh_interval",
    statement="Refreshed every k calls, the open loop's worst max-norm error is below direct quantization's exactly "
    "for k < 1 + ||a||_∞/||d||_∞, whatever the bits: k = 10 where differences are 10 times smaller (largest such k).",
    source="this project",
    relation="equal",
)


def check(
    effort: str = "quick",
    *,
    recursion="open_loop",
    formula=bounds.refresh_interval,
    ratios: Sequence[float] = (1.5, 2.5, 9.5, 10.0),
) -> Evidence:
    """Find the largest such k by running k = 1, 2, ... on ties at half a step, all of which are rounded to zero."""
    claimed, measured, cases = [], [], []
    for bits in (2, 3, 4) if effort == "quick" else range(2, 9):
        Q = AbsMax(bits)
        tie = np.array([2.0 * Q.qmax, 1.0])  # half a step of its scale, exactly
        for ratio in ratios:
            steps = np.arange(int(2 * ratio) + 4)[:, None, None] * tie
            inputs = ratio * tie[None, None]  # ||a|| = ratio
            direct = float(_restarts.errors("direct", inputs, Q, order=np.inf)[0].max())
            error, slack = _restarts.errors(recursion, steps, Q, order=np.inf)
            below = error[:, 0] < direct - 2 * slack[:, 0]  # where ||a||/||d|| is an integer the two meet: not below
            found = len(below) if below.all() else int(np.argmin(below))  # calls 0..k-1 between refreshes are below
            claimed.append(formula(ratio))
            measured.append(found)
            cases.append(f"{_shared.label(Q)}, ||a||/||d|| = {ratio:g}")
    return Evidence(
        claimed=claimed,
        measured=measured,
        cases=cases,
        seed=0,
        note=", ".join(f"k = {m} at {r:g}" for m, r in zip(measured, ratios, strict=False)),
    )


CONTROLS = [
    ({"formula": lambda ratio: bounds.refresh_interval(ratio) + 1}, Verdict.VIOLATED),
    ({"recursion": "closed_loop"}, Verdict.VIOLATED),
]
