"""(31) as printed, read in sampling order: true where 2c ≤ 1, and loose by the factor 2c that the proof drops."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from modiff_sim import AbsMax, Claim, Evidence, MinMax, Verdict, bounds
from modiff_sim.evidence import Premise

from .._broken import halved
from .._shared import Shrink, collinear, families, worst_of
from . import _search

PRINTED = partial(bounds.printed_closed_loop, index="sampling")
ORDER = 13
CLAIM = Claim(
    id="printed_31_sampling_order",
    statement="(31) with k counted in sampling order, where 2c ≤ 1: ||o-ô||² ≤ Σ_k (2c)^age ||A||²||d_k||² "
    "(largest error over bound).",
    source="Theorem 4.4, (31), charitable reading",
    relation="upper",
    printed=True,
    quote="Σ_{k=t}^{T-1} (2c)^(T-k-1) ||A||²||a_k - a_{k+1}||²",
    reading="charitable: k counted in sampling order, so that the exponent is the age of a difference; 2c ≤ 1",
    instead=("printed_31_condition", "corrected_31", "sharp_closed_loop"),
)
# quantizers with a declared worst case 2c ≤ 1 at these dimensions
GRIDS = ((AbsMax(4), 16), (AbsMax(3), 4), (MinMax(3), 8))


def check(
    effort: str = "quick",
    *,
    recursion="closed_loop",
    bound=PRINTED,
    contractions: Sequence[float] = (0.05, 0.2, 0.4, 0.5),
    n: int = 8,
) -> Evidence:
    """Measure error over bound on families of differences, and on those that maximise it."""
    rng = np.random.default_rng(34)
    cases = [("", Q, families(n, d, rng)) for Q, d in GRIDS]
    for c in contractions:
        Q = Shrink(contraction=c)
        cases.append(("", Q, families(n, 1, rng)))
        # Cauchy-Schwarz: Σ q^(age+1)|d_k| is largest against Σ (2c)^age d_k² where d_k ∝ q^(age+1)/(2c)^age
        age = np.arange(n)[::-1]
        cases.append(("worst profile", Q, collinear(c ** ((age + 1) / 2) / (2 * c) ** age)))
    worst = worst_of(recursion, bound, cases, n)
    found = _search.search(recursion, bound, restarts=1 if effort == "quick" else 6, seed=34)
    largest = max([*contractions, *(Q.c(d) for Q, d in GRIDS)])
    return Evidence(
        claimed=np.ones(n + 1),
        measured=np.append(worst.ratio, np.sqrt(found.ratio)),
        atol=np.append(worst.atol, found.slack / max(found.printed, 1e-300)),
        cases=[*(f"{case}, after {j + 1} differences" for j, case in enumerate(worst.case)), str(found)],
        premises=(Premise("2c ≤ 1", 2 * largest <= 1, f"c = {largest:g}"),),
        seed=34,
    )


CONTROLS = [
    ({"bound": partial(bounds.printed_closed_loop, index="paper")}, Verdict.VIOLATED),
    ({"bound": halved(partial(bounds.printed_closed_loop, index="sampling"))}, Verdict.VIOLATED),
    ({"contractions": (0.6,)}, Verdict.PREMISE_FAILS),
    ({"recursion": "open_loop"}, Verdict.VIOLATED),
]
