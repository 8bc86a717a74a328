"""Pseudo linear multistep methods (Liu et al. 2022): PLMS with an improved Euler start, PNDM with Runge-Kutta's.

Both move x with DDIM's step along ε̄, a combination of the last four ε̂ with the weights of Adams and Bashforth. These
weights give the mean of ε̂ over t to order 4. The step, however, needs its mean over √(1/ᾱ - 1), which is not evenly
spaced where t is. The methods are therefore of order 2, with either start.
"""

from __future__ import annotations

from itertools import pairwise

from ...typing import Array
from ..schedules import Schedule
from .common import Callback, Denoiser, Noise, Sampler, leave_pure_noise, predictor, steps_after_noise, transfer

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
    """PLMS with an improved Euler start, as pipelines use it: n timesteps are n + 1 model calls.

    This is diffusers' ``skip_prk_steps=True``. The first step is an improved Euler step, so that the second timestep is
    visited twice: calls 1 and 2 are made at the same t. The index that noise and callback get is the call, not the
    timestep.

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
    Liu et al. 2022, equation (9), with DDIM's step, their (11).

    Examples
    --------
    The denoiser of data in which every entry is 3 leads any noise there:

    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> schedule = ms.schedules.linear().spaced(10)
    >>> def denoiser(x, t):
    ...     level = schedule.alpha_bar[t]
    ...     return (x - np.sqrt(level) * 3) / np.sqrt(1 - level)
    >>> ms.samplers.plms(denoiser, np.ones((1, 2)), schedule).round(6)
    array([[3., 3.]])
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
    if schedule.strided:  # the corrected step ends at the second timestep and is as long as all others
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
    """PNDM: three Runge-Kutta steps of four model calls, then PLMS; n timesteps are n + 9 model calls.

    This is diffusers' ``skip_prk_steps=False``. With fewer than four timesteps there are as many Runge-Kutta steps
    as there are steps before the one to the clean image.

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

    Notes ----- The middle calls of a Runge-Kutta step are made at the training timestep halfway, t_next + (t -
    t_next)//2, with x at that timestep's level. diffusers differs where t - t_next is odd: it tells the model one
    timestep and gives it x at the next.

    References
    ----------
    Liu et al. 2022, section 3.3 and equation (9).

    Examples
    --------
    The denoiser of data in which every entry is 3 leads any noise there:

    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> schedule = ms.schedules.linear().spaced(10)
    >>> def denoiser(x, t):
    ...     level = schedule.alpha_bar[t]
    ...     return (x - np.sqrt(level) * 3) / np.sqrt(1 - level)
    >>> ms.samplers.pndm(denoiser, np.ones((1, 2)), schedule).round(6)
    array([[3., 3.]])
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
    """One sampling run: it counts the model calls and keeps the last ε̂."""

    def __init__(
        self, denoiser: Denoiser, schedule: Schedule, clip: float | None, callback: Callback | None, *, strided: bool
    ) -> None:
        self.predict, self.callback = predictor(denoiser, schedule, clip), callback
        self.levels, self.made = schedule.levels(strided=strided), schedule.from_pure_noise
        self.kept: list[Array] = []

    def begin(self, x: Array) -> tuple[Array, list[tuple[int, float, float]]]:
        """The x from which the method begins, and the levels from there on."""
        return leave_pure_noise(self.predict, x, self.levels, self.callback)

    def call(self, x: Array, t: int, level: float) -> tuple[Array, Array]:
        """Call the model; returns (ε̂, x̂₀)."""
        x0, eps = self.predict(x, t, level)
        self.made += 1
        return eps, x0

    def tell(self, t: int, x: Array, x0: Array) -> None:
        """Tell the callback about the last model call."""
        if self.callback is not None:
            self.callback(self.made - 1, t, x, x0)

    def multistep(self, x: Array, levels: list[tuple[int, float, float]]) -> Array:
        """Make the steps along the last four ε̂, and return x after them."""
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


def _plms_calls(schedule: Schedule) -> int:
    first, n = steps_after_noise(schedule)
    return first + n + (n > 1)


def _pndm_calls(schedule: Schedule) -> int:
    first, n = steps_after_noise(schedule)
    return first + n + 3 * max(0, min(3, n - 1))


SAMPLERS = {
    "plms": Sampler(plms, order=2, calls=_plms_calls),
    "pndm": Sampler(pndm, order=2, calls=_pndm_calls),
}
