"""Table 1 in colour where every layer is quantized, those of the timestep included, as in the released code."""

from modiff_sim import Claim, Evidence

from . import at_32_three_bits
from ._at_32 import COLOUR_TABLE, IN_COLOUR

ORDER = 28.2
LIVE = True  # of committed rows
CLAIM = Claim(
    id="in_colour_four_bits_all_layers",
    statement=f"{IN_COLOUR}: with compensation W8A4 has no loss against W8A32, at most 10 % in Fréchet distance, where "
    "every convolution and linear layer is quantized (channel-wise scales, DDIM, 50 quad steps, same noise).",
    source="this project, on Table 1",
    relation="upper",
    topic="practice",
)


def check(effort: str = "quick", *, row: str = "W8A4 closed loop, channel scales") -> Evidence:
    """Compare the Fréchet distance of the arm with that of full-precision activations."""
    return at_32_three_bits.check(effort, row=row, column="DDIM 50", table=COLOUR_TABLE)
