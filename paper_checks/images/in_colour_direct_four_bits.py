"""Table 1 in colour: ordinary quantization with 4 bits."""

from modiff_sim import Claim, Evidence

from ._in_colour import FEATURES, IN_COLOUR, loss

ORDER = 28.4
LIVE = True  # of committed rows
CLAIM = Claim(
    id="in_colour_direct_four_bits",
    statement=f"{IN_COLOUR}: ordinary quantization loses at W8A4, more than 10 % in Fréchet distance over W8A32 (all "
    f"layers, channel-wise scales, DDIM, 50 quad steps, same noise; {FEATURES}).",
    source="this project, on Table 1",
    relation="lower",
    topic="practice",
)


def check(effort: str = "quick", *, row: str = "W8A4 direct, channel scales") -> Evidence:
    """Compare the Fréchet distance of the arm with that of full-precision activations."""
    return loss(row)
