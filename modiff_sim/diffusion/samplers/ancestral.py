"""DDPM: the posterior mean and fresh noise at every step."""

from __future__ import annotations

import math

from ...names import one_of
from ...typing import Array
from ..schedules import Schedule
from .common import Callback, Denoiser, Noise, Sampler, draw, predictor

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
    """DDPM: the posterior mean of the predicted clean image, plus fresh noise.

    With spaced timesteps α is ᾱ/ᾱ_next, that of the step between two visited timesteps. No noise is added after the
    last timestep. One model call per timestep.

    Parameters
    ----------
    denoiser : callable
        ``denoiser(x, t)`` returns what ``schedule.prediction`` says, by default ε̂, in the shape and dtype of x.
        t is an int, the training timestep.
    x : array
        Starting noise, a floating-point array of any shape. It is not written to.
    schedule : Schedule
        Noise levels and timesteps.
    variance : {"fixed_small", "fixed_large"}
        Variance of the noise: "fixed_small" is β·(1-ᾱ_next)/(1-ᾱ), "fixed_large" is β.
    clip : float, optional
        Clamp x̂₀ to [-clip, clip]. By default it is left as it is.
    noise : callable, optional
        ``noise(call)`` returns standard normal values like x. Needed unless the schedule has a single timestep.
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
        The variance is unknown, clip is not above 0, noise is missing where it is
        needed or of another shape, or the denoiser returns NaN, Inf or another shape.

    References
    ----------
    Ho et al. 2020, algorithm 2 with the mean (7) and the variances of section 3.2; Nichol and Dhariwal 2021, section 4,
    for spaced timesteps.

    Examples
    --------
    The denoiser of data in which every entry is 3 leads any noise there:

    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> schedule = ms.schedules.linear().spaced(10)
    >>> def denoiser(x, t):
    ...     level = schedule.alpha_bar[t]
    ...     return (x - np.sqrt(level) * 3) / np.sqrt(1 - level)
    >>> noise = np.random.default_rng(0).standard_normal((10, 1, 2)).__getitem__
    >>> ms.samplers.ddpm(denoiser, np.ones((1, 2)), schedule, noise=noise).round(6)
    array([[3., 3.]])
    """
    one_of("variance", variance, VARIANCES)
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


SAMPLERS = {"ddpm": Sampler(ddpm, order=None)}
