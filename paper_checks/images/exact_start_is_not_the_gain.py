"""Table 18's fairness baseline: is it the first call in full precision that makes MoDiff better?"""

from modiff_sim import Claim, Evidence

from .._digits import STAND_IN
from .._rows import cells, excesses

ORDER = 22
LIVE = True  # of committed rows
CLAIM = Claim(
    id="exact_start_is_not_the_gain",
    statement=f"{STAND_IN}: with an exact first call for both, MoDiff still has a smaller Fréchet distance than "
    "ordinary quantization at W8A4 (excess of direct over the closed loop; one scale per sample, DDIM, 100 quad "
    "steps).",
    source="Table 18",
    relation="lower",
    topic="practice",
    printed=True,
    quote="LTQ without and with the warm-up 306.06 and 299.96, with MoDiff 28.19",
    reading="MoDiff's gain is not that of an exact first call; the row of 306.06 and 299.96 is captioned LCQ, and is "
    "read as LTQ, as the rows beside it",
)


def check(effort: str = "quick", *, better="closed, first call exact", than="direct, first call exact") -> Evidence:
    """Compare both arms with the same start."""
    return excesses("18", [tuple(cells("18", ("W8A4", than), ("W8A4", better)))])
