"""Whether the printed memory of the CIFAR-10 model is that of everything that a compensated run has to keep."""

from modiff_sim import Claim, Evidence, Verdict

from . import printed_memory
from ._cost import PRINTED_MIB, PRINTED_SLOPE, SHAPES

ORDER = 8.5
LIVE = True  # it only counts
CLAIM = Claim(
    id="printed_memory_both_states",
    statement=f"{SHAPES}: the printed memory, {PRINTED_MIB} + {PRINTED_SLOPE:.2f}·b·B MiB for B images, is that of "
    "8-bit weights and of both states, â and ô of every layer, at b bits.",
    source="this project, on Tables 6 and 19-21",
    relation="equal",
    topic="practice",
    expected=Verdict.VIOLATED,
)


def check(effort: str = "quick", *, kept=printed_memory.both) -> Evidence:
    """Compare the printed line with weights and both states."""
    return printed_memory.check(effort, kept=kept)
