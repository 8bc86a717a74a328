"""When (31) in sampling order is right: exactly when c(2 - 2^(1-n)) ≤ 1."""

from functools import partial

import numpy as np

from modiff_sim import Claim, Evidence, Verdict, bounds

from .. import _shared
from .._shared import Shrink, collinear, families

PRINTED = partial(bounds.printed_closed_loop, index="sampling")
ORDER = 15
CLAIM = Claim(
    id="printed_31_condition",
    statement="In sampling order, the largest ||o-ô||² over printed (31) is c(2-2^(1-n)) after n differences, for "
    "every c < 1: printed (31) is right exactly where this is at most 1.",
    source="this project, on (31)",
    relation="tight",
)


def check(
    effort: str = "quick",
    *,
    recursion="closed_loop",
    bound=PRINTED,
) -> Evidence:
    """Compare the formula with the largest ratio of squared error to the bound.

    The responses w_k to single impulses and the weights p_k of the bound are measured by running. The ratio
    (Σ w_k d_k)²/(Σ p_k d_k²) is then largest at d_k = w_k/p_k, which is run as well. Random families stay below.
    """
    rng = np.random.default_rng(35)
    cs = (0.1, 0.3, 0.5, 0.55, 0.7, 0.9) if effort == "quick" else np.linspace(0.05, 0.99, 24)
    claimed, measured, atol, cases = [], [], [], []
    for c in map(float, cs):
        Q = Shrink(contraction=c)
        for n in range(1, 9):
            impulses = _shared.run(recursion, np.eye(n)[:, :, None], Q)
            w, p = impulses.error[-1], bound(impulses.d, c)[-1] ** 2
            tried = np.concatenate([collinear(w / p), families(n, 1, rng)], axis=1)
            done = _shared.run(recursion, tried, Q)
            printed = bound(done.d, c)[-1]
            ratio = (done.error[-1] / printed) ** 2
            top = int(np.argmax(ratio))
            claimed.append(c * (2 - 2.0 ** (1 - n)))
            measured.append(ratio[top])
            # relative error of the squared error: twice that of the error; the bound rounds 4 times per term
            atol.append(ratio[top] * (2 * done.slack[-1, top] / done.error[-1, top] + 8 * n * _shared.EPS))
            cases.append(f"c = {c:g}, n = {n}")
    above = [case for case, m in zip(cases, measured, strict=True) if m > 1]
    return Evidence(
        claimed=claimed,
        measured=measured,
        atol=atol,
        cases=cases,
        seed=35,
        note=f"printed (31) is exceeded in {len(above)} of {len(cases)} cases, first {(above or ['none'])[0]}",
        everywhere=True,
    )


CONTROLS = [
    ({"bound": partial(bounds.printed_closed_loop, index="paper")}, Verdict.VIOLATED),
    ({"recursion": "open_loop"}, Verdict.VIOLATED),
]
