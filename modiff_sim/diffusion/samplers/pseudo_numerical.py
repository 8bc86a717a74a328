"""Pseudo linear multistep (PLMS), with an improved Euler start, and with Runge-Kutta's (PNDM): Liu et al. 2022.

Both move x with DDIM's step along a combination ε̄ of the last four ε̂: Adams-Bashforth's weights. Those give the mean
of ε̂ over t to order 4, but the step needs its mean over √(1/ᾱ - 1), which is not evenly spaced where t is: of order 2,
with either start.
"""

from __future__ import annotations

from itertools import pairwise

from ..schedules import Schedule
from .common import Array, Callback, Denoiser, Noise, leave_pure_noise, predictor, transfer

#: weights of the newest ε̂ first, by how many there are (Liu et al. 2022, eq. (9) and its lower orders)
ADAMS_BASHFORTH = {
    1: (1.0,),
    2: (3 / 2, -1 / 2),
    3: (23 / 12, -16 / 12, 5 / 12),
    4: (55 / 24, -59 / 24, 37 / 24, -9 / 24),
}


def plms(
    denoiser: Denoiser,
    x: Array,
    schedule: Schedule,
    *,
    clip: float | None = None,
    noise: Noise | None = None,
    callback: Callback | None = None,
) -> Array:
    """PLMS, as pipelines use it (diffusers: ``skip_prk_steps=True``): n timesteps are n + 1 model calls.

    The first step is an improved Euler one, so that the second timestep is visited twice: calls 1 and 2 are at the same
    t. Who counts steps by timesteps counts one too few; the index here is the call.

    Args:
        denoiser, callback: see the package's head.
        x: starting noise, a floating-point array of any shape.
        schedule: noise levels and timesteps.
        clip: clamp x0_hat to [-clip, clip], with eps_hat recomputed from it; None leaves it.
        noise: not used, the sampler is deterministic.

    Raises:
        ValueError: clip <= 0, or a denoiser that returns another shape.
    """
    run = _Run(denoiser, schedule, clip, callback, strided=schedule.strided)
    x, levels = run.begin(x)
    if not levels:
        return x
    (t, here, after), *rest = levels
    eps, x0 = run.call(x, t, here)
    moved = transfer(x, eps, here, after)
    run.tell(t, moved, x0)
    if not rest:
        return moved
    t = rest[0][0]
    if schedule.strided:  # the corrected step ends at the second timestep, and has the length of all others
        here, after = float(schedule.alpha_bar[min(t + schedule.stride, schedule.T - 1)]), rest[0][1]
    again, x0 = run.call(moved, t, after)
    x = transfer(x, (eps + again) * 0.5, here, after)
    run.tell(t, x, x0)
    run.kept = [eps]
    return run.multistep(x, rest)


def pndm(
    denoiser: Denoiser,
    x: Array,
    schedule: Schedule,
    *,
    clip: float | None = None,
    noise: Noise | None = None,
    callback: Callback | None = None,
) -> Array:
    """PNDM (diffusers: ``skip_prk_steps=False``): three Runge-Kutta steps of four calls, then PLMS: n + 9 model calls.

    The middle call of a Runge-Kutta step is at the training timestep halfway, t_next + (t - t_next)//2, with x at its
    level; where t - t_next is odd, diffusers tells the model one timestep and gives it x at the next. Fewer than four
    timesteps have as many Runge-Kutta steps as there are steps before the one to the clean image. Arguments and errors
    as ``plms``.
    """
    run = _Run(denoiser, schedule, clip, callback, strided=False)
    x, levels = run.begin(x)
    starts = min(3, len(levels) - 1)
    for (t, here, after), (t_next, *_) in pairwise(levels[: starts + 1]):
        middle = t_next + (t - t_next) // 2
        half = float(schedule.alpha_bar[middle])
        k1, x0 = run.call(x, t, here)
        at = transfer(x, k1, here, half)
        run.tell(t, at, x0)
        k2, x0 = run.call(at, middle, half)
        at = transfer(x, k2, here, half)
        run.tell(middle, at, x0)
        k3, x0 = run.call(at, middle, half)
        at = transfer(x, k3, here, after)
        run.tell(middle, at, x0)
        k4, x0 = run.call(at, t_next, after)
        x = transfer(x, (k1 + 2.0 * k2 + 2.0 * k3 + k4) * (1.0 / 6.0), here, after)
        run.tell(t_next, x, x0)
        run.kept.append(k1)
    return run.multistep(x, levels[max(0, starts) :])


class _Run:
    """Model calls counted, and the last ε̂ kept."""

    def __init__(
        self, denoiser: Denoiser, schedule: Schedule, clip: float | None, callback: Callback | None, *, strided: bool
    ) -> None:
        self.predict, self.callback = predictor(denoiser, schedule, clip), callback
        self.levels, self.made = schedule.levels(strided=strided), schedule.from_pure_noise
        self.kept: list[Array] = []

    def begin(self, x: Array) -> tuple[Array, list[tuple[int, float, float]]]:
        """x where the method begins, and the levels from there."""
        return leave_pure_noise(self.predict, x, self.levels, self.callback)

    def call(self, x: Array, t: int, level: float) -> tuple[Array, Array]:
        """(ε̂, x̂₀)"""
        x0, eps = self.predict(x, t, level)
        self.made += 1
        return eps, x0

    def tell(self, t: int, x: Array, x0: Array) -> None:
        if self.callback is not None:
            self.callback(self.made - 1, t, x, x0)

    def multistep(self, x: Array, levels: list[tuple[int, float, float]]) -> Array:
        for t, here, after in levels:
            eps, x0 = self.call(x, t, here)
            self.kept = [*self.kept[-3:], eps]
            weights = ADAMS_BASHFORTH[len(self.kept)]
            mixed = weights[0] * eps
            for weight, older in zip(weights[1:], reversed(self.kept[:-1]), strict=True):
                mixed = mixed + weight * older
            x = transfer(x, mixed, here, after)
            self.tell(t, x, x0)
        return x
