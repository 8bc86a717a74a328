"""The summary's break condition: with few steps the differences grow, and the closed loop loses its advantage."""

from collections.abc import Sequence

from modiff_sim import Claim, Evidence
from modiff_sim.evidence import Premise

from .._digits import STAND_IN
from .._rows import cells, excess, judged, pseudo, value

ORDER = 18
LIVE = True  # of committed rows
NAME = "steps"
WHOLE = 0.95  # of the precision at many steps; ours
CLAIM = Claim(
    id="few_steps_break_it",
    statement=f"{STAND_IN}: few steps break the W8A3 closed loop: its loss (excess over W8A32 under the same "
    "sampler and steps, in full precision's distance at 50 steps) is larger at 5 steps than at 50, for DDIM and DDPM "
    "(loss at 5 minus loss at 50).",
    source="the summary's break condition; the paper says the opposite",
    relation="lower",
    topic="practice",
)


def check(
    effort: str = "quick", *, samplers: Sequence[str] = ("ddim", "ddpm"), few="5 steps", many="50 steps", bits: int = 3
) -> Evidence:
    """Compare the loss against quantized weights alone at few and at many steps.

    It is a premise that full precision itself is not broken at few steps: the share of its images within the real ones,
    their precision, is at least 95 % of that at many.
    """
    found, labels, premises = [], [], []
    for sampler in samplers:
        row = f"{sampler}, {f'W8A{bits} closed loop'}"
        short, long = cells(NAME, (row, few), (row, many))
        unit = value(NAME, long.full)
        lost = (pseudo(NAME, short) - pseudo(NAME, short.weights_only)) / unit
        found.append(lost - excess(NAME, long, long.weights_only))
        labels.append(f"{sampler}, loss at {few} - loss at {many}")
        kept = value(NAME, short.full, "precision") / value(NAME, long.full, "precision")
        premises.append(Premise(f"full precision is not broken at {few}, {sampler}", kept >= WHOLE, f"{kept:.0%} left"))
    return judged(NAME, found, labels, 0.0, premises=premises)
