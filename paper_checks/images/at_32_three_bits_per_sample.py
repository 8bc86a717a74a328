"""Three bits at 32×32 with one scale per sample, which is what the released code does, and half as many steps."""

from modiff_sim import Claim, Evidence, Verdict

from ._at_32 import AT_32, loss

ORDER = 24.5
LIVE = True  # of committed rows
CLAIM = Claim(
    id="at_32_three_bits_per_sample",
    statement=f"{AT_32}: with one scale per sample and 50 quad steps the compensated W8A3 has no loss against W8A32, "
    "at most 10 % in Fréchet distance (all layers, DDIM, same noise). It does lose.",
    source="this project, on Table 14",
    relation="upper",
    topic="practice",
    expected=Verdict.VIOLATED,
)


def check(effort: str = "quick", *, row: str = "W8A3 closed loop") -> Evidence:
    """Compare the Fréchet distance of the arm with that of full-precision activations."""
    return loss(row, "DDIM 50")
