"""Table 9 at 4 bits."""

from modiff_sim import Claim, Evidence, Verdict

from .._digits import STAND_IN
from . import precision_and_recall

ORDER = 23.1
LIVE = True  # of committed rows
CLAIM = Claim(
    id="precision_and_recall_four_bits",
    statement=f"{STAND_IN}: precision and recall are higher with MoDiff than with ordinary quantization at W8A4 "
    "(difference of each; channel-wise scales, DDIM, 100 quad steps; features of a classifier of digits). Here "
    "ordinary quantization loses no precision at 4 bits, so that there is none to regain.",
    source="Table 9",
    relation="lower",
    topic="practice",
    printed=True,
    expected=Verdict.NOT_RUN,
    quote="A4 .47/.44 → .67/.59",
    reading="both rise with MoDiff, for LCQ at 8-bit weights",
    instead=("precision_and_recall",),
)


def check(effort: str = "quick", *, better: str = "closed loop", than: str = "direct") -> Evidence:
    """Compare both shares with and without MoDiff."""
    return precision_and_recall.check(effort, better=better, than=than, row="W8A4")
