"""Table 1 in colour where every layer is quantized, those of the timestep included, as in the released code."""

from modiff_sim import Claim, Evidence, Verdict

from ._in_colour import FEATURES, IN_COLOUR, loss

ORDER = 28.2
LIVE = True  # of committed rows
CLAIM = Claim(
    id="in_colour_four_bits_all_layers",
    statement=f"{IN_COLOUR}: with compensation W8A4 has no loss against W8A32, at most 10 % in Fréchet distance, where "
    "every convolution and linear layer is quantized (channel-wise scales, DDIM, 50 quad steps, same noise; "
    f"{FEATURES}). By the second it does lose.",
    source="this project, on Table 1",
    relation="upper",
    topic="practice",
    expected=Verdict.VIOLATED,
)


def check(effort: str = "quick", *, row: str = "W8A4 closed loop, channel scales") -> Evidence:
    """Compare the Fréchet distance of the arm with that of full-precision activations."""
    return loss(row)
