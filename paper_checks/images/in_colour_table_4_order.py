"""Table 4's order in colour, by a judge that sees faint noise."""

from modiff_sim import Claim, Evidence

from ._in_colour import IN_COLOUR
from ._in_colour import order as ordered

ORDER = 28.9
LIVE = True  # of committed rows
CLAIM = Claim(
    id="in_colour_table_4_order",
    statement=f"{IN_COLOUR}: at W8A4, where convolutions alone are quantized, ordinary quantization is worse than the "
    "open loop, and the open loop worse than the closed loop, as in the paper's ablation (excess of the Fréchet "
    "distance in the features of a ResNet-20 of other people; channel-wise scales, DDIM, 50 quad steps).",
    source="this project, on Table 4",
    relation="lower",
    topic="practice",
)


def check(effort: str = "quick", *, order: tuple[str, ...] = ("direct", "open loop", "closed loop")) -> Evidence:
    """Compare the Fréchet distances of neighbours in the order."""
    return ordered([f"W8A4 {arm}, channel scales, convolutions" for arm in order], judges=[True])
