"""The other half of Table 1 at 32×32: without modulation 4-bit activations do not work."""

from modiff_sim import Claim, Evidence

from ._at_32 import AT_32, loss

ORDER = 23.6
LIVE = True  # of committed rows
CLAIM = Claim(
    id="at_32_direct_four_bits",
    statement=f"{AT_32}: ordinary quantization loses at W8A4, more than 10 % in Fréchet distance over W8A32 (all "
    "layers, channel-wise scales, DDIM, 50 quad steps, same noise).",
    source="this project, on Table 1",
    relation="lower",
    topic="practice",
)


def check(effort: str = "quick", *, row: str = "W8A4 direct, channel scales") -> Evidence:
    """Compare the Fréchet distance of the arm with that of full-precision activations."""
    return loss(row, "DDIM 50")
