"""DPM-Solver, singlestep, of order 2 and 3 (Lu et al. 2022, algorithms 1 and 2), on the timesteps of the schedule.

In λ = log(α/σ) the probability-flow equation has an exact linear part; what is left is an integral of ε̂ over λ, of
which ε̂'s Taylor expansion is integrated. A step of order k spans k timesteps: the inner ones lie where the schedule has
them, at fractions r of the step in λ, so that the model sees training timesteps only. One model call per timestep.

Lower orders fill up where k does not divide the number of timesteps, and the step to the clean image, where λ is
infinite, is of order 1, which is exact there for a constant ε̂. So is a step between equal levels.
"""

from __future__ import annotations

import math

from ..schedules import Schedule
from .common import Array, Callback, Denoiser, Noise, leave_pure_noise, predictor, signal_and_noise, transfer


def orders(calls: int, order: int) -> list[int]:
    """Which order the step after each model call has: 1, 2, 1, 2, ... or 1, 2, 3, 1, 2, 3, ..., the last always 1."""
    return [*(1 + call % order for call in range(calls - 1)), 1]


def dpm_solver_2(
    denoiser: Denoiser,
    x: Array,
    schedule: Schedule,
    *,
    clip: float | None = None,
    noise: Noise | None = None,
    callback: Callback | None = None,
) -> Array:
    """DPM-Solver-2: steps of two model calls each, the second at the timestep between.

    x_t = (α_t/α_s)·x_s - σ_t(e^h - 1)·ε_s - σ_t(e^h - 1)/(2r)·(ε_r - ε_s), h = λ_t - λ_s, r = (λ_r - λ_s)/h.

    Args:
        denoiser, callback: see the package's head; the callback sees the first-order estimate between two steps.
        x: starting noise, a floating-point array of any shape.
        schedule: noise levels and timesteps.
        clip: clamp x0_hat to [-clip, clip], with eps_hat recomputed from it; None leaves it.
        noise: not used, the sampler is deterministic.

    Raises:
        ValueError: clip <= 0, or a denoiser that returns another shape.
    """
    return _singlestep(2, denoiser, x, schedule, clip, callback)


def dpm_solver_3(
    denoiser: Denoiser,
    x: Array,
    schedule: Schedule,
    *,
    clip: float | None = None,
    noise: Noise | None = None,
    callback: Callback | None = None,
) -> Array:
    """DPM-Solver-3: steps of three model calls each.

    x_t = (α_t/α_s)·x_s - σ_t(e^h - 1)·ε_s - σ_t((e^h - 1)/h - 1)/r₂·(ε_(r₂) - ε_s), at fractions r₁ < r₂ of h; before
    it, at r₁ and r₂, the estimates of order 1 and 2. Arguments and errors as ``dpm_solver_2``.
    """
    return _singlestep(3, denoiser, x, schedule, clip, callback)


def _singlestep(
    order: int, denoiser: Denoiser, x: Array, schedule: Schedule, clip: float | None, callback: Callback | None
) -> Array:
    predict = predictor(denoiser, schedule, clip)
    x, levels = leave_pure_noise(predict, x, schedule.levels(strided=False), callback)
    before = schedule.from_pure_noise
    start, seen = x, list[tuple[float, Array]]()  # where this step began; (level, ε̂) at its timesteps so far
    planned = orders(len(levels), order)
    for call, (t, here, after) in enumerate(levels):
        x0, eps = predict(x, t, here)
        seen.append((here, eps))
        if planned[call] == 1 or _degenerate([level for level, _ in seen] + [after]):
            start, seen = x, [(here, eps)]
        x = _step(start, seen, after)
        if callback is not None:
            callback(before + call, t, x, x0)
    return x


def _degenerate(levels: list[float]) -> bool:
    """Whether two levels are equal, or one has no noise: divided differences in λ mean nothing there."""
    return len(set(levels)) < len(levels) or 1.0 in levels


def _step(start: Array, seen: list[tuple[float, Array]], after: float) -> Array:
    """The step of order len(seen), from the level of the first to ``after``."""
    first, eps = seen[0]
    if len(seen) == 1:
        return transfer(start, eps, first, after)
    (alpha_s, _, lambda_s), (alpha_t, sigma_t, lambda_t) = signal_and_noise(first), signal_and_noise(after)
    h = lambda_t - lambda_s
    last, eps_r = seen[-1]
    r = (signal_and_noise(last)[2] - lambda_s) / h
    grown = math.expm1(h)
    weight = 0.5 * grown if len(seen) == 2 else grown / h - 1.0
    return (alpha_t / alpha_s) * start - (sigma_t * grown) * eps - (sigma_t * weight / r) * (eps_r - eps)
