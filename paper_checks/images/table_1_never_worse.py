"""Table 1: does MoDiff ever cost quality where ordinary quantization was good enough?"""

from modiff_sim import Claim, Evidence, Verdict

from .._digits import STAND_IN

ORDER = 15
LIVE = True  # of committed rows
CLAIM = Claim(
    id="table_1_never_worse",
    statement=f"{STAND_IN}: at no cell of Table 1 is the Fréchet distance with MoDiff more than 10 % above the one "
    "without it (ratio, geometric mean over three seeds).",
    source="Table 1; the 10 % are ours",
    relation="upper",
    topic="practice",
    expected=Verdict.VIOLATED,
)


def check(effort: str = "quick", *, better="closed", than="direct") -> Evidence:
    """Compare the Fréchet distances with and without MoDiff in every row."""
    from analysis.tables.layouts import TABLES

    from ._tables import ratios

    cells = TABLES["1"].cells
    rows = TABLES["1"].rows
    pairs = [
        (cells[row, f"{scale} {better}"], cells[row, f"{scale} {than}"])
        for scale in ("static", "channel")
        for row in rows
    ]
    return ratios("1", pairs, claimed=1.10)
