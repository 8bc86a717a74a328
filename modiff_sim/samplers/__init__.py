"""Samplers: plain functions from noise to images, for NumPy arrays and torch tensors alike.

Common to all of them:

* ``denoiser(x, t) -> eps_hat``: t is a Python int, the training timestep; eps_hat has the shape of x.
* Coefficients are Python floats computed in float64; the arrays keep the dtype of ``x``, which is never
  written to.
* Random bits are an argument: ``noise(call)`` returns standard normal values like ``x``. It is asked only
  where the step adds noise, with ``call`` counting model calls from 0.
* ``callback(call, t, x, x0_hat)`` sees, after each model call, the new x and the predicted clean image of that call.
  The new x is where the model is called next: with several calls per step it may lie between two timesteps.
* After the last timestep ᾱ = 1 (``Schedule.levels``), so x ends as the predicted clean image, without noise.
* The number of model calls is that of the timesteps, or what the sampler says: ``SAMPLERS[name].calls(schedule)``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..schedules import Schedule
from ._common import Array, Callback, Denoiser, Noise
from .ddim_ddpm import VARIANCES, ddim, ddpm
from .dpm_solver import dpm_solver_2, dpm_solver_3, dpm_solver_pp_2m
from .karras import euler, heun
from .pseudo_numerical import plms, pndm

__all__ = [
    "SAMPLERS", "VARIANCES", "Array", "Callback", "Denoiser", "Noise", "Sampler", "ddim", "ddpm", "dpm_solver_2",
    "dpm_solver_3", "dpm_solver_pp_2m", "euler", "heun", "plms", "pndm",
]  # fmt: skip


@dataclass(frozen=True)
class Sampler:
    """A sampler and what it declares about itself.

    function:   one of this package.
    order:      of convergence as timesteps are added, on a smooth schedule with an exact denoiser, up to the last
                timestep: of the path, or of the distribution where noise is added.
    stochastic: whether it adds noise with its default options.
    extra:      model calls beyond one per timestep, from the number n of timesteps.
    """

    function: Callable[..., Array]
    order: int
    stochastic: bool = False
    extra: Callable[[int], int] = lambda n: 0

    @property
    def options(self) -> tuple[str, ...]:
        """Names of the keyword arguments that not all samplers share in meaning: all but noise and callback."""
        named = (p.name for p in inspect.signature(self.function).parameters.values() if p.kind is p.KEYWORD_ONLY)
        return tuple(name for name in named if name not in ("noise", "callback"))

    def calls(self, schedule: Schedule) -> int:
        """The number of model calls."""
        return len(schedule) + self.extra(len(schedule))

    def __call__(
        self,
        denoiser: Denoiser,
        x: Array,
        schedule: Schedule,
        *,
        noise: Noise | None = None,
        callback: Callback | None = None,
        **options: Any,
    ) -> Array:
        """The function, after a check of its options: ValueError names the known ones."""
        unknown = [name for name in options if name not in self.options]
        if unknown:
            raise ValueError(
                f"{self.function.__name__} has no option {', '.join(unknown)}; known: {', '.join(self.options)}"
            )
        return self.function(denoiser, x, schedule, noise=noise, callback=callback, **options)


# Add a sampler here; whatever chooses a sampler by name, and the tests, read this table.
SAMPLERS: dict[str, Sampler] = {
    "ddim": Sampler(ddim, order=1),
    "ddpm": Sampler(ddpm, order=1, stochastic=True),
    "dpm_solver_2": Sampler(dpm_solver_2, order=2),
    "dpm_solver_3": Sampler(dpm_solver_3, order=3),
    "dpm_solver_pp_2m": Sampler(dpm_solver_pp_2m, order=2),
    "plms": Sampler(plms, order=2, extra=lambda n: min(1, n - 1)),
    "pndm": Sampler(pndm, order=2, extra=lambda n: 3 * min(3, n - 1)),
    "euler": Sampler(euler, order=1),
    "heun": Sampler(heun, order=2, extra=lambda n: n - 1),
}
