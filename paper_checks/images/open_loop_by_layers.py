"""What decides whether modulation without compensation is better than ordinary quantization: the time path."""

import numpy as np

from modiff_sim import Claim

from .._digits import STAND_IN
from .._rows import cells, excess, judged

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


def check(effort: str = "quick", *, rows=("W8A6", "W8A4"), without=("no time path", "convolutions"), by="all layers"):
    """Measure by how much more the open loop exceeds direct with the layers of the timestep than without."""

    def over(row: str, words: str) -> np.ndarray:
        return excess("4", *cells("4", (row, f"{words}: open loop"), (row, f"{words}: direct")))

    found = [over(row, by) - over(row, words) for row in rows for words in without]
    return judged("4", found, [f"{row}, {by} - {words}" for row in rows for words in without], 10.0)
