"""The same break condition for solvers that are made for few steps."""

from modiff_sim import Claim, Evidence, Verdict

from .._digits import STAND_IN
from . import few_steps_break_it

ORDER = 19
LIVE = True  # of committed rows
CLAIM = Claim(
    id="few_steps_break_fast_solvers",
    statement=f"{STAND_IN}: few steps break the W8A3 closed loop with every sampler: its loss over W8A32 is "
    "larger at 5 steps than at 50 for DPM-Solver-2 and DPM-Solver++(2M), too.",
    source="the summary's break condition, read for every sampler",
    relation="lower",
    topic="practice",
    expected=Verdict.PREMISE_FAILS,
)


def check(
    effort: str = "quick", *, samplers=("dpm_solver_2", "dpm_solver_pp_2m"), few="5 steps", many="50 steps"
) -> Evidence:
    """Compare the loss against quantized weights alone at few and at many steps."""
    return few_steps_break_it.check(effort, samplers=samplers, few=few, many=many)
