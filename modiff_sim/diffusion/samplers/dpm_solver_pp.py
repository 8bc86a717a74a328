"""DPM-Solver++(2M): second order, multistep, on the predicted clean image (Lu et al. 2022b, algorithm 2)."""

from __future__ import annotations

import math

from ..schedules import Schedule
from .common import Array, Callback, Denoiser, Noise, leave_pure_noise, predictor, signal_and_noise


def dpm_solver_pp_2m(
    denoiser: Denoiser,
    x: Array,
    schedule: Schedule,
    *,
    clip: float | None = None,
    noise: Noise | None = None,
    callback: Callback | None = None,
) -> Array:
    """x_t = (σ_t/σ_s)·x_s - α_t(e^(-h) - 1)·D, D = x̂₀ + (x̂₀ - x̂₀ of the call before)/(2r), r = h_before/h.

    One model call per timestep. The first step is of order 1, and so is the one to the clean image, where h is
    infinite, and any beside a step between equal levels.

    Args:
        denoiser, callback: see the package's head.
        x: starting noise, a floating-point array of any shape.
        schedule: noise levels and timesteps.
        clip: clamp x0_hat to [-clip, clip]; None leaves it.
        noise: not used, the sampler is deterministic.

    Raises:
        ValueError: clip <= 0, or a denoiser that returns another shape.
    """
    predict = predictor(denoiser, schedule, clip)
    x, levels = leave_pure_noise(predict, x, schedule.levels(strided=False), callback)
    before: tuple[float, Array] | None = None  # (λ, x̂₀) of the call before
    for call, (t, here, after) in enumerate(levels, schedule.from_pure_noise):
        x0, _ = predict(x, t, here)
        alpha_t, sigma_t, lambda_t = signal_and_noise(after)
        _, sigma_s, lambda_s = signal_and_noise(here)
        h = lambda_t - lambda_s if sigma_s > 0.0 else 0.0  # without noise there is nowhere to go
        target = x0
        if before is not None and math.isfinite(h) and h > 0.0 and lambda_s > before[0]:
            r = (lambda_s - before[0]) / h
            target = x0 + (0.5 / r) * (x0 - before[1])
        if sigma_s > 0.0:
            x = (sigma_t / sigma_s) * x - (alpha_t * math.expm1(-h)) * target
        before = (lambda_s, x0)
        if callback is not None:
            callback(call, t, x, x0)
    return x
