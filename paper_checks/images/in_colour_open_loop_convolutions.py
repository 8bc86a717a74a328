"""The same order in colour where convolutions alone are quantized."""

from modiff_sim import Claim, Evidence

from ._in_colour import FEATURES, IN_COLOUR
from ._in_colour import order as ordered

ORDER = 28.8
LIVE = True  # of committed rows
CLAIM = Claim(
    id="in_colour_open_loop_convolutions",
    statement=f"{IN_COLOUR}: at W8A4, where convolutions alone are quantized, modulation without compensation is "
    "better than ordinary quantization, as the paper orders them (excess of the Fréchet distance; channel-wise "
    f"scales, DDIM, 50 quad steps; {FEATURES}).",
    source="this project, on Table 4",
    relation="lower",
    topic="practice",
)


def check(effort: str = "quick", *, order: tuple[str, ...] = ("direct", "open loop")) -> Evidence:
    """Compare the Fréchet distances of the two arms."""
    return ordered([f"W8A4 {arm}, channel scales, convolutions" for arm in order])
