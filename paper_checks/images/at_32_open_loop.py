"""Table 4's order of open loop and direct, at 32×32."""

from modiff_sim import Claim, Evidence

from .._rows import excesses
from ._at_32 import AT_32, TABLE, cell

ORDER = 25
LIVE = True  # of committed rows
CLAIM = Claim(
    id="at_32_open_loop",
    statement=f"{AT_32}: at W8A6, where all layers are quantized, those of the timestep included, modulation without "
    "compensation is worse than ordinary quantization (excess of the Fréchet distance; at W8A4 both have failed "
    "here).",
    source="this project, on Table 4",
    relation="lower",
    topic="practice",
)


def check(effort: str = "quick", *, judged: str = "open loop", by: str = "direct", bits: str = "W8A6") -> Evidence:
    """Compare the Fréchet distances of the two arms."""
    return excesses(TABLE, [(cell(f"{bits} {judged}", "DDIM 50"), cell(f"{bits} {by}", "DDIM 50"))], claimed=0.0)
