"""Abstract and Table 1: activations down to 3 bits without performance loss."""

from modiff_sim import Claim, Evidence, Verdict

from .._digits import STAND_IN, frechet_ratios

ORDER = 8
CLAIM = Claim(
    id="three_bits_without_loss",
    statement=f"{STAND_IN}: with compensation W8A3 has no loss, that is at most 10 % in Fréchet distance "
    "(digit-classifier features, same noise). The paper: 4.14 against 4.24 FID, CIFAR-10, 100 steps.",
    source="abstract, Table 1; the 10 % are ours",
    relation="upper",
    topic="practice",
    expected=Verdict.VIOLATED,
)


def check(effort: str = "quick", *, bits: int = 3) -> Evidence:
    """Compare the Fréchet distance of the arm with that of full precision."""
    from analysis.experiments.arms import FULL, Arm

    return frechet_ratios([(Arm("closed_loop", bits, 8), FULL)], effort, claimed=1.10)
