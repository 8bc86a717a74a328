"""Does the error without compensation grow like 2^k, as (30) says and its reading repeats?"""

import numpy as np

from modiff_sim import Claim, Evidence, Verdict, bounds

from .._broken import Echo
from ._growth import growth

ORDER = 6
CLAIM = Claim(
    id="open_loop_exponential",
    statement="Without compensation the error grows exponentially, ||o-õ||² like 2^n as (30) does (slope of log error "
    "against log n, at least the slope of (30) over the same steps).",
    source="Theorem 4.4, (30) and its reading",
    relation="lower",
    printed=True,
    expected=Verdict.VIOLATED,
)


def check(effort: str = "quick", *, recursion="open_loop", bound=bounds.printed_open_loop) -> Evidence:
    """Compare the fitted growth of the error with that of (30) over the same calls."""
    fits = growth(recursion, effort, seed=45)
    claimed = [np.polyfit(np.log(f.calls), np.log(bound(np.ones(f.calls[-1]), 0.25)[f.calls - 1]), 1)[0] for f in fits]
    return Evidence(
        claimed=claimed,
        measured=[f.slope for f in fits],
        low=[f.low for f in fits],
        high=[f.high for f in fits],
        cases=[f.case for f in fits],
        seed=45,
        note="; ".join(f"{f.case}: {f.slope:.2f} [{f.low:.2f}, {f.high:.2f}]" for f in fits),
    )


CONTROLS = [
    ({"recursion": Echo()}, Verdict.HOLDS),
]
