"""Where the two loops without compensation beat direct quantization, in the worst case."""

from modiff_sim import Claim, Evidence, Verdict, regimes

from ._controls import halved_contraction, moving, one_difference_more, wrong
from ._crossings import crossings, worst_errors

ORDER = 2
CLAIM = Claim(
    id="regimes_open_and_cache",
    statement="In the same worst case the open loop beats direct quantization only for ρ < 1/n and a cache (0 bits) "
    "only for ρ < κ/n: both regions shrink with every call, where the closed loop's does not.",
    source="this project",
    relation="equal",
)


def check(effort: str = "quick", *, boundary=regimes.boundary, run=worst_errors) -> Evidence:
    """Compare the boundaries with the crossings of worst errors."""
    return crossings(effort, ("open_loop", "cache"), boundary, run)


CONTROLS = [
    ({"boundary": one_difference_more}, Verdict.VIOLATED),
    ({"boundary": halved_contraction}, Verdict.VIOLATED),  # of the cache: κ/n
    ({"run": wrong("closed_loop")}, Verdict.VIOLATED),
    ({"run": moving}, Verdict.PREMISE_FAILS),
]
