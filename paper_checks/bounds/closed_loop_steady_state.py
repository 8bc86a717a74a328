"""What the closed loop settles at: q/(1-q)·max||d||, for every c < 1."""

from collections.abc import Sequence

import numpy as np

from modiff_sim import Claim, Evidence, Verdict, bounds

from .. import _shared
from .._broken import Flipped, halved
from .._shared import Shrink, collinear, families

ORDER = 4
CLAIM = Claim(
    id="closed_loop_steady_state",
    statement="With compensation and any c < 1, the error never exceeds q/(1-q)·max||d_k||, q = √c, and comes as near "
    "to it as one likes: c < 1/2 is not needed.",
    source="this project, on Theorem 4.4",
    relation="tight",
)


def check(
    effort: str = "quick",
    *,
    recursion="closed_loop",
    bound=bounds.sharp_closed_loop,
    contractions: Sequence[float] = (0.1, 0.3, 0.5, 0.6, 0.75, 0.9, 0.95),
) -> Evidence:
    """Compare the formula with the limit of the run and with the limit of the bound."""
    rng = np.random.default_rng(43)
    claimed, measured, atol, cases = [], [], [], []
    for c in contractions:
        Q, q = Shrink(contraction=c), np.sqrt(c)
        limit = q / (1 - q)
        n = int(np.ceil(np.log(_shared.EPS) / np.log(q)))  # what is missing to the limit, q^n, is below eps
        constant = _shared.run(recursion, collinear(np.ones(n)), Q).error.max()
        others = _shared.run(recursion, families(16, 4, rng), Q)
        largest = np.max(others.error / np.maximum.accumulate(others.d, axis=0).max(axis=0))
        claimed += [limit, limit]
        measured += [max(constant, largest), float(bound(np.ones(n), c)[-1])]
        # a call's rounding, 8·eps of the size n of a, is contracted as well: n calls add up to 1/(1-q) of it
        atol += [8 * _shared.EPS * n * (1 + limit)] * 2
        cases += [f"c = {c:g}, run", f"c = {c:g}, bound"]
    return Evidence(
        claimed=claimed,
        measured=measured,
        cases=cases,
        atol=atol,
        seed=43,
        note=", ".join(f"{m:.3g} at c = {c:g}" for c, m in zip(contractions, measured[::2], strict=True)),
        everywhere=True,
    )


CONTROLS = [
    ({"recursion": "open_loop"}, Verdict.VIOLATED),
    ({"recursion": Flipped()}, Verdict.VIOLATED),
    ({"bound": halved(bounds.sharp_closed_loop)}, Verdict.VIOLATED),
]
