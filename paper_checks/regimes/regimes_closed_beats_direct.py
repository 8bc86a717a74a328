"""Where the closed loop beats direct quantization, in the worst case."""

from modiff_sim import Claim, Evidence, Verdict, regimes

from .._broken import Dropped, Flipped
from ._controls import halved_contraction, moving, one_difference_more, wrong
from ._crossings import crossings, worst_errors

ORDER = 1
CLAIM = Claim(
    id="regimes_closed_beats_direct",
    statement="Over all inputs with ||d||_∞ = ρ||a||_∞, after n differences the closed loop's worst error is below "
    "that of direct quantization exactly for ρ < (1-κ)/(1-κ^n) → 1-κ (the ρ at which runs that attain both cross).",
    source="this project",
    relation="equal",
)
SCHEMES = ("closed_loop",)


def check(effort: str = "quick", *, boundary=regimes.boundary, run=worst_errors) -> Evidence:
    """Compare the boundaries with the crossings of worst errors."""
    return crossings(effort, SCHEMES, boundary, run)


CONTROLS = [
    ({"boundary": halved_contraction}, Verdict.VIOLATED),
    ({"boundary": one_difference_more}, Verdict.VIOLATED),
    ({"run": wrong("open_loop")}, Verdict.VIOLATED),
    ({"run": wrong(Dropped())}, Verdict.VIOLATED),
    ({"run": wrong(Flipped())}, Verdict.VIOLATED),
    ({"run": moving}, Verdict.PREMISE_FAILS),
]
