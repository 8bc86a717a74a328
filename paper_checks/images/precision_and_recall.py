"""Table 9: precision and recall with and without MoDiff."""

from modiff_sim import Claim, Evidence

from .._digits import STAND_IN
from .._rows import cells, judged, pseudo

ORDER = 23
LIVE = True  # of committed rows
CLAIM = Claim(
    id="precision_and_recall",
    statement=f"{STAND_IN}: precision and recall are higher with MoDiff than with ordinary quantization at W8A3 "
    "(difference of each; channel-wise scales, DDIM, 100 quad steps; features of a classifier of digits).",
    source="Table 9",
    relation="lower",
    topic="practice",
    printed=True,
    quote="A3 .33/.08 → .66/.59",
    reading="both rise with MoDiff, for LCQ at 8-bit weights",
    instead=("precision_and_recall_four_bits",),
)


def check(effort: str = "quick", *, better="closed loop", than="direct", row="W8A3") -> Evidence:
    """Compare both shares with and without MoDiff."""
    ours, theirs = cells("4", *((row, f"all layers: {arm}") for arm in (better, than)))
    values = ("precision", "recall")
    found = [pseudo("4", ours, value) - pseudo("4", theirs, value) for value in values]
    labels = [f"{row}, {value}" for value in values]
    return judged("4", found, labels, 0.0, pairs=[(ours, theirs)], what="difference of precision and of recall")
