"""The factor of ten as it is often retold: against 8-bit quantization."""

from modiff_sim import Claim, Evidence, Verdict

from . import bops_against_eight_bits
from ._cost import SHAPES

ORDER = 6
LIVE = True  # it only counts
CLAIM = Claim(
    id="ten_times_against_eight_bits",
    statement=f"{SHAPES}: 3-bit residuals take 10 times fewer bit operations than standard 8-bit quantization.",
    source="the summary; the paper compares with full precision",
    relation="lower",
    topic="practice",
    expected=Verdict.VIOLATED,
)


def check(effort: str = "quick", *, claimed: float = 10.0, bits: int = 3) -> Evidence:
    """Compare the savings against 8 bits with a factor of ten."""
    found = bops_against_eight_bits.check(effort, bits=bits)
    return Evidence(claimed=claimed, measured=found.measured, cases=found.cases, params=found.params, note=found.note)
