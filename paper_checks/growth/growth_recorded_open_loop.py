"""Does the uncompensated error grow over a long run of a trained model at 3 bits?"""

from modiff_sim import AbsMax, Claim, Evidence

from .._digits import STAND_IN
from ._recorded import exponents, per_layer, runs

ORDER = 6
CLAIM = Claim(
    id="growth_recorded_open_loop",
    statement=f"{STAND_IN}: without compensation at 3 bits the error accumulates over 250 calls of DDIM at least like "
    "√n in every layer: relative to the mean difference so far it grows like n^p with p at least 1/2 (fitted p).",
    source="this project, on Theorem 4.4",
    relation="lower",
    topic="practice",
)


def check(effort: str = "quick", *, bits: int = 3, recursion="open_loop") -> Evidence:
    """Fit the exponent of the error over the mean difference so far, per layer."""
    Q = AbsMax(bits)
    return per_layer(exponents(runs(effort, recursion, Q), "mean", Q.kappa(2)), claimed=0.5, effort=effort)
