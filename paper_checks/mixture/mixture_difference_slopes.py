"""How fast differences shrink with the number of steps: the noise of DDPM halves the exponent."""

import numpy as np

from modiff_sim import Claim, Evidence, Verdict

from .. import _mixture
from .._mixture import Paired, Trace

ORDER = 8
CLAIM = Claim(
    id="mixture_difference_slopes",
    statement="With n calls the differences x_{t-1} - x_t, and the closed loop's error in the layer that sees them, "
    "shrink as 1/n in DDIM but as 1/√n in DDPM: doubling the calls saves one bit, or half a bit (log-log slopes).",
    source="this project, on Table 5",
    relation="equal",
)


def check(effort: str = "quick", *, recursion="closed_loop", samplers=("ddim", "ddpm"), bits: int = 3) -> Evidence:
    """Fit the slope over n of the RMS difference over calls and images.

    The tolerance 0.05 is for the next order in 1/n, which is 1/40 at the first n.
    """
    n, ladder = (32, (40, 80, 160)) if effort == "quick" else (128, (40, 80, 160, 320))
    pair = Paired(n, 632)
    rms: dict[str, list[float]] = {}
    for name, sampler in zip(("DDIM", "DDPM"), samplers, strict=True):
        for steps in ladder:
            trace = Trace("logits")
            pair.run(sampler, steps, bits, recursion, observers=[trace])
            d = np.sqrt((np.diff(trace.a, axis=0) ** 2).sum(axis=2).mean())
            error = np.sqrt(trace.error()[1:].mean())
            rms.setdefault(f"{name} differences", []).append(float(d))
            rms.setdefault(f"{name} errors", []).append(float(error))
    slopes = {k: float(np.polyfit(np.log(ladder), np.log(v), 1)[0]) for k, v in rms.items()}
    cases = [f"{k}: {v:.3f}" for k, v in slopes.items()]
    return Evidence(
        claimed=[-1.0 if "DDIM" in k else -0.5 for k in slopes],
        measured=list(slopes.values()),
        atol=0.05,
        cases=cases,
        seed=632,
        params=_mixture.PARAMS | {"images": n, "bits": bits, "calls": list(ladder)},
        note=", ".join(cases),
    )


CONTROLS = [
    ({"samplers": ("ddpm", "ddim")}, Verdict.VIOLATED),
    ({"recursion": "direct"}, Verdict.VIOLATED),
]
