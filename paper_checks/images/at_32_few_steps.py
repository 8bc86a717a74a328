"""Few steps at 32×32: what 10 steps do to the closed loop that 50 do not."""

from modiff_sim import Claim, Evidence

from .._rows import excess, judged, pseudo, value
from ._at_32 import AT_32, TABLE, cell

ORDER = 27
LIVE = True  # of committed rows
CLAIM = Claim(
    id="at_32_few_steps",
    statement=f"{AT_32}: few steps break the W8A3 closed loop: its loss (excess over W8A32 at as many DDIM "
    "steps, in full precision's distance at 50 steps) is larger at 10 steps than at 50 (loss at 10 minus loss at "
    "50).",
    source="the summary's break condition; the paper says the opposite",
    relation="lower",
    topic="practice",
)


def check(
    effort: str = "quick", *, few: str = "DDIM 10", many: str = "DDIM 50", row: str = "W8A3 closed loop"
) -> Evidence:
    """Compare the loss against quantized weights alone at few and at many steps."""
    short, long = cell(row, few), cell(row, many)
    loss = (pseudo(TABLE, short) - pseudo(TABLE, short.weights_only)) / value(TABLE, long.full)
    return judged(TABLE, [loss - excess(TABLE, long, long.weights_only)], [f"loss at {few} minus loss at {many}"], 0.0)
