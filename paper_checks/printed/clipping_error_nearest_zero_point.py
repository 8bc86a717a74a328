"""(37), a step in the proof of Theorem 4.3: does a dynamic scale clip nothing? With it rounded to nearest."""

from collections.abc import Sequence

from modiff_sim import Claim, Evidence, Verdict

from ._clipping import EXACT, NEAREST, UP, clipped

ORDER = 2.6
CLAIM = Claim(
    id="clipping_error_nearest_zero_point",
    statement="With the dynamic min-max scale no value is clipped, so that the clipping error is zero; codes rounded "
    "down, as in the proof, and the zero point -min/s rounded to nearest (largest distance between a code and the "
    "clipped one, in steps s).",
    source="(37), proof of Theorem 4.3",
    relation="equal",
    printed=True,
    expected=Verdict.VIOLATED,
    quote="the clipping error is zero",
    reading="the zero point is rounded to nearest, as in the released code, and codes down, as in the proof",
    instead=("clipping_error_is_zero", "theorem_4_3_floor", "theorem_4_3_nearest"),
)
BITS = (2, 3, 4, 6, 8)  # those of the paper's tables


def check(effort: str = "quick", *, zero_point: str = NEAREST, bits: Sequence[int] = BITS) -> Evidence:
    """Measure how far clamping moves a code."""
    return clipped(effort, zero_point, bits)


CONTROLS = [
    ({"zero_point": UP}, Verdict.HOLDS),
    ({"zero_point": EXACT}, Verdict.HOLDS),  # a zero point that is not rounded clips nothing
]
