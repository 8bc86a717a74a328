"""Table 9: precision and recall with and without MoDiff."""

from modiff_sim import Claim, Evidence

from .._digits import STAND_IN
from .._rows import cells, judged, pseudo

ORDER = 23
LIVE = True  # of committed rows
LEAST = -0.02  # a difference below this is a loss; ours
CLAIM = Claim(
    id="precision_and_recall",
    statement=f"{STAND_IN}: precision and recall with MoDiff are not below those of ordinary quantization at W8A4 "
    "and W8A3, by no more than 0.02 (difference of each; channel-wise scales, DDIM, 100 quad steps; features of a "
    "classifier of digits).",
    source="Table 9",
    relation="lower",
    topic="practice",
    printed=True,
    quote="A4 .47/.44 → .67/.59; A3 .33/.08 → .66/.59",
    reading="both rise with MoDiff, for LCQ at 8-bit weights; the 0.02 are ours, since here ordinary quantization "
    "loses neither at 4 bits",
)


def check(effort: str = "quick", *, better="closed loop", than="direct", rows=("W8A4", "W8A3")) -> Evidence:
    """Compare both shares with and without MoDiff."""
    found, labels, pairs = [], [], []
    for row in rows:
        ours, theirs = cells("4", *((row, f"all layers: {arm}") for arm in (better, than)))
        pairs.append((ours, theirs))
        for value in ("precision", "recall"):
            found.append(pseudo("4", ours, value) - pseudo("4", theirs, value))
            labels.append(f"{row}, {value}")
    return judged("4", found, labels, LEAST, pairs=pairs, what="difference of precision and of recall")
