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

A new sampler is a new file with a dictionary ``SAMPLERS`` (see docs/extending.md).
"""

from __future__ import annotations

from ...registry import entries
from ...typing import Array
from .ancestral import VARIANCES, ddpm
from .common import Callback, Denoiser, Noise, Sampler
from .dpm_solver import dpm_solver_2, dpm_solver_3
from .dpm_solver_pp import dpm_solver_pp_2m
from .implicit import ddim
from .karras import euler, heun
from .pseudo_numerical import plms, pndm

__all__ = [
    "SAMPLERS", "VARIANCES", "Array", "Callback", "Denoiser", "Noise", "Sampler", "ddim", "ddpm", "dpm_solver_2",
    "dpm_solver_3", "dpm_solver_pp_2m", "euler", "heun", "plms", "pndm",
]  # fmt: skip

#: the order of tables; a sampler that is not named here follows by name
ORDER = ("ddim", "ddpm", "dpm_solver_2", "dpm_solver_3", "dpm_solver_pp_2m", "euler", "heun", "plms", "pndm")

#: name -> sampler, from the dictionaries of this name in the files. `nn.sample`, the CLI, the tables and the tests read
#: it.
SAMPLERS: dict[str, Sampler] = entries(__name__, "SAMPLERS")
