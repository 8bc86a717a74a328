"""The other half of the main result: without modulation 4-bit activations do not work."""

from modiff_sim import Claim, Evidence

from .._digits import STAND_IN
from .._rows import NO_LOSS, cells, losses

ORDER = 7
LIVE = True  # of committed rows
CLAIM = Claim(
    id="direct_four_bits",
    statement=f"{STAND_IN}: direct quantization at W8A4 is more than 10 % worse than W8A32 in Fréchet distance "
    "(all layers, channel-wise scales, DDIM, 100 quad steps, same noise).",
    source="section 5, Table 1",
    relation="lower",
    topic="practice",
    printed=True,
    quote="LCQ, W8A4: FID 24.09, where W8A32 has 4.24",
    reading="a loss is more than 10 % of full precision's distance; the 10 % are ours",
    elsewhere=("at_32_direct_four_bits", "in_colour_direct_four_bits", "witnesses_direct_four_bits"),
)


def check(effort: str = "quick", *, column: str = "all layers: direct") -> Evidence:
    """Compare the Fréchet distance of the arm with that of full-precision activations."""
    (cell,) = cells("4", ("W8A4", column))
    return losses("4", [(cell, cell.weights_only)], claimed=NO_LOSS)
