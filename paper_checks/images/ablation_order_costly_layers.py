"""Table 4's order, where the layers that are modulated are the costly ones."""

from modiff_sim import Claim, Evidence, Verdict

from .._digits import STAND_IN
from ._ablation import COSTLY, order

ORDER = 9
LIVE = True  # of committed rows
CLAIM = Claim(
    id="ablation_order_costly_layers",
    statement=f"{STAND_IN}: at W8A4 the Fréchet distance falls from direct to open loop to closed loop, where all "
    "layers but those of the timestep are quantized, or convolutions alone (channel-wise scales, DDIM, 100 quad "
    "steps; excess of each arm over the next). Here the open loop has no loss at 4 bits, so that it and the closed "
    "loop have no order; direct is worse than both.",
    source="Table 4, section 4.3",
    relation="lower",
    topic="practice",
    printed=True,
    expected=Verdict.PREMISE_FAILS,
    quote="13.07 → 10.21 → 4.38; every costly linear neural layer",
    reading="charitable: section 4.4 allows a selection, and the layers of the timestep cost next to nothing; sFID "
    "at W8A4, which Table 4 prints under the label W8A6",
    instead=("ablation_order_three_bits", "ablation_order_all_layers", "open_loop_by_layers"),
    elsewhere=(
        "at_32_open_loop_convolutions",
        "in_colour_open_loop_convolutions",
        "in_colour_table_4_order",
        "witnesses_open_loop_by_layers",
    ),
)


def check(effort: str = "quick", *, selections=COSTLY, row="W8A4", arms=None) -> Evidence:
    """Compare neighbours in the order, for every selection of layers."""
    return order("4", selections, row, arms)
