"""The worst case inside the loop, for a trained network."""

import numpy as np

from modiff_sim import AbsMax, Claim, Evidence, Verdict
from modiff_sim.bounds import bits_for_small_gain
from modiff_sim.evidence import Premise
from modiff_sim.transfer.prediction import TOLERANCE

from .._digits import STAND_IN

ORDER = 3
CLAIM = Claim(
    id="small_gain_trained_model",
    statement=f"{STAND_IN}: where the closed loop keeps the relative l2 error of an image within 0.15, the small-gain "
    "condition κ(1+2L) < 1 holds, L the loop gain in the max norm (here a lower bound by random signs).",
    source="this project",
    relation="upper",
    topic="practice",
    expected=Verdict.PREMISE_FAILS,
)


def check(effort: str = "quick", *, bits: int = 3, shrink: float = 1.0) -> Evidence:
    """Compare the small-gain condition with the measured loop gain, which ``shrink`` multiplies."""
    from analysis.experiments.prediction import loop_gain, measured

    gains = shrink * loop_gain(effort)
    L, typical = float(gains.max()), float(np.median(gains))
    error = float(np.median(measured(effort)["closed_loop", bits][-1]))
    kappa = AbsMax(bits).kappa(2)
    load = kappa * (1 + 2 * L)
    detail = (
        f"κ(1+2L) = {load:.3g} at {bits} bits with L ≥ {L:.3g} (median over signs, calls, images {typical:.3g}), "
        f"which demands {bits_for_small_gain(L)} bits ({bits_for_small_gain(typical)}); the error here is {error:.2g}"
    )
    return Evidence(
        claimed=TOLERANCE,
        measured=error,
        premises=[Premise("κ(1+2L) < 1", load < 1, detail)],
        seed=0,
        cases=detail,
        params={"bits": bits, "L": L, "L median": typical, "bits demanded": bits_for_small_gain(L)},
    )
