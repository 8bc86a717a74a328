"""The summary's break condition: with few steps the differences grow, and the closed loop loses its advantage."""

from modiff_sim import Claim, Evidence

from .._digits import STAND_IN

ORDER = 17
LIVE = True  # of committed rows
CLAIM = Claim(
    id="few_steps_break_it",
    statement=f"{STAND_IN}: few steps break it: the loss of the W8A3 closed loop (Fréchet distance over full "
    "precision's under the same sampler and steps) is larger at 5 steps than at 100, for DDIM and DDPM (loss at 5 over "
    "loss at 100).",
    source="the paper's break condition",
    relation="lower",
    topic="practice",
)
SAMPLERS = ("ddim", "ddpm")


def check(
    effort: str = "quick", *, samplers=SAMPLERS, few: str = "5 steps", many: str = "100 steps", bits: int = 3
) -> Evidence:
    """Compare the loss against full precision at few and at many steps."""
    from analysis.tables.layouts import TABLES

    from ._tables import judged, log_ratios

    cells = TABLES["steps"].cells

    def losses(steps: str):
        chosen = [cells[f"{sampler}, W8A{bits} closed loop", steps] for sampler in samplers]
        return log_ratios("steps", [(cell, cell.full) for cell in chosen])

    labels = [f"{sampler}, loss at {few} over loss at {many}" for sampler in samplers]
    return judged(losses(few) - losses(many), labels, "steps", 1.0)
