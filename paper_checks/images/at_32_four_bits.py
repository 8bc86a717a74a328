"""Table 1 at 32×32, with convolutions alone: error compensation makes 4-bit activations work."""

from modiff_sim import Claim, Evidence

from ._at_32 import AT_32, loss

ORDER = 23.2
LIVE = True  # of committed rows
CLAIM = Claim(
    id="at_32_four_bits",
    statement=f"{AT_32}: with compensation W8A4 has no loss against W8A32, at most 10 % in Fréchet distance, where "
    "convolutions alone are quantized (channel-wise scales, DDIM, 50 quad steps, same noise; features of a "
    "classifier trained here).",
    source="this project, on Table 1",
    relation="upper",
    topic="practice",
)


def check(effort: str = "quick", *, row: str = "W8A4 closed loop, channel scales, convolutions") -> Evidence:
    """Compare the Fréchet distance of the arm with that of full-precision activations."""
    return loss(row, "DDIM 50")
