"""What a sampler injects bounds from below what the first layer has to quantize."""

import numpy as np

from modiff_sim import Claim, Evidence, Verdict
from modiff_sim.diffusion.mixture_sampling import injected_variance
from modiff_sim.diffusion.schedules import linear

from .. import _mixture
from .._mixture import MIXTURE, Paired, Trace, interval

ORDER = 7
CLAIM = Claim(
    id="mixture_ddpm_noise_floor",
    statement="DDPM's noise floor: Σ_t E||x_{t-1} - x_t||² ≥ d·Σ_t σ_t², and so for the closed loop's residuals "
    "x_{t-1} - x̂_t, for every recursion and however many bits (measured over injected, first layer).",
    source="this project, on Table 5",
    relation="lower",
)


def check(
    effort: str = "quick", *, variance=injected_variance, sampler: str = "ddpm", ladder: tuple[int, ...] | None = None
) -> Evidence:
    """Compare sums of differences and of injected noise over the calls of a run.

    Call k+1 sees the noise that call k adds, so the last call, which does not add noise, is left out. The floor becomes
    tight with many calls, because the share of the drift is of order 1/n.
    """
    n = _mixture.images(effort) if effort == "quick" else 256
    ladder = ladder or ((5, 20, 100) if effort == "quick" else (5, 10, 20, 50, 100, 200))
    pair = Paired(n, 630)
    measured, low, high, cases = [], [], [], []
    for steps in ladder:
        floor = MIXTURE.d * float(variance(linear().spaced(steps, spacing="quad"))[:-1].sum())
        for bits, recursion in ((32, "direct"), (3, "closed_loop"), (3, "open_loop")):
            trace = Trace("logits")
            pair.run(sampler, steps, bits, recursion, observers=[trace])
            energies = {"differences": (np.diff(trace.a, axis=0) ** 2).sum(axis=(0, 2))}
            if recursion == "closed_loop":
                energies["residuals"] = (trace.residual**2).sum(axis=(0, 2))
            for name, energy in energies.items():
                value, lower, upper = interval(lambda e: e.mean(axis=1), energy / floor, seed=630)
                measured.append(value)
                low.append(lower)
                high.append(upper)
                arm = "full precision" if bits == 32 else f"{recursion} at {bits} bits"
                cases.append(f"{name} of {arm}, {steps} calls")
    first = [m for m, c in zip(measured, cases, strict=True) if "full precision" in c]
    shown = ", ".join(f"{m:.3g} at {steps}" for m, steps in zip(first, ladder, strict=True))
    return Evidence(
        claimed=1.0,
        measured=measured,
        low=low,
        high=high,
        cases=cases,
        seed=630,
        params=_mixture.PARAMS | {"images": n, "calls": list(ladder)},
        note=f"full precision: {shown} calls times the floor",
    )


CONTROLS = [
    ({"sampler": "ddim", "ladder": (20,)}, Verdict.VIOLATED),
    ({"variance": lambda s: 2 * injected_variance(s), "ladder": (50,)}, Verdict.VIOLATED),
]
