"""DPM-Solver++(2M): second order, multistep, on the predicted clean image (Lu et al. 2022b, algorithm 2)."""

from __future__ import annotations

import math

from ...typing import Array
from ..schedules import Schedule
from .common import Callback, Denoiser, Noise, Sampler, leave_pure_noise, predictor, signal_and_noise


def dpm_solver_pp_2m(
    denoiser: Denoiser,
    x: Array,
    schedule: Schedule,
    *,
    clip: float | None = None,
    noise: Noise | None = None,
    callback: Callback | None = None,
) -> Array:
    """DPM-Solver++(2M): second order, with the clean images predicted in this call and in the one before.

    One model call per timestep. Three kinds of steps are of order 1: the first one; the one to the clean image,
    where h is infinite; and any beside a step between equal levels.

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
        Clamp x̂₀ to [-clip, clip]. By default it is left as it is.
    noise : callable, optional
        Not used, as the sampler is deterministic. It is accepted so that all samplers are called alike.
    callback : callable, optional
        ``callback(call, t, x, x0_hat)`` is called after every model call with the new x and the predicted
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
    With h = λ_t - λ_s and r = h_before/h, a step from s to t is

        x_t = (σ_t/σ_s)·x_s - α_t(e^(-h) - 1)·D,    D = x̂₀ + (x̂₀ - x̂₀ of the call before)/(2r).

    References
    ----------
    Lu et al. 2022b, algorithm 2.

    Examples
    --------
    The denoiser of data in which every entry is 3 leads any noise there:

    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> schedule = ms.schedules.linear().spaced(10)
    >>> def denoiser(x, t):
    ...     level = schedule.alpha_bar[t]
    ...     return (x - np.sqrt(level) * 3) / np.sqrt(1 - level)
    >>> ms.samplers.dpm_solver_pp_2m(denoiser, np.ones((1, 2)), schedule).round(6)
    array([[3., 3.]])
    """
    predict = predictor(denoiser, schedule, clip)
    x, levels = leave_pure_noise(predict, x, schedule.levels(strided=False), callback)
    before: tuple[float, Array] | None = None  # (λ, x̂₀) of the call before
    for call, (t, here, after) in enumerate(levels, schedule.from_pure_noise):
        x0, _ = predict(x, t, here)
        alpha_t, sigma_t, lambda_t = signal_and_noise(after)
        _, sigma_s, lambda_s = signal_and_noise(here)
        h = lambda_t - lambda_s if sigma_s > 0.0 else 0.0  # without noise, x is the clean image already
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


SAMPLERS = {"dpm_solver_pp_2m": Sampler(dpm_solver_pp_2m, order=2)}
