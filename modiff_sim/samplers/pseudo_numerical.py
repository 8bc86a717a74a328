"""PNDM: Adams-Bashforth and Runge-Kutta means of the predicted noise, moved by the exact transfer (Liu et al. 2022)."""

from __future__ import annotations

from ..schedules import Schedule
from ._common import Array, Callback, Denoiser, Model, Noise, transfer

#: weights of the noises, newest first, by how many there are: Liu et al. 2022, eq. (12), and its lower orders
ADAMS_BASHFORTH = {
    1: (1.0,),
    2: (3 / 2, -1 / 2),
    3: (23 / 12, -16 / 12, 5 / 12),
    4: (55 / 24, -59 / 24, 37 / 24, -9 / 24),
}


def _linear_multistep(newest_first: list[Array]) -> Array:
    first, *others = zip(ADAMS_BASHFORTH[len(newest_first)], newest_first, strict=True)
    mean = first[0] * first[1]
    for weight, eps in others:
        mean = mean + weight * eps
    return mean


def plms(
    denoiser: Denoiser,
    x: Array,
    schedule: Schedule,
    *,
    clip: float | None = None,
    noise: Noise | None = None,
    callback: Callback | None = None,
) -> Array:
    """PLMS (Liu et al. 2022, eq. (12)), pseudo linear multistep: from x at the first timestep to the clean image.

    The first step is repeated with the mean of the noises at its two ends, so that n > 1 timesteps take n + 1 model
    calls, two of them at the second timestep: diffusers' ``PNDMScheduler(skip_prk_steps=True)``. Then the mean is that
    of 2, 3 and 4 noises in a row. It is one over evenly spaced t, used for a step in σ = √(1/ᾱ - 1), which is not
    evenly spaced: the order is 2, whatever the number of noises.

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
    model, levels = Model(denoiser, clip, callback), schedule.levels()
    past: list[Array] = []
    for i, (t, here, after) in enumerate(levels):
        _, eps = model(x, t, here)
        past = [eps, *past[:3]]
        if i == 0 and len(levels) > 1:
            ahead = model.moved(transfer(x, eps, here, after))
            _, eps_ahead = model(ahead, levels[1][0], after)
            x = transfer(x, 0.5 * (eps + eps_ahead), here, after)
        else:
            x = transfer(x, _linear_multistep(past), here, after)
        model.moved(x)
    return x


def pndm(
    denoiser: Denoiser,
    x: Array,
    schedule: Schedule,
    *,
    clip: float | None = None,
    noise: Noise | None = None,
    callback: Callback | None = None,
) -> Array:
    """F-PNDM (Liu et al. 2022, alg. 2): three steps of pseudo Runge-Kutta (eq. (13)), then PLMS.

    A Runge-Kutta step calls the model four times, twice of them halfway between two timesteps: n timesteps take
    n + 3·min(3, n - 1) calls. Where halfway is no integer it is the lower one for x and the model alike; diffusers'
    ``PNDMScheduler`` tells the model one timestep and gives it x of the next. Where it is an integer the two are equal.
    Arguments, return value, errors and the order: see ``plms``.
    """
    model, levels = Model(denoiser, clip, callback), schedule.levels()
    past: list[Array] = []
    for i, (t, here, after) in enumerate(levels):
        _, e1 = model(x, t, here)
        past = [e1, *past[:3]]
        if i < min(3, len(levels) - 1):
            t_after = levels[i + 1][0]
            t_half = (t + t_after) // 2
            half = float(schedule.alpha_bar[t_half])
            x1 = model.moved(transfer(x, e1, here, half))
            _, e2 = model(x1, t_half, half)
            x2 = model.moved(transfer(x, e2, here, half))
            _, e3 = model(x2, t_half, half)
            x3 = model.moved(transfer(x, e3, here, after))
            _, e4 = model(x3, t_after, after)
            mean = (e1 + 2.0 * e2 + 2.0 * e3 + e4) * (1.0 / 6.0)
        else:
            mean = _linear_multistep(past)
        x = model.moved(transfer(x, mean, here, after))
    return x
