"""(37), a step in the proof of Theorem 4.3: does a dynamic scale clip nothing? With the zero point rounded up."""

from collections.abc import Sequence

from modiff_sim import Claim, Evidence, Verdict

from ._clipping import NEAREST, UP, clipped

ORDER = 2.5
CLAIM = Claim(
    id="clipping_error_is_zero",
    statement="With the dynamic min-max scale no value is clipped, so that the clipping error is zero; codes rounded "
    "down, as in the proof, and the zero point -min/s rounded up (largest distance between a code and the clipped "
    "one, in steps s).",
    source="(37), proof of Theorem 4.3",
    relation="equal",
    printed=True,
    quote="the clipping error is zero",
    reading="charitable: the minimum is rounded down like the codes, so that its code is 0 (brackets may be lost)",
    instead=("clipping_error_nearest_zero_point",),
)
BITS = (2, 3, 4, 6, 8)  # those of the paper's tables


def check(effort: str = "quick", *, zero_point: str = UP, bits: Sequence[int] = BITS) -> Evidence:
    """Measure how far clamping moves a code."""
    return clipped(effort, zero_point, bits)


CONTROLS = [
    ({"zero_point": NEAREST}, Verdict.VIOLATED),
]
