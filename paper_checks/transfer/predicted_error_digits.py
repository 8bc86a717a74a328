"""The energy theory of the loop against sampling with the trained model."""

import numpy as np

from modiff_sim import Claim, Evidence

from .._digits import STAND_IN
from ._prediction import Change, off_by, unchanged

ORDER = 4
CLAIM = Claim(
    id="predicted_error_digits",
    statement=f"{STAND_IN}: errors taken as noise whose energies add, from the RMS transfer measured in full precision "
    "(and the error of the time path, which is known), give the closed loop's median relative l2 error of x at every "
    "call within a factor 3, at 2 to 8 bits.",
    source="this project",
    relation="upper",
    topic="practice",
)
FACTOR = 3.0


def check(effort: str = "quick", *, change: Change = unchanged, recursion: str = "closed_loop", **options) -> Evidence:
    """Compare the errors. ``change`` is applied to the measured transfer, and ``options`` are those of ``predict``."""
    from analysis.experiments import prediction

    _, plan = prediction.plan_of(effort)
    predicted = prediction.predictions(effort, change, **options)
    errors = prediction.measured(effort)
    columns, cases = [], []
    for bits in prediction.widths(effort):
        expected = np.median(predicted["closed_loop", bits].relative, axis=1)
        shown = np.median(errors[recursion, bits], axis=1)
        columns.append([part[1:] for part in off_by(expected, errors[recursion, bits])])  # an exact start
        cases += [f"{bits} bits, call {t}: {expected[t]:.2g} for {shown[t]:.2g}" for t in range(1, len(shown))]
    factor, low, high = (np.concatenate(part) for part in zip(*columns, strict=True))
    return Evidence(
        claimed=FACTOR,
        measured=factor,
        low=low,
        high=high,
        cases=cases,
        seed=0,
        params={
            "images": plan.images,
            "measured on": plan.samples,
            "steps": len(shown),
            "bits": prediction.widths(effort),
        },
        note=f"typically (geometric mean) off by a factor {np.exp(np.log(factor).mean()):.2f}",
    )
