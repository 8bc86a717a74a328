"""Without compensation no loop gain is small enough."""

import numpy as np

from modiff_sim import AbsMax, Claim, Evidence, Verdict, bounds
from modiff_sim.evidence import Premise

from .._beyond import OneSided, alternating, run_loop, worst_feedback
from .._broken import scaled
from .._shared import EPS

ORDER = 3
CLAIM = Claim(
    id="open_loop_small_gain",
    statement="Without compensation no L > 0 is small enough, at any number of bits: the summed error obeys "
    "S_t = S_{t-1} + κ(||d_t|| + L(S_{t-1}+S_{t-2})), exponential growth, attained at every call (error over bound).",
    source="this project, on the loop that Theorem 4.4 leaves out",
    relation="tight",
)


def check(
    effort: str = "quick",
    *,
    recursion="open_loop",
    bound=bounds.small_gain_open_loop,
    gains=(0.1, 1.0, 5.0),
) -> Evidence:
    """Run the worst feedback: the loop attains its bound and grows at every gain."""
    calls = 60 if effort == "quick" else 240
    rng = np.random.default_rng(464)
    measured, atol, cases, grows = [], [], [], []
    for bits in (2, 3, 4, 8):
        kappa = AbsMax(bits).kappa(2)
        for L in gains:
            for name, sizes in (("constant", np.ones(calls)), ("of all sizes", rng.lognormal(sigma=2, size=calls))):
                a = alternating(sizes)
                run = run_loop(recursion, a, OneSided(contraction=kappa**2), worst_feedback(L))
                S, limit = np.abs(run.tracking[1:, 0, 0]), bound(sizes, kappa, L)
                worst = int(np.argmax(np.abs(S / limit - 1)))
                measured.append(S[worst] / limit[worst])
                # a call rounds a and ã, no larger than max|a| + L·S, a few times; the early calls' sums are smallest
                size = np.maximum.accumulate(np.abs(a[1:, 0, 0])) + (1 + L) * limit
                atol.append(float(np.max(16 * EPS * np.arange(1, calls + 1) * size / limit)))
                cases.append(f"b = {bits}, L = {L:g}, differences {name}, call {worst + 1}")
            grows.append(bounds.loop_growth(kappa, L, "open_loop"))
    return Evidence(
        claimed=np.ones(len(cases)),
        measured=measured,
        atol=atol,
        cases=cases,
        seed=464,
        premises=(Premise("grows", min(grows) > 1, f"by {min(grows):.4g} per call or more"),),
        note=f"by a factor between {min(grows):.4g} (8 bits, L = {min(gains):g}) and {max(grows):.3g} per call",
        everywhere=True,
    )


CONTROLS = [
    ({"bound": lambda d, kappa, L: bounds.max_norm_open_loop(d, kappa)}, Verdict.VIOLATED),
    ({"bound": scaled(bounds.small_gain_open_loop, 1.01)}, Verdict.VIOLATED),
    ({"recursion": "closed_loop"}, Verdict.VIOLATED),
    ({"gains": (0.0,)}, Verdict.PREMISE_FAILS),
]
