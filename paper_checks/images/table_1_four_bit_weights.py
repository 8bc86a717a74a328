"""Table 1's rows with 4-bit weights."""

from modiff_sim import Claim, Evidence, Verdict

from .._digits import STAND_IN
from .._rows import cells, loss, relative

ORDER = 15.5
LIVE = True  # of committed rows
CLAIM = Claim(
    id="table_1_four_bit_weights",
    statement=f"{STAND_IN}: with 4-bit weights MoDiff is better than ordinary quantization at 4 bits, as it is with "
    "8-bit weights.",
    source="Table 1",
    relation="lower",
    topic="practice",
    printed=True,
    expected=Verdict.NOT_RUN,
    quote="22.50 → 5.10 (LCQ, W4A4)",
    reading="with weights that were optimized for 4 bits, as the paper's were",
    instead=("table_1_cliff",),
)


def check(effort: str = "quick") -> Evidence:
    """Say what is missing, and what 4-bit weights that are rounded to nearest do here."""
    ours, theirs = cells("1", ("W4A4", "channel closed"), ("W4A4", "channel direct"))
    weights, more = loss("1", ours.weights_only, ours.full), relative("1", ours, theirs)
    return Evidence(
        not_run="rows with weights that are optimized for 4 bits, block by block as in Q-Diffusion. Rounded to nearest "
        f"the weights alone lose {weights.value:.0f} times full precision's distance here, so that nothing is left to "
        f"compare: W4A4 with MoDiff is {more.value:.0%} [{more.low:.0%}, {more.high:.0%}] above W4A4 without"
    )
