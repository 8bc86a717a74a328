"""Abstract and Table 1: activations down to 3 bits without performance loss, where the costly layers are quantized."""

from modiff_sim import Claim, Evidence

from .._digits import STAND_IN
from .._rows import NO_LOSS, cells, losses
from ._ablation import COSTLY

ORDER = 8
LIVE = True  # of committed rows
CLAIM = Claim(
    id="three_bits_without_loss",
    statement=f"{STAND_IN}: with compensation W8A3 has no loss against W8A32, that is at most 10 % in Fréchet "
    "distance, where all layers but those of the timestep are quantized, or convolutions alone (channel-wise scales, "
    "DDIM, 100 quad steps, same noise).",
    source="abstract, Table 1, section 4.3",
    relation="upper",
    topic="practice",
    printed=True,
    quote="from 8 bits to 3 bits without performance degradation; LCQ + MoDiff, W8A3: FID 4.14, where W8A32 has 4.24",
    reading="charitable: channel-wise scales, of which Table 1 says it (LCQ), and every costly linear layer; no loss "
    "is at most 10 % of full precision's distance, and the 10 % are ours",
    instead=("three_bits_all_layers", "three_bits_per_sample"),
    elsewhere=("at_32_three_bits", "in_colour_three_bits"),
)


def check(effort: str = "quick", *, selections=COSTLY, arm: str = "closed loop") -> Evidence:
    """Compare the Fréchet distances with that of full-precision activations."""
    found = cells("4", *(("W8A3", f"{words}: {arm}") for words in selections))
    return losses("4", [(cell, cell.weights_only) for cell in found], claimed=NO_LOSS)
