"""Table 1 in colour, with convolutions alone: error compensation makes 4-bit activations work."""

from modiff_sim import Claim, Evidence

from ._in_colour import FEATURES, IN_COLOUR, loss

ORDER = 28.1
LIVE = True  # of committed rows
CLAIM = Claim(
    id="in_colour_four_bits",
    statement=f"{IN_COLOUR}: with compensation W8A4 has no loss against W8A32, at most 10 % in Fréchet distance, where "
    f"convolutions alone are quantized (channel-wise scales, DDIM, 50 quad steps, same noise; {FEATURES}).",
    source="this project, on Table 1",
    relation="upper",
    topic="practice",
)


def check(effort: str = "quick", *, row: str = "W8A4 closed loop, channel scales, convolutions") -> Evidence:
    """Compare the Fréchet distance of the arm with that of full-precision activations."""
    return loss(row)
