"""Table 4's order at three bits, where every arm without compensation has a loss."""

from modiff_sim import Claim, Evidence

from .._digits import STAND_IN
from ._ablation import COSTLY, order

ORDER = 9.5
LIVE = True  # of committed rows
CLAIM = Claim(
    id="ablation_order_three_bits",
    statement=f"{STAND_IN}: at W8A3 the Fréchet distance falls from direct to open loop to closed loop, where all "
    "layers but those of the timestep are quantized, or convolutions alone (channel-wise scales, DDIM, 100 quad "
    "steps; excess of each arm over the next).",
    source="Table 4, section 4.3",
    relation="lower",
    topic="practice",
    printed=True,
    quote="33.97 → 25.42 → 4.38; every costly linear neural layer",
    reading="charitable: section 4.4 allows a selection, and the layers of the timestep cost next to nothing; sFID "
    "at W8A3, which Table 4 prints under the label W8A4",
    instead=("ablation_order_all_layers",),
)


def check(effort: str = "quick", *, selections=COSTLY, row="W8A3", arms=None) -> Evidence:
    """Compare neighbours in the order, for every selection of layers."""
    return order("4", selections, row, arms)
