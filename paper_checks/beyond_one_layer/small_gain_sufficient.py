"""The true loop in the worst case: bounded under a small-gain condition."""

import numpy as np

from modiff_sim import AbsMax, Claim, Evidence, Verdict, bounds
from modiff_sim.evidence import Premise

from .._beyond import Overshoot, alternating, linear_feedback, random_feedback, run_loop, worst_feedback
from .._broken import Dropped, Flipped, scaled
from .._shared import EPS

ORDER = 1
CLAIM = Claim(
    id="small_gain_sufficient",
    statement="If errors e move a layer's later inputs by at most L·max|e| and κ(1+2L) < 1, then "
    "||e_t||_∞ ≤ κ/(1-κ(1+2L))·max||d||_∞ for ever; attained in the limit by a linear loop, and step by step for "
    "any differences (largest error over bound).",
    source="this project, on the loop that Theorem 4.4 leaves out",
    relation="tight",
)
CALLS = 24


def check(
    effort: str = "quick",
    *,
    recursion="closed_loop",
    factor=bounds.small_gain,
    steps=bounds.small_gain_closed_loop,
    shares=(0.0, 0.3, 0.6, 0.9),
) -> Evidence:
    """Run the worst feedback and compare it with the bound per call and in the limit.

    ``shares`` are loop gains as parts of the largest one that the condition allows.
    """
    trials = 4 if effort == "quick" else 32
    rng = np.random.default_rng(460)
    measured, atol, cases, loads = [], [], [], []
    for bits in (2, 3, 4, 6) if effort == "quick" else range(2, 9):
        kappa = AbsMax(bits).kappa(2)
        Q = Overshoot(contraction=kappa**2)
        for share in shares:
            L = share * bounds.loop_gain_limit(kappa)
            loads.append(kappa * (1 + 2 * L))
            z = min(bounds.loop_growth(kappa, L), 0.97)
            n = int(np.ceil(np.log(EPS) / np.log(z)))  # what is missing to the limit shrinks like z^n
            largest = np.abs(run_loop(recursion, alternating(np.ones(n)), Q, linear_feedback(L)).tracking).max()
            measured.append(largest / factor(kappa, L))
            # a call rounds numbers of the size of its residual, E/κ, a few times; the loop adds up 1/(1-z) calls
            atol.append(16 * EPS / kappa / (1 - z))
            cases.append(f"b = {bits}, L = {L:.3g}, linear loop, {n} calls")

            worst, slack = 0.0, 0.0
            for a, other, back in (
                (alternating(rng.lognormal(sigma=2, size=CALLS)), Q, worst_feedback(L)),
                (np.cumsum(rng.standard_t(2, (CALLS, trials, 4)), axis=0), AbsMax(bits), random_feedback(L, 4, rng)),
            ):
                error = np.abs(run_loop(recursion, a, other, back).tracking).max(axis=-1)[1:]
                bound = steps(np.abs(np.diff(a, axis=0)).max(axis=-1), kappa, L)
                worst = max(worst, float(np.max(error / bound)))
                slack = max(slack, float(16 * CALLS * EPS * np.abs(a).max() * (1 + L) / bound.min()))
            measured.append(worst)
            atol.append(slack)
            cases.append(f"b = {bits}, L = {L:.3g}, differences of all sizes, {CALLS} calls")
    return Evidence(
        claimed=np.ones(len(cases)),
        measured=measured,
        atol=atol,
        cases=cases,
        seed=460,
        premises=(Premise("κ(1+2L) < 1", max(loads) < 1, f"up to {max(loads):.3g}"),),
        note=f"attained up to κ(1+2L) = {max(loads):.2g}; 3 bits allow L < {bounds.loop_gain_limit(1 / 6):g}",
        everywhere=True,
    )


def one_sided_loop(d, kappa, L, **options):
    """Return the factor of a loop that forgets that the reference has moved too: η_t instead of η_t - η_{t-1}."""
    return bounds.small_gain_closed_loop(d, kappa, L / 2, **options)


CONTROLS = [
    ({"factor": scaled(bounds.small_gain, 0.5)}, Verdict.VIOLATED),
    ({"factor": scaled(bounds.small_gain, 1.01)}, Verdict.VIOLATED),  # true, and not attained
    ({"steps": one_sided_loop}, Verdict.VIOLATED),
    ({"steps": scaled(bounds.small_gain_closed_loop, 1.01)}, Verdict.VIOLATED),
    ({"recursion": "open_loop"}, Verdict.VIOLATED),
    ({"recursion": Dropped()}, Verdict.VIOLATED),
    ({"recursion": Flipped()}, Verdict.VIOLATED),
    ({"shares": (0.5, 1.0)}, Verdict.PREMISE_FAILS),
]
