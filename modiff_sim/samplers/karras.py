"""Euler and Heun in σ, the noise level of x/√ᾱ (Karras et al. 2022), written for x itself.

Karras et al. sample x_σ = x₀ + σ·ε. Ours is x = √ᾱ·x₀ + √(1-ᾱ)·ε = x_σ/√(1+σ²) with σ² = (1-ᾱ)/ᾱ, and their derivative
d = (x_σ - x̂₀)/σ is the predicted noise ε̂. So x_σ' = x_σ + (σ' - σ)·d is ``transfer``.
"""

from __future__ import annotations

from ..schedules import Schedule
from ._common import Array, Callback, Denoiser, Model, Noise, transfer


def euler(
    denoiser: Denoiser,
    x: Array,
    schedule: Schedule,
    *,
    clip: float | None = None,
    noise: Noise | None = None,
    callback: Callback | None = None,
) -> Array:
    """Euler (Karras et al. 2022, alg. 1 without its correction): from x at the first timestep to the clean image.

    One model call per timestep; the same as ``ddim`` with eta = 0, up to rounding.

    Args:
        denoiser, callback: see ``modiff_sim.samplers``; noise is never asked.
        x: starting noise of variance 1, a floating-point array of any shape; not Karras's x_σ, which is larger.
        schedule: noise levels and timesteps.
        clip: clamp x0_hat to [-clip, clip], with eps_hat recomputed from it; None leaves it.

    Returns:
        An array like x.

    Raises:
        ValueError: clip <= 0, or a denoiser of another shape.
    """
    model = Model(denoiser, clip, callback)
    for t, here, after in schedule.levels():
        _, d = model(x, t, here)
        x = model.moved(transfer(x, d, here, after))
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
    """Heun (Karras et al. 2022, alg. 1): Euler's step, repeated with the mean of the derivatives at its two ends.

    n timesteps take 2n - 1 model calls, two at every timestep but the first; the last step, to σ = 0, is Euler's.
    Arguments, return value and errors: see ``euler``.
    """
    model, levels = Model(denoiser, clip, callback), schedule.levels()
    for i, (t, here, after) in enumerate(levels):
        _, d = model(x, t, here)
        ahead = model.moved(transfer(x, d, here, after))
        if i < len(levels) - 1:
            _, d_ahead = model(ahead, levels[i + 1][0], after)
            ahead = model.moved(transfer(x, 0.5 * (d + d_ahead), here, after))
        x = ahead
    return x
