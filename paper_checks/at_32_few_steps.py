"""Few steps at 32×32: what 10 steps do to the closed loop that 50 do not."""

from modiff_sim.evidence import Claim, Evidence

from ._tables import AT_32

ORDER = 93
CLAIM = Claim(
    id="at_32_few_steps",
    statement=f"{AT_32}: few steps break it: the loss of the W8A3 closed loop (Fréchet distance over full precision's "
    "at as many DDIM steps) is larger at 10 steps than at 50 (loss at 10 over loss at 50).",
    source="the paper's break condition",
    relation="lower",
    topic="practice",
)


def check(effort: str = "quick", *, few="DDIM 10", many="DDIM 50", row="W8A3 closed loop") -> Evidence:
    from analysis.tables.layouts import AT_32 as CELLS

    from ._tables import judged, log_ratios

    cells = [CELLS[row, steps] for steps in (few, many)]
    losses = log_ratios("fashion32", [(cell, cell.full) for cell in cells])
    return judged(losses[:1] - losses[1:], [f"loss at {few} over loss at {many}"], "fashion32", 1.0)
