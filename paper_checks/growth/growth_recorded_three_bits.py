"""Does the compensated error grow over a long run of a trained model at 3 bits?"""

from modiff_sim import AbsMax, Claim, Evidence

from .._digits import STAND_IN
from ._recorded import exponents, per_layer, runs

ORDER = 5
#: the smallest exponent that can be told from 0: error over bound lies between 0.6 and 1 over a factor of 25 in n
RESOLVED = 0.05
CLAIM = Claim(
    id="growth_recorded_three_bits",
    statement=f"{STAND_IN}: with compensation at 3 bits nothing accumulates in 250 calls of DDIM: relative to the "
    "latest differences, Σ κ^(age+1) ||d||_inf, the error grows like n^p, p at most 0.05 in every layer (fitted p).",
    source="this project, on Theorem 4.4",
    relation="upper",
    topic="practice",
)


def check(effort: str = "quick", *, bits: int = 3, recursion="closed_loop") -> Evidence:
    """Fit the exponent of the error over its bound, per layer."""
    Q = AbsMax(bits)
    return per_layer(exponents(runs(effort, recursion, Q), "bound", Q.kappa(2)), claimed=RESOLVED, effort=effort)
