"""How the squared error without compensation grows where the errors of the steps are independent."""

from dataclasses import replace

from modiff_sim import Claim, Evidence, Verdict

from .._broken import Echo
from . import open_loop_more_than_linearly

ORDER = 6.5
CLAIM = Claim(
    id="open_loop_typical_growth",
    statement="Without compensation, and on random walks, the mean ||o-õ||² grows like n and no faster: the errors of "
    "the steps add like independent noise (slope of log ||o-õ||² against log n, at most 1.15).",
    source="this project, on the text of (30)",
    relation="upper",
)


def check(effort: str = "quick", *, recursion="open_loop") -> Evidence:
    """Fit the growth of the squared error on stationary random differences."""
    return replace(open_loop_more_than_linearly.check(effort, recursion=recursion, typical=True), claimed=1.15)


CONTROLS = [
    ({"recursion": Echo()}, Verdict.VIOLATED),
]
