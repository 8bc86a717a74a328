"""Table 1 in colour: ordinary quantization with 4 bits."""

from modiff_sim import Claim, Evidence

from .._rows import NO_LOSS, losses
from ._at_32 import COLOUR_TABLE, IN_COLOUR, cell

ORDER = 28.4
LIVE = True  # of committed rows
CLAIM = Claim(
    id="in_colour_direct_four_bits",
    statement=f"{IN_COLOUR}: ordinary quantization loses at W8A4, more than 10 % in Fréchet distance over W8A32 (all "
    "layers, channel-wise scales, DDIM, 50 quad steps, same noise).",
    source="this project, on Table 1",
    relation="lower",
    topic="practice",
)


def check(effort: str = "quick", *, row: str = "W8A4 direct, channel scales") -> Evidence:
    """Compare the Fréchet distance of the arm with that of full-precision activations."""
    judged = cell(row, "DDIM 50", COLOUR_TABLE)
    return losses(COLOUR_TABLE, [(judged, judged.weights_only)], claimed=NO_LOSS)
