"""Samplers: functions that turn noise into images, for NumPy arrays and torch tensors alike; one file per family.

The following holds for all of them.

* ``denoiser(x, t)`` gets the training timestep t as a Python int. It returns what ``schedule.prediction`` says, by
  default ε̂, in the shape of x.
* Coefficients are Python floats, computed in float64. The arrays keep the dtype of x, and x is never written to.
* Random bits are an argument: ``noise(call)`` returns standard normal values like x. It is called only where the step
  adds noise; ``call`` counts the model calls from 0.
* ``callback(call, t, x, x0_hat)`` is called after each model call with the new x and the predicted clean image that it
  was made from. Some samplers make more calls than there are timesteps: ``SAMPLERS[name].calls(schedule)``.
* ᾱ is ``Schedule.final`` after the last timestep. It is 1 by default: x ends as the predicted clean image, without
  noise.
* "ddim" and "plms" step to t - T//n on a strided schedule (``Schedule.strided``), as diffusers' DDIM and PNDM do. All
  others step to the next timestep.
* A step from ᾱ = 0 (zero terminal SNR) is DDIM's and takes one model call, in all samplers but "ddpm". The method
  itself begins after it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ...typing import Array
from ..schedules import Schedule
from .ancestral import VARIANCES, ddpm
from .common import Callback, Denoiser, Noise
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
    """A sampler with what it declares about itself. Calling it calls its function.

    Parameters
    ----------
    function : callable
        The sampler, such as ``ddim``.
    order : int or None
        Order of convergence of x in the step size of λ, up to the last timestep. None for samplers that add noise.
        Tests measure it.
    calls : callable
        ``calls(schedule)`` is the number of model calls on a schedule; by default one per timestep.

    Examples
    --------
    >>> import modiff_sim as ms
    >>> heun = ms.samplers.SAMPLERS["heun"]
    >>> heun.order, heun.options
    (2, ('clip',))
    >>> heun.calls(ms.schedules.linear().spaced(50))
    99
    """

    function: Callable[..., Array]
    order: int | None
    calls: Callable[[Schedule], int] = len

    def __call__(self, denoiser: Denoiser, x: Array, schedule: Schedule, **options: Any) -> Array:
        """Call the function with the given options and, where they are not given, the schedule's ``defaults``.

        Raises
        ------
        ValueError
            The function has no such option; the message names those it has.
        """
        if unknown := sorted(set(options) - {*self.options, "noise", "callback"}):
            name = self.function.__name__
            raise ValueError(f"{name} has no option {', '.join(unknown)}; known: {', '.join(self.options)}")
        brought = {name: value for name, value in schedule.defaults.items() if name in self.options}
        return self.function(denoiser, x, schedule, **(brought | options))

    @property
    def options(self) -> tuple[str, ...]:
        """The names of the options besides noise and callback."""
        named = inspect.signature(self.function).parameters.values()
        return tuple(p.name for p in named if p.kind is p.KEYWORD_ONLY and p.name not in ("noise", "callback"))


def _steps(schedule: Schedule) -> tuple[int, int]:
    """The number of model calls at ᾱ = 0, and the number of timesteps after them."""
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
