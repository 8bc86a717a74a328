"""Table 4's order of open loop and direct, at 32×32."""

from modiff_sim import Claim, Evidence

from ._at_32 import AT_32, cell, product

ORDER = 22
LIVE = True  # of committed rows
CLAIM = Claim(
    id="at_32_open_loop",
    statement=f"{AT_32}: at W8A6 modulation without compensation is worse than ordinary quantization (Fréchet distance "
    "of the open loop over direct's; Table 4 prints 4.41/4.61, better; at W8A4 both have failed here).",
    source="this project, against Table 4",
    relation="lower",
    topic="practice",
)


def check(effort: str = "quick", *, judged: str = "open loop", by: str = "direct", bits: str = "W8A6") -> Evidence:
    """Compare the Fréchet distances of the two arms."""
    powers = {cell(f"{bits} {judged}", "DDIM 50"): 1, cell(f"{bits} {by}", "DDIM 50"): -1}
    return product(powers, f"{judged} over {by} at {bits}", claimed=1.0)
