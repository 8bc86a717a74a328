"""The fewest bits that suffice, predicted and measured, on the trained model."""

from modiff_sim import Claim, Evidence
from modiff_sim.transfer.prediction import TOLERANCE

from .._cliffs import cliff_interval, fewest_bits
from .._digits import STAND_IN
from ._prediction import Change, unchanged

ORDER = 5
CLAIM = Claim(
    id="predicted_cliff_digits",
    statement=f"{STAND_IN}: the fewest bits that keep the median relative l2 error of an image within 0.15 are, to one "
    "bit, those that the energy theory predicts: direct, open loop and closed loop.",
    source="this project",
    relation="equal",
    topic="practice",
)


def check(effort: str = "quick", *, change: Change = unchanged, **options) -> Evidence:
    """Compare both cliffs. ``change`` is applied to the measured transfer, and ``options`` are those of ``predict``."""
    from analysis.experiments import prediction

    chosen, plan = prediction.plan_of(effort)
    predicted = prediction.predictions(effort, change, **options)
    errors = prediction.measured(effort)
    claimed, columns, cases = [], [], []
    for name in prediction.RECURSIONS:
        final = {b: predicted[name, b].final for b in prediction.widths(effort)}
        claimed.append(fewest_bits(final))
        columns.append(cliff_interval({b: errors[name, b][-1] for b in prediction.widths(effort)}))
        cases.append(f"{name} {claimed[-1]} predicted, {columns[-1][0]} measured")
    measured, low, high = zip(*columns, strict=True)
    return Evidence(
        claimed=claimed,
        measured=measured,
        low=low,
        high=high,
        atol=1,
        cases=cases,
        seed=0,
        note="; ".join(cases),
        params={"images": plan.images, "measured on": plan.samples, "steps": chosen.steps, "tolerance": TOLERANCE},
    )
