"""Table 16 in colour: 6 bits without loss at 20 steps."""

from modiff_sim import Claim, Evidence

from ._in_colour import FEATURES, IN_COLOUR, TWENTY, loss

ORDER = 28.94
LIVE = True  # of committed rows
CLAIM = Claim(
    id="in_colour_six_bits_at_twenty_steps",
    statement=f"{IN_COLOUR}: at 20 quad steps of DDIM the W8A6 closed loop has no loss against W8A32, at most 10 % in "
    f"Fréchet distance (all layers, one scale per sample, same noise; {FEATURES}).",
    source="this project, on Table 16",
    relation="upper",
    topic="practice",
)


def check(effort: str = "quick", *, row: str = "W8A6 closed loop") -> Evidence:
    """Compare the Fréchet distance of the arm with that of full-precision activations."""
    return loss(row, TWENTY)
