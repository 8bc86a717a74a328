"""Does the error without compensation really grow like 2^k, as its bound (30) does?"""

import numpy as np

from modiff_sim import Claim, Evidence, Verdict, bounds

from .._broken import Echo
from ._growth import growth

ORDER = 6.7
CLAIM = Claim(
    id="open_loop_exponential",
    statement="Without compensation the error itself, and not only its bound, grows exponentially, ||o-õ||² like 2^n "
    "as (30) does (slope of log ||o-õ||² against log n, at least that of (30) over the same steps).",
    source="the summary's reading of (30)",
    relation="lower",
    expected=Verdict.VIOLATED,
)


def check(effort: str = "quick", *, recursion="open_loop", bound=bounds.printed_open_loop) -> Evidence:
    """Compare the fitted growth of the error with that of (30) over the same calls."""
    fits = growth(recursion, effort, seed=45)
    claimed = [np.polyfit(np.log(f.calls), np.log(bound(np.ones(f.calls[-1]), 0.25)[f.calls - 1]), 1)[0] for f in fits]
    return Evidence(
        claimed=claimed,
        measured=[2 * f.slope for f in fits],
        low=[2 * f.low for f in fits],
        high=[2 * f.high for f in fits],
        cases=[f.case for f in fits],
        seed=45,
        note="; ".join(f"{f.case}: {2 * f.slope:.2f} [{2 * f.low:.2f}, {2 * f.high:.2f}]" for f in fits),
    )


CONTROLS = [
    ({"recursion": Echo()}, Verdict.HOLDS),
]
