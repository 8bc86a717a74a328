"""Theorem 4.3 with the rounding of the code: four times smaller."""

from modiff_sim import Claim, Evidence, Floor, MinMax, MinMaxRaw, Verdict, bounds

from .._broken import scaled
from ._single_step import grid_error

ORDER = 3
CLAIM = Claim(
    id="theorem_4_3_nearest",
    statement="Dynamic min-max quantizer, rounding to nearest as the code does: ||x - Q(x)||² ≤ s²d/4 without "
    "exception (a code is clipped only on ties), and this is attained (largest ratio).",
    source="this project, on Theorem 4.3",
    relation="tight",
)


def check(effort: str = "quick", *, quantizer=MinMaxRaw, bound=bounds.theorem_4_3) -> Evidence:
    """Measure the largest squared error over the bound."""
    return grid_error(quantizer, lambda s, d: bound(s, d, rounding="nearest"), effort, seed=11)


CONTROLS = [
    ({"quantizer": Floor}, Verdict.VIOLATED),
    ({"bound": scaled(bounds.theorem_4_3, 2.0)}, Verdict.VIOLATED),  # true, and not attained
    ({"quantizer": MinMax}, Verdict.PREMISE_FAILS),
]
