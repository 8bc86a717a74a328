"""Table 4: direct is worse than modulation without compensation, which is worse than with it."""

from modiff_sim import Claim, Evidence, Verdict

from .._digits import STAND_IN, frechet_ratios

ORDER = 9
CLAIM = Claim(
    id="ablation_order",
    statement=f"{STAND_IN}: at W8A4 the Fréchet distance falls from direct to open loop to closed loop (ratios "
    "direct/open and open/closed at least 1), as in Table 4.",
    source="Table 4",
    relation="lower",
    topic="practice",
    printed=True,
    expected=Verdict.VIOLATED,
    quote="13.07 → 10.21 → 4.38",
    reading="sFID at W8A4, which Table 4 prints under the label W8A6; all layers, as in the code",
)


def check(effort: str = "quick", *, order=("direct", "open_loop", "closed_loop")) -> Evidence:
    """Compare the Fréchet distances of neighbours in the order."""
    from analysis.experiments.arms import Arm

    first, second, third = (Arm(name, 4, 8) for name in order)
    return frechet_ratios([(first, second), (second, third)], effort, claimed=1.0)
