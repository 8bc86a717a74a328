"""The summary's break condition: with few steps the differences grow, and the closed loop loses its advantage."""

from collections.abc import Sequence

from modiff_sim import Claim, Evidence
from modiff_sim.evidence import Premise

from .._digits import STAND_IN
from .._rows import cells, excess, images_of, judged, value

ORDER = 18
LIVE = True  # of committed rows
NAME = "steps"
WHOLE = 0.95  # of the precision at many steps; ours
CLAIM = Claim(
    id="few_steps_break_it",
    statement=f"{STAND_IN}: few steps break the W8A3 closed loop: its loss (excess over W8A32 under the same "
    "sampler and steps) is larger at 10 steps than at 50, for DDIM and DDPM (loss at 10 minus loss at 50). At 5 full "
    "precision itself is broken.",
    source="the summary's break condition; the paper says that MoDiff remains effective",
    relation="lower",
    topic="practice",
)


def check(
    effort: str = "quick", *, samplers: Sequence[str] = ("ddim", "ddpm"), few="10 steps", many="50 steps", bits: int = 3
) -> Evidence:
    """Compare the loss against quantized weights alone at few and at many steps.

    It is a premise that full precision itself is not broken at few steps: the share of its images within the real ones,
    their precision, is at least 95 % of that at many.
    """
    found, labels, pairs, premises = [], [], [], []
    for sampler in samplers:
        row = f"{sampler}, {f'W8A{bits} closed loop'}"
        short, long = cells(NAME, (row, few), (row, many))
        both = [(short, short.weights_only), (long, long.weights_only)]
        found.append(excess(NAME, *both[0]) - excess(NAME, *both[1]))
        labels.append(f"{sampler}, loss at {few} - loss at {many}")
        pairs += both
        n = images_of(NAME, short.full, long.full)
        kept, whole = (value(NAME, cell.full, "precision", n) for cell in (short, long))
        left = kept / whole
        premises.append(Premise(f"full precision is not broken at {few}, {sampler}", left >= WHOLE, f"{left:.0%} left"))
    return judged(NAME, found, labels, 0.0, pairs=pairs, premises=premises)
