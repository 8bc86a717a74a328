"""DDPM: the posterior mean and fresh noise at every step."""

from __future__ import annotations

import math

from ..schedules import Schedule
from .common import Array, Callback, Denoiser, Noise, draw, predictor

VARIANCES = ("fixed_small", "fixed_large")


def ddpm(
    denoiser: Denoiser,
    x: Array,
    schedule: Schedule,
    *,
    variance: str = "fixed_small",
    clip: float | None = None,
    noise: Noise | None = None,
    callback: Callback | None = None,
) -> Array:
    """DDPM (Ho et al. 2020, algorithm 2): the posterior mean (7) of the predicted clean image, plus noise.

    With spaced timesteps α is ᾱ/ᾱ_next, the step between two visited timesteps (Nichol and Dhariwal 2021,
    section 4).

    Args:
        denoiser, noise, callback: see the package's head. No noise is added after the last timestep.
        x: starting noise, a floating-point array of any shape.
        schedule: noise levels and timesteps.
        variance: "fixed_small" is β·(1-ᾱ_next)/(1-ᾱ), "fixed_large" is β (Ho et al. 2020, section 3.2).
        clip: clamp x0_hat to [-clip, clip]; None leaves it.

    Returns:
        An array like x.

    Raises:
        ValueError: unknown variance, clip <= 0, noise missing where needed, or a shape that does not fit.
    """
    if variance not in VARIANCES:
        raise ValueError(f"unknown variance {variance!r}; known: {', '.join(VARIANCES)}")
    predict = predictor(denoiser, schedule, clip)
    levels = schedule.levels(strided=False)
    for call, (t, here, after) in enumerate(levels):
        x0, _ = predict(x, t, here)
        alpha = here / after if after > 0.0 else 1.0
        beta = 1.0 - alpha
        left = 1.0 - here
        if left > 0.0:
            x = (math.sqrt(after) * beta / left) * x0 + (math.sqrt(alpha) * (1.0 - after) / left) * x
        else:
            x = x0
        sigma = math.sqrt(beta * ((1.0 - after) / left if variance == "fixed_small" and left > 0.0 else 1.0))
        if sigma > 0.0 and call < len(levels) - 1:
            x = x + sigma * draw(noise, call, x)
        if callback is not None:
            callback(call, t, x, x0)
    return x
