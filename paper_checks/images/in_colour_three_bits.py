"""Abstract and Table 1 in colour: activations down to 3 bits without performance loss."""

from modiff_sim import Claim, Evidence

from ._in_colour import FEATURES, IN_COLOUR, loss

ORDER = 28
LIVE = True  # of committed rows
CLAIM = Claim(
    id="in_colour_three_bits",
    statement=f"{IN_COLOUR}: with compensation W8A3 has no loss against W8A32, at most 10 % in Fréchet distance, where "
    "all layers but those of the timestep are quantized (channel-wise scales, DDIM, 50 quad steps, same noise; "
    f"{FEATURES}).",
    source="this project, on the abstract and Table 1",
    relation="upper",
    topic="practice",
)


def check(effort: str = "quick", *, row: str = "W8A3 closed loop, channel scales, no time path") -> Evidence:
    """Compare the Fréchet distance of the arm with that of full-precision activations."""
    return loss(row)
