"""Table 4 prints modulation without compensation as better than ordinary quantization. It is not."""

from modiff_sim import Claim, Evidence

from .._digits import STAND_IN

ORDER = 11
LIVE = True  # of committed rows
CLAIM = Claim(
    id="open_loop_worse_than_direct",
    statement=f"{STAND_IN}, over 100 steps: modulation without error compensation is worse than ordinary quantization, "
    "Fréchet distance of the open loop over direct's at W8A6, W8A4 and W8A3 (Table 4 prints 4.41/4.61, 10.21/13.07 and "
    "25.42/33.97: better).",
    source="this project, against Table 4",
    relation="lower",
    topic="practice",
)


def check(effort: str = "quick", *, judged="open loop", by="direct", rows=("W8A6", "W8A4", "W8A3")) -> Evidence:
    """Compare the Fréchet distances of open loop and direct."""
    from analysis.tables.layouts import TABLES

    from ._tables import ratios

    cells = TABLES["4"].cells
    return ratios("4", [(cells[row, judged], cells[row, by]) for row in rows], claimed=1.0)
