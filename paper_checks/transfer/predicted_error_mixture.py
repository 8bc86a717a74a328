"""The energy theory of the loop against a sampler with an exact denoiser."""

import numpy as np

from modiff_sim import Claim, Evidence, Verdict
from modiff_sim.transfer.prediction import predict

from .. import _mixture
from . import _prediction
from ._controls import BROKEN
from ._prediction import Change, off_by, unchanged

ORDER = 1
CLAIM = Claim(
    id="predicted_error_mixture",
    statement="Errors taken as noise whose energies add, E||x_t - x̂_t||² = P(t) of modiff_sim.transfer.prediction, "
    "from the RMS transfer measured in full precision: on a Gaussian mixture (d = 64, DDIM) this gives the median "
    "relative l2 error at every call within a factor 2 in the closed loop at 2 to 8 bits, and 2.5 in the others at "
    "3 to 8.",
    source="this project",
    relation="upper",
)
FACTOR = {"closed_loop": 2.0, "open_loop": 2.5, "direct": 2.5}


def check(effort: str = "quick", *, change: Change = unchanged, **options) -> Evidence:
    """Compare the errors. ``change`` is applied to the measured transfer, and ``options`` are those of ``predict``."""
    transfer, noises, errors = _prediction.mixture(effort)
    claimed, columns, cases = [], [], []
    for (name, bits), noise in noises.items():
        if bits == 2 and name != "closed_loop":
            continue
        predicted = np.median(predict(change(transfer), noise, **options).relative, axis=1)
        first = 0 if name == "direct" else 1  # the loops start exactly
        columns.append([part[first:] for part in off_by(predicted, errors[name, bits])])
        measured = np.median(errors[name, bits], axis=1)
        cases += [
            f"{name}, {bits} bits, call {t}: {predicted[t]:.2g} for {measured[t]:.2g}"
            for t in range(first, len(predicted))
        ]
        claimed += [FACTOR[name]] * (len(predicted) - first)
    factor, low, high = (np.concatenate(part) for part in zip(*columns, strict=True))
    chosen = _prediction.runs(effort)
    return Evidence(
        claimed=claimed,
        measured=factor,
        low=low,
        high=high,
        cases=cases,
        seed=660,
        params=_mixture.PARAMS | {"steps": chosen.steps, "images": chosen.images, "measured on": chosen.samples},
        note=f"typically (geometric mean) off by a factor {np.exp(np.log(factor).mean()):.2f}",
    )


CONTROLS = [
    *(({"change": change}, Verdict.VIOLATED) for change in BROKEN),
    ({"feedback": False}, Verdict.VIOLATED),
]
