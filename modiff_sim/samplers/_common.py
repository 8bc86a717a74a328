"""What the samplers share: the arguments' types, the predicted clean image, and the exact part of a step."""

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
    """Standard normal values for a step that adds noise; ValueError where none are given, or of another shape."""
    if noise is None:
        raise ValueError("this sampler adds noise: pass noise=, a function from the call index to standard normals")
    z = noise(call)
    if tuple(z.shape) != tuple(x.shape):
        raise ValueError(f"noise({call}) has shape {tuple(z.shape)}, x has {tuple(x.shape)}")
    return z


def check_clip(clip: float | None) -> None:
    """ValueError unless clip is None or positive."""
    if clip is not None and not clip > 0:
        raise ValueError(f"clip must be positive or None, got {clip}")


class Model:
    """The denoiser as a sampler of several calls per step sees it: its calls counted, each told to the callback."""

    def __init__(self, denoiser: Denoiser, clip: float | None, callback: Callback | None) -> None:
        check_clip(clip)
        self._denoiser, self._clip, self._callback = denoiser, clip, callback
        self._call = -1

    def __call__(self, x: Array, t: int, alpha_bar: float) -> tuple[Array, Array]:
        """(x0_hat, eps_hat) at x, whose level is alpha_bar; see ``predict``."""
        self._call, self._t = self._call + 1, t
        self._x0, eps = predict(self._denoiser, x, t, alpha_bar, self._clip)
        return self._x0, eps

    def moved(self, x: Array) -> Array:
        """x, made from the last call, after the callback has seen it."""
        if self._callback is not None:
            self._callback(self._call, self._t, x, self._x0)
        return x


def transfer(x: Array, eps: Array, here: float, after: float) -> Array:
    """x at level ᾱ = here moved to ᾱ' = after along a constant noise ε: x'/√ᾱ' = x/√ᾱ + (σ' - σ)·ε, σ = √(1/ᾱ - 1).

    The probability flow is d(x/√ᾱ)/dσ = ε̂(x, t) (Song et al. 2021, eq. (14)), so this is exact where ε̂ does not
    change. It is one formula under many names, with α = √ᾱ, σ_t = √(1-ᾱ) and h the change of λ = log(α/σ_t):
    DDIM with eta = 0; Euler's step of Karras et al. 2022 for x/√ᾱ; the transfer part φ of Liu et al. 2022, eq. (11);
    DPM-Solver-1, α_t/α_s·x - σ_t(e^h - 1)·ε (Lu et al. 2022, eq. (3.7)). A method of higher order puts a better mean of
    ε̂ over the step in the place of ε. Written so that nothing is divided by what may be 0: equal levels move nothing.
    """
    ratio = math.sqrt(after / here)
    return ratio * x + (math.sqrt(1.0 - after) - ratio * math.sqrt(1.0 - here)) * eps


def log_snr_step(here: float, after: float) -> float:
    """h = λ' - λ >= 0 with λ = log(√ᾱ/√(1-ᾱ)); 0 between equal levels, infinite up to ᾱ' = 1."""
    if here == after:
        return 0.0
    return math.inf if after == 1.0 else 0.5 * (math.log(after / here) + math.log((1.0 - here) / (1.0 - after)))
