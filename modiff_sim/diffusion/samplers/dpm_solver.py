"""DPM-Solver, singlestep, of order 2 and 3 (Lu et al. 2022, algorithms 1 and 2), on the timesteps of the schedule.

In λ = log(α/σ) the probability-flow equation has a linear part that is solved exactly. What remains is an integral of
ε̂ over λ, in which ε̂ is replaced by its Taylor expansion. A step of order k spans k timesteps. The inner ones lie where
the schedule has them, at fractions r of the step in λ, so that the model sees training timesteps only. There is one
model call per timestep.

Where k does not divide the number of timesteps, steps of lower order fill up. The step to the clean image, where λ is
infinite, is of order 1, which is exact there for a constant ε̂. A step between equal levels is of order 1 as well.
"""

from __future__ import annotations

import math

from ...typing import Array
from ..schedules import Schedule
from .common import Callback, Denoiser, Noise, Sampler, leave_pure_noise, predictor, signal_and_noise, transfer


def orders(calls: int, order: int) -> list[int]:
    """The order of the step after each model call: 1, 2, 1, 2, ... or 1, 2, 3, 1, 2, 3, ...; the last is always 1."""
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
    """DPM-Solver-2: steps of two model calls, the second one at the timestep between.

    One model call per timestep.

    Parameters
    ----------
    denoiser : callable
        ``denoiser(x, t)`` returns what ``schedule.prediction`` says, by default ε̂, in the shape and dtype of x.
        t is an int, the training timestep.
    x : array
        Starting noise, a floating-point array of any shape. It is not written to.
    schedule : Schedule
        Noise levels and timesteps.
    clip : float, optional
        Clamp x̂₀ to [-clip, clip] and recompute ε̂ from it. By default both are left as they are.
    noise : callable, optional
        Not used, as the sampler is deterministic. It is accepted so that all samplers are called alike.
    callback : callable, optional
        ``callback(call, t, x, x0_hat)`` is called after every model call with the new x (between two steps
        the first-order estimate) and the predicted
        clean image.

    Returns
    -------
    array
        The clean image, like x in shape and dtype.

    Raises
    ------
    TypeError
        x or the denoiser's output is not an array of real floating-point numbers.
    ValueError
        clip is not above 0, or the denoiser returns NaN, Inf or another shape.

    Notes
    -----
    With h = λ_t - λ_s and r = (λ_r - λ_s)/h, a step from s to t over the timestep r between them is

        x_t = (α_t/α_s)·x_s - σ_t(e^h - 1)·ε_s - σ_t(e^h - 1)/(2r)·(ε_r - ε_s).

    References
    ----------
    Lu et al. 2022, algorithm 1.

    Examples
    --------
    The denoiser of data in which every entry is 3 leads any noise there:

    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> schedule = ms.schedules.linear().spaced(10)
    >>> def denoiser(x, t):
    ...     level = schedule.alpha_bar[t]
    ...     return (x - np.sqrt(level) * 3) / np.sqrt(1 - level)
    >>> ms.samplers.dpm_solver_2(denoiser, np.ones((1, 2)), schedule).round(6)
    array([[3., 3.]])
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
    """DPM-Solver-3: steps of three model calls, the inner ones at the two timesteps between.

    One model call per timestep.

    Parameters
    ----------
    denoiser : callable
        ``denoiser(x, t)`` returns what ``schedule.prediction`` says, by default ε̂, in the shape and dtype of x.
        t is an int, the training timestep.
    x : array
        Starting noise, a floating-point array of any shape. It is not written to.
    schedule : Schedule
        Noise levels and timesteps.
    clip : float, optional
        Clamp x̂₀ to [-clip, clip] and recompute ε̂ from it. By default both are left as they are.
    noise : callable, optional
        Not used, as the sampler is deterministic. It is accepted so that all samplers are called alike.
    callback : callable, optional
        ``callback(call, t, x, x0_hat)`` is called after every model call with the new x (within a step
        the estimates of order 1 and 2) and the predicted
        clean image.

    Returns
    -------
    array
        The clean image, like x in shape and dtype.

    Raises
    ------
    TypeError
        x or the denoiser's output is not an array of real floating-point numbers.
    ValueError
        clip is not above 0, or the denoiser returns NaN, Inf or another shape.

    Notes
    -----
    A step from s to t spans h = λ_t - λ_s and visits two timesteps between, at the fractions r₁ < r₂ of h. There the
    estimates of order 1 and 2 are used; the step itself is

        x_t = (α_t/α_s)·x_s - σ_t(e^h - 1)·ε_s - σ_t((e^h - 1)/h - 1)/r₂·(ε_(r₂) - ε_s).

    References
    ----------
    Lu et al. 2022, algorithm 2, but for the estimate of order 2 at r₂: its weight is that of DPM-Solver-2, (e^h - 1)/2,
    as in diffusers, where algorithm 2 has (e^h - 1)/h - 1. They differ by O(h²), which leaves the step's order.

    Examples
    --------
    The denoiser of data in which every entry is 3 leads any noise there:

    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> schedule = ms.schedules.linear().spaced(10)
    >>> def denoiser(x, t):
    ...     level = schedule.alpha_bar[t]
    ...     return (x - np.sqrt(level) * 3) / np.sqrt(1 - level)
    >>> ms.samplers.dpm_solver_3(denoiser, np.ones((1, 2)), schedule).round(6)
    array([[3., 3.]])
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
    """Whether two levels are equal or one has no noise, so that divided differences in λ are undefined."""
    return len(set(levels)) < len(levels) or 1.0 in levels


def _step(start: Array, seen: list[tuple[float, Array]], after: float) -> Array:
    """The step of order len(seen) from the level of the first entry to ``after``."""
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


SAMPLERS = {"dpm_solver_2": Sampler(dpm_solver_2, order=2), "dpm_solver_3": Sampler(dpm_solver_3, order=3)}
