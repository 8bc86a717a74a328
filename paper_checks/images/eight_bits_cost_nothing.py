"""Table 1 at 8 bits, where ordinary quantization is good enough: does MoDiff cost quality there?"""

from modiff_sim import Claim, Evidence

from .._digits import STAND_IN
from .._rows import NO_LOSS, cells, losses

ORDER = 15
LIVE = True  # of committed rows
CLAIM = Claim(
    id="eight_bits_cost_nothing",
    statement=f"{STAND_IN}: at W8A8 MoDiff is at most 10 % of full precision's Fréchet distance worse than ordinary "
    "quantization, for static (Q-Diff) and channel-wise dynamic (LCQ) scales (DDIM, 100 quad steps).",
    source="Table 1",
    relation="upper",
    topic="practice",
    printed=True,
    quote="9.01/4.21/4.41 → 9.10/4.10/4.39 (LCQ, W8A8)",
    reading="MoDiff costs nothing where ordinary quantization is good enough; the 10 % are ours",
    instead=("table_1_cliff",),
)


def check(effort: str = "quick", *, better: str = "closed", than: str = "direct", row: str = "W8A8") -> Evidence:
    """Compare the Fréchet distances with and without MoDiff."""
    scales = ("static", "channel")
    return losses(
        "1", [tuple(cells("1", (row, f"{s} {better}"), (row, f"{s} {than}"))) for s in scales], claimed=NO_LOSS
    )
