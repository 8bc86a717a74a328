"""What decides whether modulation without compensation is better than ordinary quantization: the time path."""

from typing import Any

from modiff_sim import Claim, Evidence

from .._digits import STAND_IN
from .._rows import cells, distance, excess, judged

ORDER = 11
LIVE = True  # of committed rows
CLAIM = Claim(
    id="open_loop_by_layers",
    statement=f"{STAND_IN}: at W8A6 and W8A4 modulation without compensation is better than ordinary quantization, "
    "or as good within 10 %, where the layers of the timestep are left out, and far worse where they are quantized "
    "too: the excess of the open loop over direct is at least 10 times full precision's distance larger with them "
    "(channel-wise scales, DDIM, 100 quad steps).",
    source="this project, on Table 4",
    relation="lower",
    topic="practice",
)


def check(
    effort: str = "quick", *, rows=("W8A6", "W8A4"), without=("no time path", "convolutions"), by="all layers"
) -> Evidence:
    """Measure by how much more the open loop exceeds direct with the layers of the timestep than without."""
    from modiff_sim.metrics.jackknife import ratio

    def pair(row: str, words: str) -> tuple[Any, ...]:
        return tuple(cells("4", (row, f"{words}: open loop"), (row, f"{words}: direct")))

    found, labels, pairs = [], [], []
    for row in rows:
        for words in without:
            both = [pair(row, by), pair(row, words)]
            more = excess("4", *both[0]) - excess("4", *both[1])
            found.append(ratio(more, distance("4", both[0][0].full)))
            labels.append(f"{row}, {by} - {words}")
            pairs += both
    return judged("4", found, labels, 10.0, pairs=pairs, unit=True)
