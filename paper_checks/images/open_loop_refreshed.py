"""Do the refreshes of the code of February 2025 save modulation without compensation?"""

from modiff_sim import Claim, Evidence

from .._digits import STAND_IN
from .._rows import cells, excesses

ORDER = 11.7
LIVE = True  # of committed rows
CLAIM = Claim(
    id="open_loop_refreshed",
    statement=f"{STAND_IN}: with all layers, those of the timestep included, modulation without compensation is "
    "worse than ordinary quantization even if 11 of 100 calls are in full precision and states begin anew there, as "
    "in the code of February 2025 (excess of the open loop over direct at W8A6 and W8A4, the same calls exact for "
    "both; channel-wise scales, DDIM, 100 quad steps).",
    source="this project, on Table 4",
    relation="lower",
    topic="practice",
)


def check(
    effort: str = "quick", *, judged="open loop", by="direct", layers="all layers", rows=("W8A6", "W8A4")
) -> Evidence:
    """Compare the Fréchet distances of both arms."""
    pairs = [tuple(cells("4-refresh", (row, f"{layers}: {judged}"), (row, f"{layers}: {by}"))) for row in rows]
    return excesses("4-refresh", pairs)
