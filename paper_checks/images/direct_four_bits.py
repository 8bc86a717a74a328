"""The other half of the main result: without modulation 4-bit activations do not work."""

from modiff_sim import Claim, Evidence

from .._digits import STAND_IN, frechet_ratios

ORDER = 7
CLAIM = Claim(
    id="direct_four_bits",
    statement=f"{STAND_IN}: direct quantization at W8A4 is more than 10 % worse than full precision in Fréchet "
    "distance (digit-classifier features, same noise).",
    source="section 5, Table 1",
    relation="lower",
    topic="practice",
)


def check(effort: str = "quick", *, recursion: str = "direct") -> Evidence:
    """Compare the Fréchet distance of the arm with that of full precision."""
    from analysis.experiments.arms import FULL, Arm

    return frechet_ratios([(Arm(recursion, 4, 8), FULL)], effort, claimed=1.10)
