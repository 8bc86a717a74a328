"""Table 1: does MoDiff ever cost quality where ordinary quantization was good enough?"""

from modiff_sim import Claim, Evidence

from .._digits import STAND_IN
from .._rows import NO_LOSS, cells, judged, relative

ORDER = 15
LIVE = True  # of committed rows
CLAIM = Claim(
    id="table_1_never_worse",
    statement=f"{STAND_IN}: at no cell of Table 1 with 3 bits or more is the Fréchet distance with MoDiff more than "
    "10 % above those of ordinary quantization with as many bits and with 8 (the smaller excess over the two, same "
    "weights, DDIM, 100 quad steps). At 2 bits all arms have failed, and the distance has no order.",
    source="Table 1",
    relation="upper",
    topic="practice",
    printed=True,
    quote="9.01/4.21/4.41 → 9.10/4.10/4.39 (LCQ, W8A8), and so in every row",
    reading="MoDiff costs nothing where ordinary quantization is good enough, at as many bits or at 8; the 10 % are "
    "ours",
)


def check(effort: str = "quick", *, better="closed", than="direct") -> Evidence:
    """Compare the Fréchet distances with and without MoDiff in every row."""
    from analysis.tables.layouts import TABLES
    from modiff_sim.metrics.resampling import Interval

    found, labels, pairs = [], [], []
    for scale in ("static", "channel"):
        for row in TABLES["1"].rows:
            ours, theirs, eight = cells(
                "1", (row, f"{scale} {better}"), (row, f"{scale} {than}"), (f"{row[:2]}A8", f"{scale} {than}")
            )
            each = [relative("1", ours, other) for other in (theirs, eight)]
            # the smaller of two lies between the smaller ends of their intervals, whichever it is
            found.append(Interval(*(min(getattr(e, part) for e in each) for part in ("value", "low", "high"))))
            pairs.append((ours, theirs))
            labels.append(f"{ours.arm.label} over {theirs.arm.label} or {eight.arm.label}")
    return judged("1", found, labels, NO_LOSS, pairs=pairs)
