"""Table 4's order of open loop and direct, in colour."""

from modiff_sim import Claim, Evidence

from ._in_colour import FEATURES, IN_COLOUR
from ._in_colour import order as ordered

ORDER = 28.6
LIVE = True  # of committed rows
CLAIM = Claim(
    id="in_colour_open_loop",
    statement=f"{IN_COLOUR}: at W8A4, where all layers are quantized, those of the timestep included, modulation "
    "without compensation is worse than ordinary quantization (excess of the Fréchet distance; channel-wise scales, "
    f"DDIM, 50 quad steps; {FEATURES}).",
    source="this project, on Table 4",
    relation="lower",
    topic="practice",
)


def check(effort: str = "quick", *, order: tuple[str, ...] = ("open loop", "direct")) -> Evidence:
    """Compare the Fréchet distances of the two arms."""
    return ordered([f"W8A4 {arm}, channel scales" for arm in order])
