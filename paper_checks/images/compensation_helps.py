"""What remains of Table 4's order: compensation beats both arms without it."""

from modiff_sim import Claim, Evidence

from .._digits import STAND_IN
from .._rows import cells, excesses

ORDER = 12
LIVE = True  # of committed rows
CLAIM = Claim(
    id="compensation_helps",
    statement=f"{STAND_IN}: at W8A3 the closed loop has a smaller Fréchet distance than direct and than the open "
    "loop, whatever the layers (excess of both over the closed loop; channel-wise scales, DDIM, 100 quad steps).",
    source="section 4.2, Table 4",
    relation="lower",
    topic="practice",
    printed=True,
    quote="33.97 and 25.42 → 4.38",
    reading="sFID at W8A3, which Table 4 prints under the label W8A4; for every selection of layers",
    elsewhere=("in_colour_table_4_order", "witnesses_closed_beats_direct"),
)


def check(effort: str = "quick", *, best: str = "closed loop", others=("direct", "open loop"), row="W8A3") -> Evidence:
    """Compare the Fréchet distances of both arms without compensation with that of the closed loop."""
    pairs = []
    for words in ("convolutions", "no time path", "all layers"):
        judged, *rest = cells("4", *((row, f"{words}: {arm}") for arm in (best, *others)))
        pairs += [(other, judged) for other in rest]
    return excesses("4", pairs)
