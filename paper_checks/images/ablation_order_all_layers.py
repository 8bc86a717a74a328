"""Table 4's order, where every convolution and linear layer is modulated, as in the released code."""

from modiff_sim import Claim, Evidence, Verdict

from .._digits import STAND_IN
from ._ablation import order

ORDER = 10
LIVE = True  # of committed rows
CLAIM = Claim(
    id="ablation_order_all_layers",
    statement=f"{STAND_IN}: at W8A4 the Fréchet distance falls from direct to open loop to closed loop, where all "
    "layers are quantized, those of the timestep included (channel-wise scales, DDIM, 100 quad steps; excess of each "
    "arm over the next).",
    source="Table 4",
    relation="lower",
    topic="practice",
    printed=True,
    expected=Verdict.VIOLATED,
    quote="13.07 → 10.21 → 4.38",
    reading="every convolution and linear layer, as in the released code; sFID at W8A4, which Table 4 prints under "
    "the label W8A6",
    instead=("ablation_order_costly_layers", "open_loop_by_layers", "open_loop_by_sampler", "open_loop_refreshed"),
    elsewhere=("at_32_open_loop", "in_colour_open_loop", "witnesses_open_loop_by_sampler"),
)


def check(effort: str = "quick", *, row="W8A4", arms=None) -> Evidence:
    """Compare neighbours in the order."""
    return order("4", ("all layers",), row, arms)
