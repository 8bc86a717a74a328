"""How the error without compensation really grows."""

import numpy as np

from modiff_sim import Claim, Evidence, Verdict

from .. import _shared
from .._broken import Echo
from ._growth import growth

ORDER = 7
CLAIM = Claim(
    id="open_loop_linear",
    statement="Without compensation and with differences of constant size, the error grows at most linearly in n, "
    "which the worst case attains; like √n where the steps' errors are independent (slope of log error against log n).",
    source="this project",
    relation="tight",
)


def check(effort: str = "quick", *, recursion="open_loop") -> Evidence:
    """Fit the growth of the error for the worst case and for grids."""
    fits = growth(recursion, effort, seed=46)
    return Evidence(
        claimed=np.ones(len(fits)),
        measured=[f.slope for f in fits],
        low=[f.low for f in fits],
        high=[f.high for f in fits],
        cases=[f.case for f in fits],
        seed=46,
        # relative rounding of the error, 8·eps per call, turns into that much of log error; its slope divides by the
        # spread of log n, which is above 0.5
        atol=2 * 8 * _shared.EPS * max(f.calls[-1] for f in fits) * 2,
        note="; ".join(f"{f.case}: {f.slope:.2f} [{f.low:.2f}, {f.high:.2f}]" for f in fits),
    )


CONTROLS = [
    ({"recursion": Echo()}, Verdict.VIOLATED),
]
