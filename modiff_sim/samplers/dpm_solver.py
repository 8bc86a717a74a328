"""DPM-Solver: the probability flow integrated in λ = log(α/σ), half the log of the signal-to-noise ratio.

With α_t = √ᾱ_t, σ_t = √(1-ᾱ_t) and h = λ_t - λ_s the flow from s to t is (Lu et al. 2022, eq. (3.4))

    x_t = (α_t/α_s)·x_s - α_t ∫_{λ_s}^{λ_t} e^{-λ} ε̂(x_λ, λ) dλ,

whose first part is exact: only the e^{-λ}-weighted mean of ε̂ has to be estimated, and ``transfer`` does the rest. A
step of order k makes k model calls, at s and at k-1 points between s and t, and starts again from x_s after each.
DPM-Solver++ (Lu et al. 2022b) integrates the predicted clean image x̂₀ in the same way, weighted by e^λ.
"""

from __future__ import annotations

import math

from ..schedules import Schedule
from ._common import Array, Callback, Denoiser, Model, Noise, log_snr_step, transfer


def blocks(calls: int, order: int) -> list[int]:
    """Orders of the steps that make ``calls`` model calls in all, the last of order 1.

    The last step goes to ᾱ = 1, where λ is infinite and only order 1 has a limit (the predicted clean image). What is
    left over before it is one step of lower order: the list of diffusers' ``lower_order_final=True``.
    """
    whole, rest = divmod(calls - 1, order)
    return [order] * whole + [rest] * (rest > 0) + [1]


def second(eps_s: Array, eps_s1: Array, r1: float) -> Array:
    """Mean noise of a step of order 2: ε_s + (ε_s1 - ε_s)/(2 r1), s1 at the fraction r1 of h (Lu et al. 2022, alg. 4)."""
    return eps_s + (eps_s1 - eps_s) * (1.0 / (2.0 * r1))


def third(eps_s: Array, eps_s2: Array, r2: float, h: float) -> Array:
    """Mean noise of a step of order 3, s2 at the fraction r2 of h (Lu et al. 2022, alg. 5).

    σ_t(e^h - 1)·mean = σ_t(e^h - 1)·ε_s + σ_t((e^h - 1)/h - 1)·(ε_s2 - ε_s)/r2. Of order 3 for r2 = 2/3, which thirds of
    a smooth grid tend to.
    """
    return eps_s + (1.0 / h - 1.0 / math.expm1(h)) * ((eps_s2 - eps_s) * (1.0 / r2))


def _singlestep(
    denoiser: Denoiser, x: Array, schedule: Schedule, order: int, clip: float | None, callback: Callback | None
) -> Array:
    model, levels = Model(denoiser, clip, callback), iter(schedule.levels())
    for size in blocks(len(schedule), order):
        for k in range(size):
            t, here, after = next(levels)
            if k == 0:
                x_s, s = x, here
            _, eps = model(x, t, here)
            h, part = log_snr_step(s, after), log_snr_step(s, here)
            if k == 0:
                eps_s = mean = eps
            elif part == 0.0 or h == math.inf:
                mean = eps_s  # two values at one level have no slope; and see ``blocks`` on an infinite h
            else:
                mean = second(eps_s, eps, part / h) if k == 1 else third(eps_s, eps, part / h, h)
            x = model.moved(transfer(x_s, mean, s, after))
    return x


def dpm_solver_2(
    denoiser: Denoiser,
    x: Array,
    schedule: Schedule,
    *,
    clip: float | None = None,
    noise: Noise | None = None,
    callback: Callback | None = None,
) -> Array:
    """DPM-Solver-2 (Lu et al. 2022, alg. 4), singlestep: from x at the first timestep to the clean image.

    One model call per timestep: every second timestep is the point between, so that r1 is what the timesteps make it
    (the paper's r1 = 1/2 needs timesteps that are evenly spaced in λ).

    Args:
        denoiser, callback: see ``modiff_sim.samplers``; noise is never asked.
        x: starting noise, a floating-point array of any shape.
        schedule: noise levels and timesteps.
        clip: clamp x0_hat to [-clip, clip], with eps_hat recomputed from it; None leaves it.

    Returns:
        An array like x.

    Raises:
        ValueError: clip <= 0, or a denoiser of another shape.
    """
    return _singlestep(denoiser, x, schedule, 2, clip, callback)


def dpm_solver_3(
    denoiser: Denoiser,
    x: Array,
    schedule: Schedule,
    *,
    clip: float | None = None,
    noise: Noise | None = None,
    callback: Callback | None = None,
) -> Array:
    """DPM-Solver-3 (Lu et al. 2022, alg. 5), singlestep: from x at the first timestep to the clean image.

    One model call per timestep: of three timesteps two are points between. The second of these is reached by a step of
    ``dpm_solver_2``, as in diffusers; the paper has ((e^{r2 h} - 1)/(r2 h) - 1) there instead of (e^{r2 h} - 1)/2, the
    same up to the order that matters. Arguments, return value and errors: see ``dpm_solver_2``.
    """
    return _singlestep(denoiser, x, schedule, 3, clip, callback)


def dpm_solver_pp_2m(
    denoiser: Denoiser,
    x: Array,
    schedule: Schedule,
    *,
    clip: float | None = None,
    noise: Noise | None = None,
    callback: Callback | None = None,
) -> Array:
    """DPM-Solver++(2M) (Lu et al. 2022b, alg. 2, midpoint): from x at the first timestep to the clean image.

    One model call per timestep, of which the one before gives the slope. The first step has none and is of order 1; so
    is the last, to ᾱ = 1, where h is infinite, and any after a step that moved nothing. Arguments, return value and
    errors: see ``dpm_solver_2``; clip clamps the data prediction itself.
    """
    model = Model(denoiser, clip, callback)
    h_last, x0_last = 0.0, x
    for t, here, after in schedule.levels():
        x0, _ = model(x, t, here)
        h = log_snr_step(here, after)
        if 0.0 < h_last and 0.0 < h < math.inf:
            r = h_last / h
            D = (1.0 + 1.0 / (2.0 * r)) * x0 - (1.0 / (2.0 * r)) * x0_last
        else:
            D = x0
        if h > 0.0:
            ratio = math.sqrt((1.0 - after) / (1.0 - here))
            # (σ_t/σ_s)·x - α_t(e^{-h} - 1)·D
            x = ratio * x + (math.sqrt(after) - ratio * math.sqrt(here)) * D
        h_last, x0_last = h, x0
        model.moved(x)
    return x
