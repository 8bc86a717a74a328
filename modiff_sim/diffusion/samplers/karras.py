"""Euler's and Heun's method on the probability-flow equation of Karras et al. 2022: dx/dσ = ε̂.

Their x is x_VP/√ᾱ, and their σ² is (1-ᾱ)/ᾱ: σ is the noise-to-signal ratio, not √(1-ᾱ). The functions take and return
the variance-preserving x_VP, which the model was trained on. It is divided by √ᾱ for the step, and multiplied by √ᾱ of
the next level after it.
"""

from __future__ import annotations

import math

from ...typing import Array
from ..schedules import Schedule
from .common import Callback, Denoiser, Noise, Sampler, leave_pure_noise, predictor, steps_after_noise


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
    """Euler's method on the probability-flow equation: x ← x + (σ_next - σ)·ε̂, in the x of Karras et al.

    One model call per timestep. Written out, this is DDIM with eta = 0, up to rounding.

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

    References
    ----------
    Karras et al. 2022, equation (3) with σ(t) = t and s(t) = 1.

    Examples
    --------
    The denoiser of data in which every entry is 3 leads any noise there:

    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> schedule = ms.schedules.linear().spaced(10)
    >>> def denoiser(x, t):
    ...     level = schedule.alpha_bar[t]
    ...     return (x - np.sqrt(level) * 3) / np.sqrt(1 - level)
    >>> ms.samplers.euler(denoiser, np.ones((1, 2)), schedule).round(6)
    array([[3., 3.]])
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
    """Heun's method: the slope at the end of an Euler step is averaged in.

    The step to the clean image remains Euler's. n timesteps are 2n - 1 model calls, because every timestep but the
    first is visited twice. Where the schedule starts at pure noise, the step from there is Euler's as well, and the
    number of calls is one less.

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

    References
    ----------
    Karras et al. 2022, algorithm 1.

    Examples
    --------
    The denoiser of data in which every entry is 3 leads any noise there:

    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> schedule = ms.schedules.linear().spaced(10)
    >>> def denoiser(x, t):
    ...     level = schedule.alpha_bar[t]
    ...     return (x - np.sqrt(level) * 3) / np.sqrt(1 - level)
    >>> ms.samplers.heun(denoiser, np.ones((1, 2)), schedule).round(6)
    array([[3., 3.]])

    Ten timesteps are 19 model calls:

    >>> ms.samplers.SAMPLERS["heun"].calls(schedule)
    19
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


def _heun_calls(schedule: Schedule) -> int:
    first, n = steps_after_noise(schedule)
    return first + max(0, 2 * n - 1)


SAMPLERS = {"euler": Sampler(euler, order=1), "heun": Sampler(heun, order=2, calls=_heun_calls)}
