"""The same order at 32×32 where convolutions alone are quantized."""

from modiff_sim import Claim, Evidence

from . import at_32_open_loop
from ._at_32 import AT_32

ORDER = 25.5
LIVE = True  # of committed rows
CLAIM = Claim(
    id="at_32_open_loop_convolutions",
    statement=f"{AT_32}: at W8A4, where convolutions alone are quantized, modulation without compensation is better "
    "than ordinary quantization, as the paper orders them (excess of the Fréchet distance of direct over the open "
    "loop; channel-wise scales, DDIM, 50 quad steps).",
    source="this project, on Table 4",
    relation="lower",
    topic="practice",
)


def check(effort: str = "quick", *, judged: str = "direct", by: str = "open loop") -> Evidence:
    """Compare the Fréchet distances of the two arms."""
    return at_32_open_loop.check(effort, judged=judged, by=by, layers=", convolutions")
