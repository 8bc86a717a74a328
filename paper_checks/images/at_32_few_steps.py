"""Few steps at 32×32: what 10 steps do to the closed loop that 50 do not."""

from modiff_sim import Claim, Evidence

from .._rows import excess, judged
from ._at_32 import AT_32, TABLE, cell

ORDER = 27
LIVE = True  # of committed rows
CLAIM = Claim(
    id="at_32_few_steps",
    statement=f"{AT_32}: few steps break the W8A3 closed loop: its loss (excess over W8A32 at as many DDIM "
    "steps) is larger at 10 steps than at 50 (loss at 10 minus loss at 50).",
    source="the summary's break condition; the paper says that MoDiff remains effective",
    relation="lower",
    topic="practice",
)


def check(
    effort: str = "quick", *, few: str = "DDIM 10", many: str = "DDIM 50", row: str = "W8A3 closed loop"
) -> Evidence:
    """Compare the loss against quantized weights alone at few and at many steps."""
    pairs = [(each, each.weights_only) for each in (cell(row, few), cell(row, many))]
    lost, before = (excess(TABLE, *pair) for pair in pairs)
    return judged(TABLE, [lost - before], [f"loss at {few} minus loss at {many}"], 0.0, pairs=pairs)
