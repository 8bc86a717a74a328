"""How the error grows when all differences have one size."""

import numpy as np

from modiff_sim import AbsMax, Claim, Evidence, Stochastic, Verdict

from .._broken import Dropped, Echo
from .._shared import collinear
from ._exponents import WORST, Case, exponents

ORDER = 2
CLAIM = Claim(
    id="growth_constant",
    statement="With differences of one size the error grows like n^p: with compensation p = 0; without it p = 1 in the "
    "worst case and where a grid loses the same at every call, p = 1/2 where the calls' errors are independent; direct "
    "quantization follows ||a_t|| (p of the error, intervals jointly at 99 %).",
    source="this project",
    relation="equal",
)
HALF = 0.5


def check(
    effort: str = "quick", *, closed="closed_loop", without="open_loop", direct="direct", independent: float = HALF
) -> Evidence:
    """Fit the growth of all recursions, in the worst case and for grids."""
    n, trials, d = (200, 64, 16) if effort == "quick" else (1000, 128, 16)
    rng = np.random.default_rng(571)
    one = collinear(np.ones(n))
    walk = rng.standard_normal((n, trials, d))
    same = np.repeat(rng.standard_normal((1, 1, d)), n, axis=0)
    drawn = np.repeat(same, trials, axis=1)  # trials differ by the random bits alone
    cases = [
        Case("closed, worst case", closed, WORST, one, 0),
        Case("closed, AbsMax(3)", closed, AbsMax(3), walk, 0),
        Case("closed, Stochastic(4)", closed, Stochastic(4), walk, 0),
        Case("open, worst case", without, WORST, one, 1),
        Case("open, AbsMax(3), same difference", without, AbsMax(3), same, 1),
        Case("open, AbsMax(3)", without, AbsMax(3), walk, independent),
        Case("open, Stochastic(3), same difference", without, Stochastic(3), drawn, independent),
        Case("direct, worst case", direct, WORST, one, 1),
        Case("direct, AbsMax(3)", direct, AbsMax(3), walk, independent),
    ]  # fmt: skip
    return exponents(cases, seed=571)


CONTROLS = [
    ({"closed": "open_loop"}, Verdict.VIOLATED),
    ({"closed": Dropped()}, Verdict.VIOLATED),
    ({"without": "closed_loop"}, Verdict.VIOLATED),
    ({"without": Echo()}, Verdict.VIOLATED),
    ({"direct": "closed_loop"}, Verdict.VIOLATED),
    ({"independent": 1.0}, Verdict.VIOLATED),
]
