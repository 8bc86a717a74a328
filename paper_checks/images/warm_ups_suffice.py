"""Table 18 and "4 to 5 repeated inputs are sufficient", on a sampled model."""

from modiff_sim import Claim, Evidence

from .._digits import STAND_IN

ORDER = 19
LIVE = True  # of committed rows
CLAIM = Claim(
    id="warm_ups_suffice",
    statement=f"{STAND_IN}: feeding the first input 4 or 5 times is as good as an exact first call, at most 10 % above "
    "it in Fréchet distance, at Table 18's 8, 6 and 4 bits.",
    source="Table 18 and its text; the 10 % are ours",
    relation="upper",
    topic="practice",
)


def check(effort: str = "quick", *, fed=("fed 4 times", "fed 5 times"), rows=("W8A8", "W8A6", "W8A4")) -> Evidence:
    """Compare the Fréchet distances with those of an exact first call."""
    from analysis.tables.layouts import TABLES

    from ._tables import ratios

    cells = TABLES["18"].cells
    return ratios("18", [(cells[r, f], cells[r, "first call exact"]) for r in rows for f in fed], claimed=1.10)
