"""Euler and Heun on the probability-flow equation as Karras et al. 2022 write it: dx/dσ = ε̂, x = x_VP/√ᾱ, σ² = (1-ᾱ)/ᾱ.

x here is the variance-preserving one that the model was trained on; it is divided by √ᾱ for the step and multiplied by
√ᾱ of the next level after it. σ is the noise-to-signal ratio, not √(1-ᾱ).
"""

from __future__ import annotations

import math

from ..schedules import Schedule
from .common import Array, Callback, Denoiser, Noise, leave_pure_noise, predictor


def _ratio(alpha_bar: float) -> float:
    """σ of Karras et al.: √((1-ᾱ)/ᾱ)."""
    return math.sqrt((1.0 - alpha_bar) / alpha_bar)


def euler(
    denoiser: Denoiser,
    x: Array,
    schedule: Schedule,
    *,
    clip: float | None = None,
    noise: Noise | None = None,
    callback: Callback | None = None,
) -> Array:
    """x ← x + (σ_next - σ)·ε̂: one call per timestep. Written out, this *is* DDIM with eta = 0 (up to rounding).

    Args:
        denoiser, callback: see the package's head.
        x: starting noise, a floating-point array of any shape.
        schedule: noise levels and timesteps.
        clip: clamp x0_hat to [-clip, clip], with eps_hat recomputed from it; None leaves it.
        noise: not used, the sampler is deterministic.

    Raises:
        ValueError: clip <= 0, or a denoiser that returns another shape.
    """
    predict = predictor(denoiser, schedule, clip)
    x, levels = leave_pure_noise(predict, x, schedule.levels(strided=False), callback)
    for call, (t, here, after) in enumerate(levels, schedule.from_pure_noise):
        x0, eps = predict(x, t, here)
        moved = (1.0 / math.sqrt(here)) * x + (_ratio(after) - _ratio(here)) * eps
        x = math.sqrt(after) * moved
        if callback is not None:
            callback(call, t, x, x0)
    return x


def heun(
    denoiser: Denoiser,
    x: Array,
    schedule: Schedule,
    *,
    clip: float | None = None,
    noise: Noise | None = None,
    callback: Callback | None = None,
) -> Array:
    """Heun's method: after an Euler step the slope at its end is averaged in; the step to the clean image stays Euler.

    n timesteps are 2n - 1 model calls, every timestep but the first being visited twice; one less where the first is
    pure noise, from which the step is Euler's as well. Arguments and errors as ``euler``.
    """
    predict = predictor(denoiser, schedule, clip)
    x, levels = leave_pure_noise(predict, x, schedule.levels(strided=False), callback)
    made = schedule.from_pure_noise - 1
    for i, (t, here, after) in enumerate(levels):
        x0, eps = predict(x, t, here)
        made += 1
        start, step = (1.0 / math.sqrt(here)) * x, _ratio(after) - _ratio(here)
        x = math.sqrt(after) * (start + step * eps)
        if callback is not None:
            callback(made, t, x, x0)
        if i + 1 == len(levels):
            break
        t_next = levels[i + 1][0]
        x0, slope = predict(x, t_next, after)
        made += 1
        x = math.sqrt(after) * (start + (0.5 * step) * (eps + slope))
        if callback is not None:
            callback(made, t_next, x, x0)
    return x
