"""What Table 1's GBops count."""

from modiff_sim import Claim, Evidence

from . import printed_gbops
from ._cost import SHAPES

ORDER = 4
LIVE = True  # it only counts
CLAIM = Claim(
    id="gbops_attention_twice",
    statement=f"{SHAPES}: all eleven GBops of Table 1 follow, within one of the last digit, from counting one "
    "operation per multiply-accumulate of a layer and two per multiply-accumulate of q·k and softmax·v.",
    source="this project, on Table 1",
    relation="equal",
    topic="practice",
)


def check(effort: str = "quick", *, attention: float = 2.0) -> Evidence:
    """Count every multiply-accumulate of attention as two operations."""
    return printed_gbops.check(effort, attention=attention)
