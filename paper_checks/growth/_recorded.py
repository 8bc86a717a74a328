"""Layers of the trained model along a long sampling run, quantized with and without compensation.

Timesteps are uniform, because the quadratic ones repeat t = 0 at the end, where every difference would be 0.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from modiff_sim import Evidence, Quantizer, bounds, processes, simulate
from modiff_sim.bounds.growth import Fit, power_law
from modiff_sim.simulation.driver import Result

SIZES = {"quick": (125, 6), "full": (250, 6)}  # calls, images
FIRST = 10


@cache
def runs(effort: str, recursion: str, Q: Quantizer) -> dict[str, Result]:
    """Return layer -> its simulation on recorded inputs, with an image per trial and an exact start.

    Errors do not pass through the network.
    """
    from analysis.experiments.recordings import layer_inputs

    steps, images = SIZES[effort]
    inputs = layer_inputs(effort, steps=steps, images=images, spacing="uniform")
    return {
        name: simulate(processes.recorded(a), Q, recursion, steps=len(a), trials=a.shape[1], workers=1)
        for name, a in inputs.items()
    }


def limit(loop: str, d_inf: np.ndarray, kappa: float) -> np.ndarray:
    """Return the max-norm bound of a loop, (n, trials)."""
    return getattr(bounds, f"max_norm_{loop}")(d_inf, kappa)


def per_layer(fits: dict[str, Fit], *, claimed: float, effort: str) -> Evidence:
    """Return evidence from one fitted exponent per layer."""
    steps, images = SIZES[effort]
    return Evidence(
        claimed=np.full(len(fits), claimed),
        measured=[f.slope for f in fits.values()],
        low=[f.low for f in fits.values()],
        high=[f.high for f in fits.values()],
        cases=list(fits),
        seed=0,
        params={"calls": steps, "images": images, "sampler": "ddim", "spacing": "uniform"},
        note="; ".join(f"{name} {f.slope:.2f} ± {f.high - f.slope:.2f}" for name, f in fits.items()),
    )


def exponents(done: dict[str, Result], relative_to: str, kappa: float) -> dict[str, Fit]:
    """Fit per layer the exponent of n in the max-norm error over its bound ("bound") or the mean difference ("mean").

    The intervals hold jointly at 95 %.
    """
    found = {}
    for name, r in done.items():
        d, error = r.d_inf[1:], r.error_inf[1:]
        n = np.arange(1, len(d) + 1)[:, None]
        size = limit("closed_loop", d, kappa) if relative_to == "bound" else np.cumsum(d, axis=0) / n
        found[name] = power_law(error / size, first=FIRST, level=1 - 0.05 / len(done))
    return found
