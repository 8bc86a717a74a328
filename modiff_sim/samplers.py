"""Samplers: plain functions from noise to images, for NumPy arrays and torch tensors alike.

Common to all of them:

* ``denoiser(x, t) -> eps_hat``: t is a Python int, the training timestep; eps_hat has the shape of x.
* Coefficients are Python floats computed in float64; the arrays keep the dtype of ``x``, which is never
  written to.
* Random bits are an argument: ``noise(call)`` returns standard normal values like ``x``. It is asked only
  where the step adds noise, with ``call`` counting model calls from 0.
* ``callback(call, t, x, x0_hat)`` sees, after each step, the new x and the predicted clean image it was made
  from.
* After the last timestep ᾱ = 1 (``Schedule.levels``), so x ends as the predicted clean image, without noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from array_api_compat import array_namespace

from .schedules import Schedule

Array = Any
Denoiser = Callable[[Array, int], Array]
Noise = Callable[[int], Array]
Callback = Callable[[int, int, Array, Array], object]


def _predict(denoiser: Denoiser, x: Array, t: int, alpha_bar: float, clip: float | None) -> tuple[Array, Array]:
    """(x0_hat, eps_hat): x̂₀ = (x - √(1-ᾱ)·ε̂)/√ᾱ; with clip, x̂₀ is clamped and ε̂ recomputed from it."""
    eps = denoiser(x, t)
    if tuple(eps.shape) != tuple(x.shape):
        raise ValueError(f"the denoiser returned shape {tuple(eps.shape)} for an input of shape {tuple(x.shape)}")
    noise_level = math.sqrt(1.0 - alpha_bar)
    # by the reciprocal, because torch divides by a scalar that way on some devices
    x0 = (x - noise_level * eps) * (1.0 / math.sqrt(alpha_bar))
    if clip is not None:
        x0 = array_namespace(x).clip(x0, -clip, clip)
        if noise_level > 0.0:
            eps = (x - math.sqrt(alpha_bar) * x0) * (1.0 / noise_level)
    return x0, eps


def _draw(noise: Noise | None, call: int, x: Array) -> Array:
    if noise is None:
        raise ValueError("this sampler adds noise: pass noise=, a function from the call index to standard normals")
    z = noise(call)
    if tuple(z.shape) != tuple(x.shape):
        raise ValueError(f"noise({call}) has shape {tuple(z.shape)}, x has {tuple(x.shape)}")
    return z


def _check_clip(clip: float | None) -> None:
    if clip is not None and not clip > 0:
        raise ValueError(f"clip must be positive or None, got {clip}")


def ddim(
    denoiser: Denoiser,
    x: Array,
    schedule: Schedule,
    *,
    eta: float = 0.0,
    clip: float | None = None,
    noise: Noise | None = None,
    callback: Callback | None = None,
) -> Array:
    """DDIM (Song et al. 2021, eq. (12) and (16)): from x at the first timestep to the clean image.

    Args:
        denoiser, noise, callback: see the module's head.
        x: starting noise, a floating-point array of any shape.
        schedule: noise levels and timesteps.
        eta: 0 is deterministic, 1 has DDPM's variance; 0 <= eta <= 1.
        clip: clamp x0_hat to [-clip, clip], with eps_hat recomputed from it (diffusers'
            ``use_clipped_model_output=True``); None leaves it.

    Returns:
        An array like x.

    Raises:
        ValueError: eta outside [0, 1], clip <= 0, noise missing where needed, or a shape that does not fit.
    """
    if not 0.0 <= eta <= 1.0:
        raise ValueError(f"eta must lie in [0, 1], got {eta}")
    _check_clip(clip)
    for call, (t, here, after) in enumerate(schedule.levels()):
        x0, eps = _predict(denoiser, x, t, here, clip)
        # here = 1 only if the schedule starts without noise; then nothing is left to be redrawn
        variance = (1.0 - after) / (1.0 - here) * (1.0 - here / after) if here < 1.0 else 0.0
        sigma = eta * math.sqrt(variance)
        x = math.sqrt(after) * x0 + math.sqrt(max(0.0, 1.0 - after - sigma**2)) * eps
        if sigma > 0.0:
            x = x + sigma * _draw(noise, call, x)
        if callback is not None:
            callback(call, t, x, x0)
    return x


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
    """DDPM (Ho et al. 2020, algorithm 2): the posterior mean (7) of the predicted clean image, plus noise.

    With spaced timesteps α is ᾱ/ᾱ_next, the step between two visited timesteps (Nichol and Dhariwal 2021,
    section 4).

    Args:
        denoiser, noise, callback: see the module's head. No noise is added after the last timestep.
        x: starting noise, a floating-point array of any shape.
        schedule: noise levels and timesteps.
        variance: "fixed_small" is β·(1-ᾱ_next)/(1-ᾱ), "fixed_large" is β (Ho et al. 2020, section 3.2).
        clip: clamp x0_hat to [-clip, clip]; None leaves it.

    Returns:
        An array like x.

    Raises:
        ValueError: unknown variance, clip <= 0, noise missing where needed, or a shape that does not fit.
    """
    if variance not in VARIANCES:
        raise ValueError(f"unknown variance {variance!r}; known: {', '.join(VARIANCES)}")
    _check_clip(clip)
    levels = schedule.levels()
    for call, (t, here, after) in enumerate(levels):
        x0, _ = _predict(denoiser, x, t, here, clip)
        alpha = here / after
        beta = 1.0 - alpha
        left = 1.0 - here
        if left > 0.0:
            x = (math.sqrt(after) * beta / left) * x0 + (math.sqrt(alpha) * (1.0 - after) / left) * x
        else:
            x = x0
        sigma = math.sqrt(beta * ((1.0 - after) / left if variance == "fixed_small" and left > 0.0 else 1.0))
        if sigma > 0.0 and call < len(levels) - 1:
            x = x + sigma * _draw(noise, call, x)
        if callback is not None:
            callback(call, t, x, x0)
    return x


# Add a sampler here; the CLI and the tests read this table.
SAMPLERS: dict[str, Callable[..., Array]] = {"ddim": ddim, "ddpm": ddpm}
