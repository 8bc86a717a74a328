"""Is the cliff moved by as many bits as in the paper's Table 1?"""

from modiff_sim import Claim, Evidence, Verdict

from .._digits import STAND_IN
from . import table_1_cliff

ORDER = 14
LIVE = True  # of committed rows
CLAIM = Claim(
    id="table_1_cliff_as_large",
    statement=f"{STAND_IN}: MoDiff moves the cliff by as many bits as on CIFAR-10 in Table 1, 2 with static and 3 "
    "with channel-wise dynamic scales (bits saved).",
    source="this project, a number of Table 1 on another model",
    relation="lower",
    topic="practice",
    expected=Verdict.NOT_RUN,  # 2 bits with channel-wise scales, and at most 4
)


def check(effort: str = "quick", *, claimed=(2, 3)) -> Evidence:
    """Compare the cliffs with the shift that the paper's table shows."""
    return table_1_cliff.check(effort, claimed=claimed)
