"""Samplers: plain functions from noise to images, for NumPy arrays and torch tensors alike, one file per family.

Common to all of them:

* ``denoiser(x, t)``: t is a Python int, the training timestep; returns what ``schedule.prediction`` says, by default
  eps_hat, in the shape of x.
* Coefficients are Python floats computed in float64; the arrays keep the dtype of ``x``, which is never
  written to.
* Random bits are an argument: ``noise(call)`` returns standard normal values like ``x``. It is asked only
  where the step adds noise, with ``call`` counting model calls from 0.
* ``callback(call, t, x, x0_hat)`` sees, after each model call, the new x and the predicted clean image it was made
  from. Some samplers make more calls than there are timesteps: ``SAMPLERS[name].calls(schedule)``.
* After the last timestep ᾱ = 1 (``Schedule.levels``), so x ends as the predicted clean image, without noise, unless
  the schedule ends elsewhere (``Schedule.final``).
* On a strided schedule (``Schedule.strided``) "ddim" and "plms" step to t - T//n, as diffusers' DDIM and PNDM; all
  others step to the next timestep.
* A step from ᾱ = 0 (zero terminal SNR) is DDIM's, one model call, in all of them but "ddpm"; then the method begins.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..schedules import Schedule
from .ancestral import VARIANCES, ddpm
from .common import Array, Callback, Denoiser, Noise
from .dpm_solver import dpm_solver_2, dpm_solver_3
from .dpm_solver_pp import dpm_solver_pp_2m
from .implicit import ddim
from .karras import euler, heun
from .pseudo_numerical import plms, pndm

__all__ = [
    "SAMPLERS", "VARIANCES", "Array", "Callback", "Denoiser", "Noise", "Sampler", "ddim", "ddpm", "dpm_solver_2",
    "dpm_solver_3", "dpm_solver_pp_2m", "euler", "heun", "plms", "pndm",
]  # fmt: skip


@dataclass(frozen=True)
class Sampler:
    """A sampler and what it declares of itself; calling it calls the function.

    order:      of convergence of x in the step size of λ, up to the last timestep, for the deterministic ones; None
                where noise is added. Tests measure it.
    calls:      how many model calls it makes on a schedule.
    """

    function: Callable[..., Array]
    order: int | None
    calls: Callable[[Schedule], int] = len

    def __call__(self, denoiser: Denoiser, x: Array, schedule: Schedule, **options: Any) -> Array:
        """The function's result, with the options that the schedule brings (``defaults``) where they are not given.

        Raises ValueError for an option it does not have, naming those it has.
        """
        if unknown := sorted(set(options) - {*self.options, "noise", "callback"}):
            name = self.function.__name__
            raise ValueError(f"{name} has no option {', '.join(unknown)}; known: {', '.join(self.options)}")
        brought = {name: value for name, value in schedule.defaults.items() if name in self.options}
        return self.function(denoiser, x, schedule, **(brought | options))

    @property
    def options(self) -> tuple[str, ...]:
        """Names of the options it takes besides noise and callback."""
        named = inspect.signature(self.function).parameters.values()
        return tuple(p.name for p in named if p.kind is p.KEYWORD_ONLY and p.name not in ("noise", "callback"))


def _steps(schedule: Schedule) -> tuple[int, int]:
    """(model calls at ᾱ = 0, timesteps after them)"""
    first = schedule.from_pure_noise
    return first, len(schedule) - first


def _heun_calls(schedule: Schedule) -> int:
    first, n = _steps(schedule)
    return first + max(0, 2 * n - 1)


def _plms_calls(schedule: Schedule) -> int:
    first, n = _steps(schedule)
    return first + n + (n > 1)


def _pndm_calls(schedule: Schedule) -> int:
    first, n = _steps(schedule)
    return first + n + 3 * max(0, min(3, n - 1))


# Add a sampler here; `nn.sample`, the CLI, the tables and the tests read this table.
SAMPLERS: dict[str, Sampler] = {
    "ddim": Sampler(ddim, order=1),
    "ddpm": Sampler(ddpm, order=None),
    "dpm_solver_2": Sampler(dpm_solver_2, order=2),
    "dpm_solver_3": Sampler(dpm_solver_3, order=3),
    "dpm_solver_pp_2m": Sampler(dpm_solver_pp_2m, order=2),
    "euler": Sampler(euler, order=1),
    "heun": Sampler(heun, order=2, calls=_heun_calls),
    "plms": Sampler(plms, order=2, calls=_plms_calls),
    "pndm": Sampler(pndm, order=2, calls=_pndm_calls),
}
