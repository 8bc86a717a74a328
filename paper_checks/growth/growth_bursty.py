"""How the error grows when the input changes little for most of the time and sometimes jumps."""

import numpy as np

from modiff_sim import AbsMax, Claim, Evidence, Verdict

from .._broken import Dropped
from .._shared import collinear
from ._exponents import WORST, Case, exponents

ORDER = 3
CLAIM = Claim(
    id="growth_bursty",
    statement="When one difference in ten is large and the others are 100 times smaller, the error after large ones "
    "does not grow with compensation (n^0), and without it grows like n in the worst case, like √n on a grid with "
    "independent differences (p of n^p, intervals jointly at 99 %).",
    source="this project",
    relation="equal",
)


def check(
    effort: str = "quick", *, closed="closed_loop", without="open_loop", settled: float = 0.0, rest: float = 0.01
) -> Evidence:
    """Fit the growth after large differences, in the worst case and for a grid."""
    n, trials, d, period = (200, 256, 16, 10) if effort == "quick" else (1000, 400, 16, 10)
    rng = np.random.default_rng(572)
    large = (np.arange(1, n + 1) % period == 0)[:, None, None]
    size = np.where(large, 1.0, rest)
    jumps = size * rng.standard_normal((n, trials, d))
    line = collinear(size[:, 0, 0])
    cases = [
        Case("closed, worst case", closed, WORST, line, settled, period),
        Case("closed, AbsMax(3)", closed, AbsMax(3), jumps, settled, period),
        Case("open, worst case", without, WORST, line, 1, period),
        Case("open, AbsMax(3)", without, AbsMax(3), jumps, 0.5, period),
    ]
    return exponents(cases, seed=572)


CONTROLS = [
    ({"closed": "open_loop"}, Verdict.VIOLATED),
    ({"without": "closed_loop"}, Verdict.VIOLATED),
    ({"settled": 0.5}, Verdict.VIOLATED),
    ({"closed": Dropped()}, Verdict.VIOLATED),
]
