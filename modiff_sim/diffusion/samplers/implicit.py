"""DDIM: deterministic for eta = 0, as noisy as DDPM for eta = 1."""

from __future__ import annotations

import math

from ...arguments import number
from ...typing import Array
from ..schedules import Schedule
from .common import Callback, Denoiser, Noise, Sampler, draw, predictor


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
    """DDIM: deterministic for eta = 0, as noisy as DDPM for eta = 1.

    One model call per timestep. On a strided schedule (``Schedule.strided``) a step ends at t - T//n, as in diffusers.

    Parameters
    ----------
    denoiser : callable
        ``denoiser(x, t)`` returns what ``schedule.prediction`` says, by default ε̂, in the shape and dtype of x.
        t is an int, the training timestep.
    x : array
        Starting noise, a floating-point array of any shape. It is not written to.
    schedule : Schedule
        Noise levels and timesteps.
    eta : float, default 0
        Share of DDPM's standard deviation that is added as fresh noise, in [0, 1].
    clip : float, optional
        Clamp x̂₀ to [-clip, clip]. By default it is left as it is.
    clip_noise : bool, default True
        Recompute ε̂ from the clamped x̂₀ (``use_clipped_model_output`` of diffusers, which is False by default).
        False leaves ε̂ as predicted.
    noise : callable, optional
        ``noise(call)`` returns standard normal values like x. Needed where eta is above 0.
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
        eta is outside [0, 1], clip is not above 0, noise is missing where it is
        needed or of another shape, or the denoiser returns NaN, Inf or another shape.

    References
    ----------
    Song et al. 2021, equations (12) and (16).

    Examples
    --------
    The denoiser of data in which every entry is 3 leads any noise there:

    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> schedule = ms.schedules.linear().spaced(10)
    >>> def denoiser(x, t):
    ...     level = schedule.alpha_bar[t]
    ...     return (x - np.sqrt(level) * 3) / np.sqrt(1 - level)
    >>> ms.samplers.ddim(denoiser, np.ones((1, 2)), schedule).round(6)
    array([[3., 3.]])
    """
    if not 0.0 <= number("eta", eta, least=-math.inf) <= 1.0:
        raise ValueError(f"eta must lie in [0, 1], got {eta}")
    predict = predictor(denoiser, schedule, clip, clip_noise=clip_noise)
    for call, (t, here, after) in enumerate(schedule.levels()):
        x0, eps = predict(x, t, here)
        # here = 1 only if the schedule starts without noise; then there is no noise to redraw
        variance = (1.0 - after) / (1.0 - here) * (1.0 - here / after) if 1.0 > here != after else 0.0
        sigma = eta * math.sqrt(variance)
        x = math.sqrt(after) * x0 + math.sqrt(max(0.0, 1.0 - after - sigma**2)) * eps
        if sigma > 0.0:
            x = x + sigma * draw(noise, call, x)
        if callback is not None:
            callback(call, t, x, x0)
    return x


SAMPLERS = {"ddim": Sampler(ddim, order=1)}
