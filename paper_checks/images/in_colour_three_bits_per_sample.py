"""Three bits in colour with one scale per sample and all layers, which is what the released code does."""

from modiff_sim import Claim, Evidence, Verdict

from ._in_colour import FEATURES, IN_COLOUR, loss

ORDER = 28.3
LIVE = True  # of committed rows
CLAIM = Claim(
    id="in_colour_three_bits_per_sample",
    statement=f"{IN_COLOUR}: with one scale per sample the compensated W8A3 has no loss against W8A32, at most 10 % in "
    f"Fréchet distance (all layers, DDIM, 50 quad steps, same noise; {FEATURES}). It does lose.",
    source="this project, on Table 14",
    relation="upper",
    topic="practice",
    expected=Verdict.VIOLATED,
)


def check(effort: str = "quick", *, row: str = "W8A3 closed loop") -> Evidence:
    """Compare the Fréchet distance of the arm with that of full-precision activations."""
    return loss(row)
