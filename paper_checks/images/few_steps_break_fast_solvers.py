"""The same break condition for solvers that are made for few steps."""

from modiff_sim import Claim, Verdict

from .._digits import STAND_IN
from . import few_steps_break_it

ORDER = 18
LIVE = True  # of committed rows
CLAIM = Claim(
    id="few_steps_break_fast_solvers",
    statement=f"{STAND_IN}: few steps break it with every sampler: the loss of the W8A3 closed loop over full "
    "precision is larger at 5 steps than at 100 for DPM-Solver-2 and DPM-Solver++(2M), too. (It is not: at 5 steps "
    "what these solvers make in full precision is worse than what the quantized loop makes.)",
    source="the paper's break condition, read for every sampler",
    relation="lower",
    topic="practice",
    expected=Verdict.VIOLATED,
)


def check(effort: str = "quick", *, samplers=("dpm_solver_2", "dpm_solver_pp_2m"), few="5 steps", many="100 steps"):
    """Compare the loss against full precision at few and at many steps."""
    return few_steps_break_it.check(effort, samplers=samplers, few=few, many=many)
