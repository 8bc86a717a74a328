"""What a diffusers scheduler says about sampling, as a ``Schedule``: noise levels, prediction, timesteps, clipping.

    schedule = schedule_of(pipeline.scheduler)         # or its config, or the content of a scheduler_config.json
    sample(model, images=4, steps=20, schedule=schedule)

A scheduler is two things: how the model was trained (betas, number of training timesteps, what it predicts), which
must be followed, and a solver, which ``sampler=`` chooses here. Taken over are the former, the choice of timesteps, the
level after the last one, clipping and DDPM's kind of variance. What cannot be followed is refused: flow matching, EDM,
other σ than those of the betas, thresholding, learned variances.

Three differences remain. diffusers' DDIMScheduler steps to t - T//n, which under "linspace" (and, by one, where
"trailing" rounds) is not the timestep that it visits next; the samplers here step to the next. The schedulers that work
in σ visit fractional timesteps under "linspace", which are rounded here. And its PNDM, for a model that predicts v,
mixes the v of several levels, where "plms" and "pndm" mix their ε̂.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from torch import nn

from ..schedules import PREDICTIONS, FloatArray, Schedule
from .calling import unwrapped

__all__ = ["attach", "attached", "describe", "schedule_of"]

#: schedulers that leave out the last of n + 1 timesteps
SOLVERS = (
    "DEISMultistepScheduler", "DPMSolverMultistepScheduler", "DPMSolverSinglestepScheduler", "SASolverScheduler",
    "UniPCMultistepScheduler",
)  # fmt: skip
#: all that have betas and predict ε, v or x₀
KNOWN = (
    "DDIMParallelScheduler", "DDIMScheduler", "DDPMParallelScheduler", "DDPMScheduler", "DPMSolverSDEScheduler",
    "EulerAncestralDiscreteScheduler", "EulerDiscreteScheduler", "HeunDiscreteScheduler",
    "KDPM2AncestralDiscreteScheduler", "KDPM2DiscreteScheduler", "LMSDiscreteScheduler", "PNDMScheduler", *SOLVERS,
)  # fmt: skip
#: option -> the values under which nothing has to be done; any other is refused
REFUSED: dict[str, tuple[Any, ...]] = {
    "thresholding": (False, None), "use_karras_sigmas": (False, None), "use_exponential_sigmas": (False, None),
    "use_beta_sigmas": (False, None), "use_lu_lambdas": (False, None), "use_flow_sigmas": (False, None),
    "use_dynamic_shifting": (False, None), "shift_terminal": (None,), "timestep_type": ("discrete", None),
    "sigma_min": (None,), "sigma_max": (None,), "lambda_min_clipped": (-math.inf, "-inf", "-Infinity", None),
    "snr_shift_scale": (None,), "shift": (None,), "timestep_scaling": (None,),
    "final_sigmas_type": ("zero", "sigma_min", None),
}  # fmt: skip
#: variances of DDPM -> those of the sampler "ddpm"
VARIANCES = {"fixed_small": "fixed_small", "fixed_small_log": "fixed_small", "fixed_large": "fixed_large"}
#: ᾱ of the last training timestep, where zero terminal SNR would give schedulers in σ an infinite one. It is more than
#: the one before has, which is raised to it here
SMALLEST = 2.0**-24
_ATTACHED = "_modiff_scheduler_config"


def schedule_of(scheduler: Any) -> Schedule:
    """The schedule that a scheduler of diffusers samples by, all training timesteps visited.

    scheduler: an instance, its ``config``, or the content of its ``scheduler_config.json``. Options that are missing
               have the default of the class that ``_class_name`` says. A ``Schedule`` is returned as it is.

    Raises ValueError for what the samplers here cannot follow, naming the scheduler or its option; TypeError for what
    is no scheduler.
    """
    if isinstance(scheduler, Schedule):
        return scheduler
    name, c = _settings(scheduler)
    T, prediction = _count(name, c), c["prediction_type"]
    prediction = "sample" if prediction == "original_sample" else prediction
    if prediction not in PREDICTIONS:
        raise _refusal(name, "prediction_type", c["prediction_type"], f"known are {', '.join(PREDICTIONS)}")
    alpha_bar = np.cumprod(1.0 - _betas(name, c, T), dtype=np.float64)
    if c.get("rescale_betas_zero_snr"):
        alpha_bar = _zero_terminal_snr(alpha_bar)
        if not name.startswith("DD"):
            alpha_bar = np.maximum(alpha_bar, SMALLEST)
        elif prediction == "epsilon":
            raise _refusal(
                name, "rescale_betas_zero_snr", True,
                "with a predicted epsilon the clean image is unknown at the first timestep; such a model has to "
                "predict v_prediction or sample"
            )  # fmt: skip
    ends_early = c.get("set_alpha_to_one") is False or c.get("final_sigmas_type") == "sigma_min"
    return Schedule(
        alpha_bar, np.arange(T)[::-1], prediction=prediction, final=float(alpha_bar[0]) if ends_early else 1.0,
        spacing=_spacing(name, c), offset=int(c.get("steps_offset") or 0), defaults=_defaults(name, c),
    )  # fmt: skip


def describe(scheduler: Any) -> str:
    """In words: what ``schedule_of`` takes from this scheduler. Raises as that does."""
    schedule = schedule_of(scheduler)
    name, c = _settings(scheduler)
    betas = "trained betas" if c.get("trained_betas") is not None else f"{c['beta_schedule']} betas"
    more = [f"offset {schedule.offset}"] if schedule.offset else []
    more += ["zero terminal SNR"] if c.get("rescale_betas_zero_snr") else []
    more += [f"x0 clipped to {schedule.defaults['clip']:g}"] if "clip" in schedule.defaults else []
    more += [f"ending at alpha_bar {schedule.final:g}"] if schedule.final < 1 else []
    return ", ".join(
        [f"{schedule.prediction}, {betas}, {schedule.T} training timesteps, spacing {schedule.spacing}", *more]
    ) + f", as its {name} says"  # fmt: skip


def attach(model: nn.Module, config: Mapping[str, Any] | None) -> None:
    """Note on a model which scheduler it came with; ``sample`` finds it there."""
    if config is not None:
        setattr(unwrapped(model), _ATTACHED, dict(config))


def attached(model: nn.Module) -> dict[str, Any] | None:
    """The config of the scheduler that a model came with, if one was noted."""
    found: dict[str, Any] | None = vars(unwrapped(model)).get(_ATTACHED)
    return found


def _settings(scheduler: Any) -> tuple[str, dict[str, Any]]:
    """(class, all its options)"""
    import diffusers

    config = scheduler if isinstance(scheduler, Mapping) else getattr(scheduler, "config", None)
    if not isinstance(config, Mapping):
        raise TypeError(f"expected a scheduler of diffusers or its config, got {type(scheduler).__name__}")
    given = {k: v for k, v in config.items() if not k.startswith("_")}
    own = None if config is scheduler else type(scheduler).__name__
    name = str(own or config.get("_class_name") or "DDIMScheduler")
    if name.endswith("Scheduler") and name not in KNOWN:
        raise ValueError(
            f"{name} cannot be followed here: known are schedulers with betas (DDIM, DDPM, PNDM, DPM-Solver, UniPC, "
            "DEIS, SA-Solver, Euler, Heun, KDPM2, LMS), not flow matching, EDM, consistency or others; pass schedule=, "
            "if the model is one of betas all the same"
        )
    if name not in KNOWN or not isinstance(cls := getattr(diffusers, name, None), type):
        raise ValueError(f"{name} is no scheduler of diffusers that is known here; known: {', '.join(KNOWN)}")
    if own is None and "_class_name" not in config:
        if "num_train_timesteps" not in given or not {"beta_schedule", "trained_betas", "beta_start"} & set(given):
            raise ValueError(
                "this is no config of a scheduler with betas, which would name num_train_timesteps and beta_schedule; "
                f"it has: {', '.join(map(str, list(given)[:6])) or 'nothing'}"
            )
        return name, _defaults_of(cls) | given
    known = _defaults_of(cls)
    if not known:  # a stand-in for a class whose package is not here, which takes anything
        known = _defaults_of(diffusers.KDPM2DiscreteScheduler) | given
    return name, known | {k: v for k, v in given.items() if k in known}  # diffusers ignores all others, too


def _defaults_of(cls: Any) -> dict[str, Any]:
    named = inspect.signature(cls.__init__).parameters.values()
    return {p.name: p.default for p in named if p.default is not p.empty}


def _refusal(name: str, option: str, value: Any, why: str) -> ValueError:
    return ValueError(f"{name} with {option}={value!r} cannot be followed here: {why}")


def _count(name: str, c: Mapping[str, Any]) -> int:
    """The number of training timesteps, once all refused options are known to be off."""
    for option, harmless in REFUSED.items():
        if option in c and c[option] not in harmless:
            raise _refusal(
                name, option, c[option],
                "the samplers take their noise levels from the betas and clip x0 by a constant or not at all"
            )  # fmt: skip
    T = c["num_train_timesteps"]
    if isinstance(T, bool) or not isinstance(T, int) or T < 1:
        raise _refusal(name, "num_train_timesteps", T, "it must be an integer >= 1")
    return T


def _betas(name: str, c: Mapping[str, Any], T: int) -> FloatArray:
    """β_t of the training, float64 (T,)."""
    if c.get("trained_betas") is not None:
        betas = np.asarray(c["trained_betas"], dtype=np.float64)
        if betas.shape != (T,):
            raise _refusal(name, "trained_betas", f"array of shape {betas.shape}", f"num_train_timesteps is {T}")
    else:
        kind, first, last = c["beta_schedule"], c["beta_start"], c["beta_end"]
        if kind not in BETAS:
            raise _refusal(name, "beta_schedule", kind, f"known are {', '.join(BETAS)}")
        betas = BETAS[kind](first, last, T)
    if not (np.all(betas > 0) and np.all(betas < 1)):
        raise _refusal(name, "beta_schedule", c.get("beta_schedule"), "its betas do not lie between 0 and 1")
    return betas


def _of_alpha_bar(level: Callable[[float], float], T: int) -> FloatArray:
    """β of a function of t/T (Nichol and Dhariwal 2021, section 3.2), at most 0.999."""
    return np.array([min(1 - level((i + 1) / T) / level(i / T), 0.999) for i in range(T)])


def _laplace(u: float) -> float:
    snr = math.exp(-0.5 * math.copysign(1, 0.5 - u) * math.log(1 - 2 * abs(0.5 - u) + 1e-6))
    return math.sqrt(snr / (1 + snr))


def _sigmoid(first: float, last: float, T: int) -> FloatArray:
    return 1.0 / (1.0 + np.exp(-np.linspace(-6.0, 6.0, T))) * (last - first) + first


#: beta_schedule -> (beta_start, beta_end, T) -> β
BETAS: dict[str, Callable[[float, float, int], FloatArray]] = {
    "linear": lambda first, last, T: np.linspace(first, last, T),
    "scaled_linear": lambda first, last, T: np.linspace(first**0.5, last**0.5, T) ** 2,
    "squaredcos_cap_v2": lambda _, __, T: _of_alpha_bar(lambda u: math.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2, T),
    "sigmoid": _sigmoid,
    "exp": lambda _, __, T: _of_alpha_bar(lambda u: math.exp(-12.0 * u), T),
    "laplace": lambda _, __, T: _of_alpha_bar(_laplace, T),
}


def _zero_terminal_snr(alpha_bar: FloatArray) -> FloatArray:
    """√ᾱ shifted and scaled so that the last is 0 and the first as it was (Lin et al. 2023, algorithm 1)."""
    root = np.sqrt(alpha_bar)
    first, last = root[0], root[-1]
    if root.size == 1:
        raise ValueError("rescale_betas_zero_snr needs at least two training timesteps")
    return np.asarray(((root - last) * (first / (first - last))) ** 2)


def _spacing(name: str, c: Mapping[str, Any]) -> str:
    theirs = c.get("timestep_spacing") or ("linspace" if name in SOLVERS else "leading")
    inner = "_above_0" if name in SOLVERS else ""
    names = {"leading": f"uniform{inner}", "trailing": "trailing", "linspace": f"linspace{inner}"}
    if theirs not in names:
        raise _refusal(name, "timestep_spacing", theirs, f"known are {', '.join(names)}")
    return names[theirs]


def _defaults(name: str, c: Mapping[str, Any]) -> dict[str, Any]:
    """Options of the samplers: clipping and the variance of DDPM."""
    out: dict[str, Any] = {}
    if c.get("clip_sample"):
        limit = c.get("clip_sample_range")
        # DDIM's next x is made from the noise as predicted, unless its step is told otherwise
        out |= {"clip": 1.0 if limit is None else float(limit), "clip_noise": False}
    if name.startswith("DDPM") and (variance := c.get("variance_type")) is not None:
        if variance not in VARIANCES:
            raise _refusal(
                name, "variance_type", variance,
                f"known are {', '.join(VARIANCES)}; sample with one of these by changing the config"
            )  # fmt: skip
        out["variance"] = VARIANCES[variance]
    return out
