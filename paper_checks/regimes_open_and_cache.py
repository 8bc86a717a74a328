"""Where the two loops without compensation beat direct quantization, in the worst case."""

from modiff_sim import Claim, Evidence, regimes

from .regimes_closed_beats_direct import crossings, worst_errors

ORDER = 705
CLAIM = Claim(
    id="regimes_open_and_cache",
    statement="In the same worst case the open loop beats direct quantization only for ρ < 1/n and a cache (0 bits) "
    "only for ρ < κ/n: both regions shrink with every call, where the closed loop's does not.",
    source="this project",
    relation="equal",
)


def check(effort: str = "quick", *, boundary=regimes.boundary, run=worst_errors) -> Evidence:
    return crossings(effort, ("open_loop", "cache"), boundary, run)
