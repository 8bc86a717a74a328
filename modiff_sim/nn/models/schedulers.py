"""What a diffusers scheduler says about sampling, as a ``Schedule``: noise levels, prediction, timesteps, clipping.

    schedule = schedule_of(pipeline.scheduler)         # or its config, or the content of a scheduler_config.json
    sample(model, images=4, batch=4, steps=20, schedule=schedule)

A scheduler is two things: how the model was trained (betas, number of training timesteps, what it predicts), which
must be followed, and a solver, which ``sampler=`` chooses here. Taken over are the former, the choice of timesteps, the
level after a step and after the last one, clipping, and DDPM's kind of variance. What cannot be followed is refused:
flow matching, EDM, σ other than those of the betas, thresholding, learned variances, and any option that is neither
followed (``FOLLOWED``) nor a matter of the solver (``HARMLESS``) and has another value than its class's default.

diffusers' DDIM and PNDM step to t - T//n. Under "linspace" (and, by one, where "trailing" rounds) that is not the
timestep which they visit next. Such a schedule is ``strided``, and "ddim" and "plms" do the same on it.

Three differences remain. The schedulers that work in σ visit fractional timesteps under "linspace", which are rounded
here. PNDM, for a model that predicts v, mixes the v of several levels, where "plms" and "pndm" mix their ε̂. And
"pndm", whose Runge-Kutta steps lie between timesteps, always steps to the next timestep.

Examples
--------
>>> from modiff_sim.nn import schedulers
>>> config = {"_class_name": "DDIMScheduler", "beta_schedule": "scaled_linear", "clip_sample": False}
>>> schedulers.describe(config)
'epsilon, scaled_linear betas, 1000 training timesteps, spacing uniform, as its DDIMScheduler says'
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np
from torch import nn

from ...diffusion.schedules import PREDICTIONS, FloatArray, Schedule
from ..hooks.calling import unwrapped

__all__ = ["attach", "attached", "describe", "schedule_of"]

#: schedulers that leave out the last of n + 1 timesteps
SOLVERS = (
    "DEISMultistepScheduler", "DPMSolverMultistepScheduler", "DPMSolverSinglestepScheduler", "SASolverScheduler",
    "UniPCMultistepScheduler",
)  # fmt: skip
#: all schedulers that have betas and predict ε, v or x₀
KNOWN = (
    "DDIMParallelScheduler", "DDIMScheduler", "DDPMParallelScheduler", "DDPMScheduler", "DPMSolverSDEScheduler",
    "EulerAncestralDiscreteScheduler", "EulerDiscreteScheduler", "HeunDiscreteScheduler",
    "KDPM2AncestralDiscreteScheduler", "KDPM2DiscreteScheduler", "LMSDiscreteScheduler", "PNDMScheduler", *SOLVERS,
)  # fmt: skip
#: option -> the values that need no action; any other value is refused
REFUSED: dict[str, tuple[Any, ...]] = {
    "thresholding": (False, None), "use_karras_sigmas": (False, None), "use_exponential_sigmas": (False, None),
    "use_beta_sigmas": (False, None), "use_lu_lambdas": (False, None), "use_flow_sigmas": (False, None),
    "use_dynamic_shifting": (False, None), "shift_terminal": (None,), "timestep_type": ("discrete", None),
    "sigma_min": (None,), "sigma_max": (None,), "lambda_min_clipped": (-math.inf, "-inf", "-Infinity", None),
    "snr_shift_scale": (None,), "shift": (None,), "timestep_scaling": (None,),
    "interpolation_type": ("linear", None),
}  # fmt: skip
#: options that are taken over
FOLLOWED = frozenset({
    "num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "trained_betas", "prediction_type",
    "timestep_spacing", "steps_offset", "rescale_betas_zero_snr", "set_alpha_to_one", "final_sigmas_type",
    "clip_sample", "clip_sample_range", "variance_type",
})  # fmt: skip
#: options of a solver, which ``sampler=`` replaces, and options that only matter together with a refused one
HARMLESS = frozenset({
    "algorithm_type", "corrector_order", "disable_corrector", "euler_at_final", "lower_order_final",
    "noise_sampler_seed", "predict_x0", "predictor_order", "skip_prk_steps", "solver_order", "solver_p", "solver_type",
    "tau_func", "dynamic_thresholding_ratio", "sample_max_value", "flow_shift", "time_shift_type",
})  # fmt: skip
#: prefixes of the schedulers whose steps go to t - T//n; (spacing, offset) under which that makes no difference
STRIDING, EVEN = ("DDIM", "PNDM"), ("uniform", 0)
#: variances of DDPM -> those of the sampler "ddpm"
VARIANCES = {"fixed_small": "fixed_small", "fixed_small_log": "fixed_small", "fixed_large": "fixed_large"}
#: ᾱ of the last training timestep where zero terminal SNR would give schedulers in σ an infinite σ. It is
#: larger than ᾱ of the timestep before, which is raised to it here
SMALLEST = 2.0**-24
_ATTACHED = "_modiff_scheduler_config"


def schedule_of(scheduler: Any) -> Schedule:
    """The schedule that a scheduler of diffusers samples by, with all training timesteps visited.

    Parameters
    ----------
    scheduler : Any
        A scheduler of diffusers, its ``config``, or the content of its ``scheduler_config.json``. Missing options have
        the default of the class that ``_class_name`` says. A ``Schedule`` is returned as it is.

    Returns
    -------
    Schedule
        For ``sample(schedule=...)``.

    Raises
    ------
    ValueError
        For what the samplers here cannot follow, naming the scheduler or its option.
    TypeError
        For what is not a scheduler.
    """
    if isinstance(scheduler, Schedule):
        return scheduler
    name, c = _settings(scheduler)
    T, prediction = _count(name, c), c["prediction_type"]
    prediction = "sample" if prediction == "original_sample" else prediction
    if prediction not in PREDICTIONS:
        raise _refusal(name, "prediction_type", c["prediction_type"], f"known are {', '.join(PREDICTIONS)}")
    zero = _flag(name, c, "rescale_betas_zero_snr")
    alpha_bar = np.cumprod(1.0 - _betas(name, c, T), dtype=np.float64)
    if zero:
        alpha_bar = _zero_terminal_snr(alpha_bar)
        if not name.startswith("DD"):
            alpha_bar = np.maximum(alpha_bar, SMALLEST)
        elif prediction == "epsilon":
            why = (
                "with a predicted epsilon the clean image is unknown at the first timestep; such a model has to "
                "predict v_prediction or sample"
            )
            raise _refusal(name, "rescale_betas_zero_snr", True, why)
    if (last := c.get("final_sigmas_type")) not in ("zero", "sigma_min", None):
        raise _refusal(name, "final_sigmas_type", last, "known are zero, sigma_min")
    ends_early = last == "sigma_min" or ("set_alpha_to_one" in c and not _flag(name, c, "set_alpha_to_one"))
    return Schedule(
        alpha_bar,
        np.arange(T)[::-1],
        prediction=prediction,
        final=float(alpha_bar[0]) if ends_early else 1.0,
        spacing=_spacing(name, c),
        offset=_offset(name, c),
        strided=name.startswith(STRIDING),
        defaults=_defaults(name, c),
    )


def describe(scheduler: Any) -> str:
    """What ``schedule_of`` takes from this scheduler, in words.

    Parameters
    ----------
    scheduler : Any
        See ``schedule_of``.

    Raises
    ------
    ValueError, TypeError
        As ``schedule_of``.
    """
    schedule = schedule_of(scheduler)
    name, c = _settings(scheduler)
    betas = "trained betas" if c.get("trained_betas") is not None else f"{c['beta_schedule']} betas"
    more = [f"offset {schedule.offset}"] if schedule.offset else []
    # evenly spaced timesteps lie a stride apart as they are
    more += ["each step to t - T//n"] if schedule.strided and (schedule.spacing, schedule.offset) != EVEN else []
    more += ["zero terminal SNR"] if c.get("rescale_betas_zero_snr") else []
    more += [f"x0 clipped to {schedule.defaults['clip']:g}"] if "clip" in schedule.defaults else []
    more += [f"ending at alpha_bar {schedule.final:g}"] if schedule.final < 1 else []
    usual = f"{schedule.prediction}, {betas}, {schedule.T} training timesteps, spacing {schedule.spacing}"
    return ", ".join([usual, *more, f"as its {name} says"])


def attach(model: nn.Module, config: Mapping[str, Any] | None) -> None:
    """Note on a model which scheduler it came with; ``sample`` finds it there.

    Parameters
    ----------
    model : torch.nn.Module
        The model.
    config : mapping of str to Any, optional
        Config of the scheduler, with ``_class_name``; None notes nothing.
    """
    if config is not None:
        setattr(unwrapped(model), _ATTACHED, dict(config))


def attached(model: nn.Module) -> dict[str, Any] | None:
    """The config of the scheduler that a model came with, or None where none was noted.

    Parameters
    ----------
    model : torch.nn.Module
        The model.
    """
    found: dict[str, Any] | None = vars(unwrapped(model)).get(_ATTACHED)
    return found


def _settings(scheduler: Any) -> tuple[str, dict[str, Any]]:
    """The class of the scheduler, and all its options."""
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
        raise ValueError(f"{name} is not a scheduler of diffusers that is known here; known: {', '.join(KNOWN)}")
    if own is None and "_class_name" not in config:
        if "num_train_timesteps" not in given or not {"beta_schedule", "trained_betas", "beta_start"} & set(given):
            raise ValueError(
                "this is not the config of a scheduler with betas, which names num_train_timesteps and beta_schedule; "
                f"it has: {', '.join(map(str, list(given)[:6])) or 'nothing'}"
            )
        return name, _defaults_of(cls) | given
    known = _defaults_of(cls)
    if not known:  # diffusers' stand-in for a class whose package is not installed takes any options
        known = _defaults_of(diffusers.KDPM2DiscreteScheduler) | given
    return name, known | {k: v for k, v in given.items() if k in known}  # diffusers ignores all others as well


def _defaults_of(cls: Any) -> dict[str, Any]:
    named = inspect.signature(cls.__init__).parameters.values()
    return {p.name: p.default for p in named if p.default is not p.empty}


def _refusal(name: str, option: str, value: Any, why: str) -> ValueError:
    return ValueError(f"{name} with {option}={value!r} cannot be followed here: {why}")


def _count(name: str, c: Mapping[str, Any]) -> int:
    """The number of training timesteps, once all options that are not followed are known to be off."""
    import diffusers

    off = {option: (value,) for option, value in _defaults_of(getattr(diffusers, name)).items()} | REFUSED
    for option in (x for x in c if x in off and x not in FOLLOWED | HARMLESS):
        if c[option] not in off[option]:
            why = "the samplers take their noise levels from the betas and clip x0 by a constant or not at all"
            raise _refusal(name, option, c[option], why)
    return _whole(name, "num_train_timesteps", c["num_train_timesteps"], 1)


def _whole(name: str, option: str, value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise _refusal(name, option, value, f"it must be an integer >= {least}; correct it in the scheduler's config")
    return int(value)


def _number(name: str, option: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise _refusal(name, option, value, "it must be a number; correct it in the scheduler's config")
    return float(value)


def _flag(name: str, c: Mapping[str, Any], option: str) -> bool:
    value = c.get(option)
    if value is not None and not isinstance(value, bool):
        raise _refusal(name, option, value, "it must be true or false; correct it in the scheduler's config")
    return bool(value)


def _offset(name: str, c: Mapping[str, Any]) -> int:
    return 0 if c.get("steps_offset") is None else _whole(name, "steps_offset", c["steps_offset"], 0)


def _betas(name: str, c: Mapping[str, Any], T: int) -> FloatArray:
    """β_t of the training, float64 (T,)."""
    if c.get("trained_betas") is not None:
        try:
            betas = np.asarray(c["trained_betas"], dtype=np.float64)
        except (TypeError, ValueError):
            raise _refusal(name, "trained_betas", c["trained_betas"], f"it must be a list of {T} numbers") from None
        if betas.shape != (T,):
            raise _refusal(name, "trained_betas", f"array of shape {betas.shape}", f"num_train_timesteps is {T}")
    else:
        kind = c["beta_schedule"]
        if kind not in list(BETAS):
            raise _refusal(name, "beta_schedule", kind, f"known are {', '.join(BETAS)}")
        first, last = (_number(name, x, c[x]) if kind in RISING else 0.5 for x in ("beta_start", "beta_end"))
        if not (0 < first < 1 and 0 < last < 1):
            raise _refusal(name, "beta_schedule", kind, f"its betas, {first} to {last}, do not lie between 0 and 1")
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
#: those that go from beta_start to beta_end; the others are functions of t alone
RISING = ("linear", "scaled_linear", "sigmoid")


def _zero_terminal_snr(alpha_bar: FloatArray) -> FloatArray:
    """√ᾱ shifted and scaled so that the last is 0 and the first is unchanged (Lin et al. 2023, algorithm 1)."""
    root = np.sqrt(alpha_bar)
    first, last = root[0], root[-1]
    if root.size == 1:
        raise ValueError("rescale_betas_zero_snr needs at least two training timesteps")
    return np.asarray(((root - last) * (first / (first - last))) ** 2)


def _spacing(name: str, c: Mapping[str, Any]) -> str:
    theirs = c.get("timestep_spacing") or ("linspace" if name in SOLVERS else "leading")
    inner = "_above_0" if name in SOLVERS else ""
    names = {"leading": f"uniform{inner}", "trailing": "trailing", "linspace": f"linspace{inner}"}
    if theirs not in list(names):
        raise _refusal(name, "timestep_spacing", theirs, f"known are {', '.join(names)}")
    return names[theirs]


def _defaults(name: str, c: Mapping[str, Any]) -> dict[str, Any]:
    """Options of the samplers: clipping and the variance of DDPM."""
    out: dict[str, Any] = {}
    if _flag(name, c, "clip_sample"):
        limit = 1.0 if c.get("clip_sample_range") is None else c["clip_sample_range"]
        if not _number(name, "clip_sample_range", limit) > 0:
            raise _refusal(
                name, "clip_sample_range", limit, "it must be positive; correct it in the scheduler's config"
            )
        # by default, DDIM makes its next x from the noise as predicted, and Heun does not
        out |= {"clip": float(limit), "clip_noise": not name.startswith("DD")}
    if name.startswith("DDPM") and (variance := c.get("variance_type")) is not None:
        if variance not in list(VARIANCES):
            why = f"known are {', '.join(VARIANCES)}; sample with one of these by changing the config"
            raise _refusal(name, "variance_type", variance, why)
        out["variance"] = VARIANCES[variance]
    return out
