"""The fewest bits that suffice, predicted and measured, with an exact denoiser."""

import numpy as np

from modiff_sim import Claim, Evidence, Verdict
from modiff_sim.transfer.prediction import predict

from .. import _mixture
from .._cliffs import cliff_interval, fewest_bits
from .._mixture import RECURSIONS
from . import _prediction
from ._controls import BROKEN
from ._prediction import BITS, Change, unchanged

ORDER = 2
CLAIM = Claim(
    id="predicted_cliff_mixture",
    statement="The fewest bits that keep the median relative l2 error of a sample within 0.15 (Gaussian mixture, "
    "d = 64, DDIM) are those that the energy theory predicts: direct, open loop and closed loop.",
    source="this project",
    relation="equal",
)


def check(effort: str = "quick", *, change: Change = unchanged, **options) -> Evidence:
    """Compare both cliffs. ``change`` is applied to the measured transfer, and ``options`` are those of ``predict``."""
    transfer, noises, errors = _prediction.mixture(effort)
    claimed, columns, cases = [], [], []
    for name in RECURSIONS:
        final = {b: predict(change(transfer), noises[name, b], **options).final for b in BITS}
        claimed.append(fewest_bits(final))
        columns.append(cliff_interval({b: errors[name, b][-1] for b in BITS}))
        shown = [f"{final[b]:.2g}/{np.median(errors[name, b][-1]):.2g} at {b}" for b in BITS[:4]]
        cases.append(f"{name}, predicted/measured {', '.join(shown)} bits")
    measured, low, high = zip(*columns, strict=True)
    chosen = _prediction.runs(effort)
    return Evidence(
        claimed=claimed,
        measured=measured,
        low=low,
        high=high,
        cases=cases,
        seed=660,
        note="; ".join(cases),
        params=_mixture.PARAMS | {"steps": chosen.steps, "images": chosen.images, "measured on": chosen.samples},
    )


CONTROLS = [
    *(({"change": change}, Verdict.VIOLATED) for change in BROKEN),
]
