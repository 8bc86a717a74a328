"""Table 4's order of open loop and direct, in colour."""

from modiff_sim import Claim, Evidence

from . import at_32_open_loop
from ._at_32 import COLOUR_TABLE, IN_COLOUR

ORDER = 28.6
LIVE = True  # of committed rows
CLAIM = Claim(
    id="in_colour_open_loop",
    statement=f"{IN_COLOUR}: at W8A4, where all layers are quantized, those of the timestep included, modulation "
    "without compensation is worse than ordinary quantization (excess of the Fréchet distance; channel-wise scales, "
    "DDIM, 50 quad steps).",
    source="this project, on Table 4",
    relation="lower",
    topic="practice",
)


def check(effort: str = "quick", *, judged: str = "open loop", by: str = "direct") -> Evidence:
    """Compare the Fréchet distances of the two arms."""
    return at_32_open_loop.check(effort, judged=judged, by=by, table=COLOUR_TABLE)
