"""The small-gain condition is sharp: above it a linear loop grows exponentially."""

import numpy as np

from modiff_sim import AbsMax, Claim, Evidence, Verdict, bounds
from modiff_sim.evidence import Premise

from .._beyond import Overshoot, alternating, linear_feedback, run_loop
from .._shared import EPS

ORDER = 2
CLAIM = Claim(
    id="small_gain_linear_example_diverges",
    statement="Where κ(1+2L) > 1 the worst case is unbounded: η_t = -L·e_{t-1} and Q(x) = (1+κ)x multiply the error by "
    "z > 1 at every call, z² = κ((1+L)z + L) (growth measured over z).",
    source="this project, on the loop that Theorem 4.4 leaves out",
    relation="equal",
)


def check(
    effort: str = "quick",
    *,
    recursion="closed_loop",
    growth=bounds.loop_growth,
    feedback=linear_feedback,
    loads=(1.05, 1.5, 3.0, 10.0),
) -> Evidence:
    """Compare the fitted growth of the linear loop with the larger root of its recursion.

    ``loads`` are κ(1+2L) of the examples. The other root has decayed in the calls that are left out.
    """
    claimed, measured, cases, grows = [], [], [], []
    calls = 100 if effort == "quick" else 200
    for bits in (2, 3, 4, 8) if effort == "quick" else range(2, 9):
        kappa = AbsMax(bits).kappa(2)
        for load in loads:
            L = (load / kappa - 1) / 2
            run = run_loop(recursion, alternating(np.ones(calls)), Overshoot(contraction=kappa**2), feedback(L))
            E = np.abs(run.tracking[:, 0, 0])
            # the errors' differences obey the recursion without the constant |d|
            steps = np.diff(E)[calls // 2 :]
            ratio = (steps[-1] / steps[0]) ** (1 / (len(steps) - 1)) if steps[0] > 0 < steps[-1] else 0.0
            claimed.append(1.0)
            measured.append(ratio / growth(kappa, L))
            grows.append(growth(kappa, L))
            cases.append(f"b = {bits}, L = {L:.3g}, κ(1+2L) = {load:g}")
    return Evidence(
        # each call rounds a few times; the roots' product is -κL and their sum κ(1+L), so for κ(1+2L) > 1 and κ <= 1/2
        # the other one is at most 0.6 of z in size, and after half the calls 0.6^(calls/2) of it is left
        claimed=claimed,
        measured=measured,
        cases=cases,
        atol=64 * EPS * calls + 0.6 ** (calls / 2),
        premises=(
            Premise("κ(1+2L) > 1", min(loads) > 1, f"from {min(loads):g}"),
            Premise("z > 1", min(grows) > 1, f"from {min(grows):.4g}"),
        ),
        note=f"at 4 bits and L = 26 by ×{bounds.loop_growth(1 / 14, 26.0):.2f} per call",
    )


CONTROLS = [
    ({"growth": lambda kappa, L: kappa * (1 + 2 * L)}, Verdict.VIOLATED),
    ({"feedback": lambda L: linear_feedback(-L)}, Verdict.VIOLATED),
    ({"recursion": "direct"}, Verdict.VIOLATED),
    ({"loads": (0.9, 2.0)}, Verdict.PREMISE_FAILS),
]
