"""Table 4's order of open loop and direct, at 32×32."""

from modiff_sim import Claim, Evidence

from .._rows import excesses
from ._at_32 import AT_32, TABLE, cell

ORDER = 25
LIVE = True  # of committed rows
CLAIM = Claim(
    id="at_32_open_loop",
    statement=f"{AT_32}: at W8A4, where all layers are quantized, those of the timestep included, modulation without "
    "compensation is worse than ordinary quantization (excess of the Fréchet distance; channel-wise scales, DDIM, 50 "
    "quad steps).",
    source="this project, on Table 4",
    relation="lower",
    topic="practice",
)


def check(effort: str = "quick", *, judged: str = "open loop", by: str = "direct", layers: str = "") -> Evidence:
    """Compare the Fréchet distances of the two arms."""
    pair = [cell(f"W8A4 {arm}, channel scales{layers}", "DDIM 50") for arm in (judged, by)]
    return excesses(TABLE, [(pair[0], pair[1])], ordered=True)
