"""The typical counterpart of the small-gain condition."""

import numpy as np

from modiff_sim import Claim, Evidence
from modiff_sim.transfer.prediction import TOLERANCE, amplification

from .._digits import STAND_IN
from ._prediction import Change, unchanged

ORDER = 6
CLAIM = Claim(
    id="amplification_tells",
    statement=f"{STAND_IN}: the closed loop keeps the relative l2 error of an image within 0.15 at exactly those bit "
    "widths at which the error energy that one turn of the loop brings back (median over calls) is below 1.",
    source="this project",
    relation="equal",
    topic="practice",
)


def check(effort: str = "quick", *, change: Change = unchanged) -> Evidence:
    """Compare where the error is within the tolerance (measured) with where the amplification is below 1 (claimed)."""
    from analysis.experiments import prediction

    errors, noises = prediction.measured(effort), prediction.noises(effort)
    transfer = change(prediction.transfer(effort))
    stable, kept, cases = [], [], []
    for bits in prediction.widths(effort):
        factor = float(np.median(amplification(transfer, noises["closed_loop", bits])[1:]))
        error = float(np.median(errors["closed_loop", bits][-1]))
        stable.append(factor < 1)
        kept.append(error <= TOLERANCE)
        cases.append(f"{bits} bits: amplification {factor:.2g}, error {error:.2g}")
    return Evidence(
        claimed=np.array(stable, float),
        measured=np.array(kept, float),
        cases=cases,
        seed=0,
        note="; ".join(cases[:3]),
        params={"bits": prediction.widths(effort), "steps": len(transfer.a)},
    )
