"""The same order in colour where convolutions alone are quantized."""

from modiff_sim import Claim, Evidence

from . import at_32_open_loop_convolutions
from ._at_32 import COLOUR_TABLE, IN_COLOUR

ORDER = 28.8
LIVE = True  # of committed rows
CLAIM = Claim(
    id="in_colour_open_loop_convolutions",
    statement=f"{IN_COLOUR}: at W8A4, where convolutions alone are quantized, modulation without compensation is "
    "better than ordinary quantization, as the paper orders them (excess of the Fréchet distance of direct over the "
    "open loop; channel-wise scales, DDIM, 50 quad steps).",
    source="this project, on Table 4",
    relation="lower",
    topic="practice",
)


def check(effort: str = "quick", *, judged: str = "direct", by: str = "open loop") -> Evidence:
    """Compare the Fréchet distances of the two arms."""
    return at_32_open_loop_convolutions.check(effort, judged=judged, by=by, table=COLOUR_TABLE)
