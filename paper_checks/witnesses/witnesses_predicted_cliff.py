"""The fewest bits that suffice, predicted and measured, on models that nobody here trained."""

import numpy as np

from modiff_sim import Claim, Evidence
from modiff_sim.transfer.prediction import TOLERANCE

from .._cliffs import cliff_interval, fewest_bits
from ._witnesses import WITNESSES

ORDER = 8
LIVE = True  # of committed rows
BITS = 1  # by which a prediction may be off, as on the digits model
CLAIM = Claim(
    id="witnesses_predicted_cliff",
    statement=f"{WITNESSES}, one scale per sample, deterministic sampler: the fewest bits that keep the median "
    "relative l2 error of a sample within 0.15 are, to one bit, those that the energy theory predicts from transfer "
    "recorded in full precision: direct, open loop and closed loop.",
    source="this project",
    relation="equal",
    topic="practice",
)


def check(effort: str = "quick", *, theory: str = "predicted") -> Evidence:
    """Compare both cliffs on every witness. ``theory`` is one of those of which there are rows."""
    from analysis.witness.predicted import committed
    from analysis.witness.prediction import MEASURED, RECURSIONS
    from analysis.witness.witnesses import WITNESSES as MODELS

    claimed, columns, cases, params = [], [], [], {}
    for name in MODELS:
        errors = committed(name)
        for recursion in RECURSIONS:
            claimed.append(fewest_bits(errors.medians(recursion, theory)))
            columns.append(cliff_interval(errors.by_bits(recursion, MEASURED)))
            cases.append(f"{name}, {recursion} {claimed[-1]} predicted, {columns[-1][0]} measured")
        plan = errors.manifest["plan"]
        params[f"samples of {name}"] = f"{plan['samples']} to predict, {plan['images']} to compare"
    measured, low, high = zip(*columns, strict=True)
    off = np.abs(np.subtract(measured, claimed)).reshape(len(MODELS), -1).max(axis=1)
    held = f"on {np.sum(off <= BITS)} of {len(MODELS)} models to one bit, on {np.sum(off == 0)} exactly"
    return Evidence(
        claimed=claimed,
        measured=measured,
        low=low,
        high=high,
        atol=BITS,
        cases=cases,
        seed=0,
        note="; ".join([*cases, held]),
        params={**params, "tolerance": TOLERANCE},
    )
