"""Few steps at 32×32: what 10 steps do to the closed loop that 50 do not."""

from modiff_sim import Claim, Evidence

from ._at_32 import AT_32, cell, product

ORDER = 24
LIVE = True  # of committed rows
CLAIM = Claim(
    id="at_32_few_steps",
    statement=f"{AT_32}: few steps break it: the loss of the W8A3 closed loop (Fréchet distance over full precision's "
    "at as many DDIM steps) is larger at 10 steps than at 50 (loss at 10 over loss at 50).",
    source="the paper's break condition",
    relation="lower",
    topic="practice",
)


def check(
    effort: str = "quick", *, few: str = "DDIM 10", many: str = "DDIM 50", row: str = "W8A3 closed loop"
) -> Evidence:
    """Compare the loss against full precision at few and at many steps."""
    short, long = cell(row, few), cell(row, many)
    powers = {short: 1, short.full: -1, long: -1, long.full: 1}
    return product(powers, f"loss at {few} over loss at {many}", claimed=1.0)
