"""What remains of Table 4's order: compensation beats both arms without it."""

from modiff_sim import Claim, Evidence

from .._digits import STAND_IN, frechet_ratios

ORDER = 10
CLAIM = Claim(
    id="compensation_helps",
    statement=f"{STAND_IN}: at W8A4 and W8A3 the closed loop has a smaller Fréchet distance than direct and "
    "than the open loop (ratios to the closed loop at least 1).",
    source="section 4.2",
    relation="lower",
    topic="practice",
)


def check(effort: str = "quick", *, best: str = "closed_loop") -> Evidence:
    """Compare the Fréchet distances of both arms without compensation with that of the closed loop."""
    from analysis.experiments.arms import RECURSIONS, Arm

    pairs = [(Arm(r, b, 8), Arm(best, b, 8)) for b in (4, 3) for r in RECURSIONS if r != best]
    return frechet_ratios(pairs, effort, claimed=1.0)
