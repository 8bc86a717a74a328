"""What all samplers share: the predicted clean image, noise as an argument, one deterministic step, checks."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from array_api_compat import array_namespace

Array = Any
Denoiser = Callable[[Array, int], Array]
Noise = Callable[[int], Array]
Callback = Callable[[int, int, Array, Array], object]


def predict(denoiser: Denoiser, x: Array, t: int, alpha_bar: float, clip: float | None) -> tuple[Array, Array]:
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


def draw(noise: Noise | None, call: int, x: Array) -> Array:
    if noise is None:
        raise ValueError("this sampler adds noise: pass noise=, a function from the call index to standard normals")
    z = noise(call)
    if tuple(z.shape) != tuple(x.shape):
        raise ValueError(f"noise({call}) has shape {tuple(z.shape)}, x has {tuple(x.shape)}")
    return z


def check_clip(clip: float | None) -> None:
    if clip is not None and not clip > 0:
        raise ValueError(f"clip must be positive or None, got {clip}")


def transfer(x: Array, eps: Array, here: float, after: float) -> Array:
    """x at ᾱ = here moved along ε̂ to ᾱ = after: √after·x̂₀ + √(1-after)·ε̂ (DDIM's step; PNDM's (11) is the same)."""
    x0 = (x - math.sqrt(1.0 - here) * eps) * (1.0 / math.sqrt(here))
    return math.sqrt(after) * x0 + math.sqrt(1.0 - after) * eps


def signal_and_noise(alpha_bar: float) -> tuple[float, float, float]:
    """(α, σ, λ) of a level: α = √ᾱ, σ = √(1-ᾱ), λ = log(α/σ), half the log signal-to-noise ratio; ∞ without noise."""
    alpha, sigma = math.sqrt(alpha_bar), math.sqrt(1.0 - alpha_bar)
    return alpha, sigma, math.log(alpha / sigma) if sigma > 0.0 else math.inf
