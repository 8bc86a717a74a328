"""The main result, on a model that anyone can run: error compensation makes 4-bit activations work."""

from modiff_sim import Claim, Evidence

from .._digits import STAND_IN, frechet_ratios

ORDER = 6
CLAIM = Claim(
    id="closed_loop_four_bits",
    statement=f"{STAND_IN}: with compensation W8A4 stays within 10 % of the full-precision Fréchet distance "
    "(digit-classifier features, same noise).",
    source="section 5, Table 1",
    relation="upper",
    topic="practice",
)


def check(effort: str = "quick", *, recursion: str = "closed_loop") -> Evidence:
    """Compare the Fréchet distance of the arm with that of full precision."""
    from analysis.experiments.arms import FULL, Arm

    return frechet_ratios([(Arm(recursion, 4, 8), FULL)], effort, claimed=1.10, fine=True)
