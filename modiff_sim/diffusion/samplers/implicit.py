"""DDIM: deterministic for eta = 0, as noisy as DDPM for eta = 1."""

from __future__ import annotations

import math

from ...arguments import number
from ..schedules import Schedule
from .common import Array, Callback, Denoiser, Noise, draw, predictor


def ddim(
    denoiser: Denoiser,
    x: Array,
    schedule: Schedule,
    *,
    eta: float = 0.0,
    clip: float | None = None,
    clip_noise: bool = True,
    noise: Noise | None = None,
    callback: Callback | None = None,
) -> Array:
    """DDIM (Song et al. 2021, eq. (12) and (16)): from x at the first timestep to the clean image.

    Args:
        denoiser, noise, callback: see the package's head.
        x: starting noise, a floating-point array of any shape.
        schedule: noise levels and timesteps.
        eta: 0 is deterministic, 1 has DDPM's variance; 0 <= eta <= 1.
        clip: clamp x0_hat to [-clip, clip]; None leaves it.
        clip_noise: recompute eps_hat from the clamped x0_hat (diffusers' ``use_clipped_model_output``, whose default
            is False); False leaves eps_hat as predicted.

    Returns:
        An array like x.

    Raises:
        ValueError: eta outside [0, 1], clip <= 0, noise missing where needed, or a shape that does not fit.
    """
    if not 0.0 <= number("eta", eta, least=-math.inf) <= 1.0:
        raise ValueError(f"eta must lie in [0, 1], got {eta}")
    predict = predictor(denoiser, schedule, clip, clip_noise=clip_noise)
    for call, (t, here, after) in enumerate(schedule.levels()):
        x0, eps = predict(x, t, here)
        # here = 1 only if the schedule starts without noise; then nothing is left to be redrawn
        variance = (1.0 - after) / (1.0 - here) * (1.0 - here / after) if 1.0 > here != after else 0.0
        sigma = eta * math.sqrt(variance)
        x = math.sqrt(after) * x0 + math.sqrt(max(0.0, 1.0 - after - sigma**2)) * eps
        if sigma > 0.0:
            x = x + sigma * draw(noise, call, x)
        if callback is not None:
            callback(call, t, x, x0)
    return x
