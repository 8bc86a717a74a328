"""Abstract and Table 1 at 32×32: activations down to 3 bits without performance loss."""

from modiff_sim import Claim, Evidence

from ._at_32 import AT_32, loss

ORDER = 24
LIVE = True  # of committed rows
CLAIM = Claim(
    id="at_32_three_bits",
    statement=f"{AT_32}: with compensation W8A3 has no loss against W8A32, at most 10 % in Fréchet distance, where all "
    "layers but those of the timestep are quantized (channel-wise scales, DDIM, 100 quad steps, same noise; features "
    "of a classifier trained here).",
    source="this project, on the abstract and Table 1",
    relation="upper",
    topic="practice",
)


def check(effort: str = "quick", *, row: str = "W8A3 closed loop, channel scales, no time path") -> Evidence:
    """Compare the Fréchet distance of the arm with that of full-precision activations."""
    return loss(row, "DDIM 100")
