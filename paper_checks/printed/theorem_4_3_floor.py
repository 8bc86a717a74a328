"""Theorem 4.3 with the rounding of its proof."""

from modiff_sim import Claim, Evidence, Floor, MinMaxRaw, Verdict, bounds

from .._broken import scaled
from ._single_step import grid_error

ORDER = 2
CLAIM = Claim(
    id="theorem_4_3_floor",
    statement="Dynamic min-max quantizer, rounding down as in the proof: ||x - Q(x)||² ≤ s²d, s = (max-min)/(2^b-1) "
    "(largest ratio).",
    source="Theorem 4.3",
    relation="upper",
    printed=True,
    quote="||x - Q(x)||² ≤ s²d",
    reading="rounding down, as the proof does",
    instead=("theorem_4_3_nearest",),
)


def check(effort: str = "quick", *, quantizer=Floor, bound=bounds.theorem_4_3) -> Evidence:
    """Measure the largest squared error over the bound."""
    return grid_error(quantizer, lambda s, d: bound(s, d, rounding="floor"), effort, seed=10)


class Coarse(MinMaxRaw):
    """Quantizes with one bit less than it declares."""

    def choose_qparams(self, a):
        """Return the parameters for one bit less."""
        return MinMaxRaw(max(self.bits - 1, 1)).choose_qparams(a)


CONTROLS = [
    ({"bound": scaled(bounds.theorem_4_3, 0.5)}, Verdict.VIOLATED),
    ({"quantizer": Coarse}, Verdict.PREMISE_FAILS),
]
