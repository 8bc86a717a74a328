"""Table 18 and "4 to 5 repeated inputs are sufficient", on a sampled model."""

from modiff_sim import Claim

from .._digits import STAND_IN
from .._rows import NO_LOSS, cells, losses

ORDER = 21
LIVE = True  # of committed rows
CLAIM = Claim(
    id="warm_ups_suffice",
    statement=f"{STAND_IN}: feeding the first input 4 or 5 times is as good as an exact first call, at most 10 % "
    "above it in Fréchet distance, at Table 18's 8, 6 and 4 bits (one scale per sample, DDIM, 100 quad steps).",
    source="Table 18 and its text",
    relation="upper",
    topic="practice",
    printed=True,
    quote="4 to 5 repeated inputs are sufficient",
    reading="as good as an exact start is at most 10 % of full precision's distance above it; the 10 % are ours. At 8 "
    "and 6 bits the paper's own runs without a repeat are as good, so that only 4 bits can tell",
)


def check(effort: str = "quick", *, fed=("closed, fed 4 times", "closed, fed 5 times"), rows=("W8A8", "W8A6", "W8A4")):
    """Compare the Fréchet distances with those of an exact first call."""
    pairs = [tuple(cells("18", (row, each), (row, "closed, first call exact"))) for row in rows for each in fed]
    return losses("18", pairs, claimed=NO_LOSS)
