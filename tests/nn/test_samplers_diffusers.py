"""Samplers against the schedulers of diffusers: in float64 to rounding, and as they come to 1e-4."""

import importlib
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch

from modiff_sim.diffusion.samplers import SAMPLERS, common, dpm_solver, dpm_solver_pp, karras
from modiff_sim.diffusion.schedules import linear

pytestmark = [
    # diffusers': NumPy functions of tensors, and a type that it would have us leave
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:`algorithm_types=dpmsolver` is deprecated:FutureWarning"),
]
EPS = np.finfo(np.float64).eps
LINEAR = linear()


def wavy(x, t):
    """A fixed nonlinear denoiser, near enough to a real one to keep |x| of order 1."""
    return math.sqrt(1 - LINEAR.alpha_bar[int(t)]) * x + 0.1 * torch.sin(3 * x)


@dataclass(frozen=True)
class Theirs:
    """A scheduler of diffusers, and how its run lies beside ours."""

    module: str
    name: str
    options: dict[str, Any] = field(default_factory=dict)
    #: given by number of steps, because the scheduler takes no list of timesteps
    by_number: bool = False
    #: denoises x√(1+σ²) instead of x
    scaled: bool = False
    #: ends at ᾱ_0 and not at the clean image: one call less, at t = 0
    stops_at_0: bool = False

    def make(self, schedule, spacing):
        module = importlib.import_module(f"diffusers.schedulers.scheduling_{self.module}")
        options = {"timestep_spacing": SPACING[spacing]} if self.by_number else {}
        if self.scaled:  # the others have these by default
            options |= {"beta_start": 1e-4, "beta_end": 0.02}
        scheduler = getattr(module, self.name)(**options, **self.options)
        if scheduler.betas.dtype == torch.float64:
            scheduler.alphas_cumprod = torch.from_numpy(np.array(schedule.alpha_bar))
        if self.by_number:
            scheduler.set_timesteps(len(schedule))
        else:
            timesteps = schedule.timesteps.tolist()
            scheduler.set_timesteps(timesteps=timesteps[:-1] if self.stops_at_0 else timesteps)
        return scheduler

    def path(self, scheduler, x):
        """x after every call, in our scale."""
        scale = math.sqrt(1 + float(scheduler.sigmas[0]) ** 2) if self.scaled else 1.0
        x, path = scale * x, []
        for t in scheduler.timesteps:
            at = scheduler.scale_model_input(x, t)
            x = scheduler.step(wavy(at, t), t if self.scaled else int(t), x).prev_sample
            after = float(scheduler.sigmas[scheduler.step_index]) if self.scaled else 0.0
            path.append(x / math.sqrt(1 + after**2))
        return path


SPACING = {"uniform": "leading", "trailing": "trailing", "linspace": "linspace"}
SINGLE = ("dpmsolver_singlestep", "DPMSolverSinglestepScheduler")
FORMER = {"algorithm_type": "dpmsolver", "final_sigmas_type": "sigma_min"}
THEIRS = {
    "dpm_solver_2": Theirs(*SINGLE, {"solver_order": 2, **FORMER}, stops_at_0=True),
    "dpm_solver_3": Theirs(*SINGLE, {"solver_order": 3, **FORMER}, stops_at_0=True),
    "dpm_solver_pp_2m": Theirs("dpmsolver_multistep", "DPMSolverMultistepScheduler", {"solver_order": 2}),
    "euler": Theirs("euler_discrete", "EulerDiscreteScheduler", scaled=True),
    "heun": Theirs("heun_discrete", "HeunDiscreteScheduler", scaled=True),
    "plms": Theirs("pndm", "PNDMScheduler", {"skip_prk_steps": True, "set_alpha_to_one": True}, by_number=True),
    "pndm": Theirs("pndm", "PNDMScheduler", {"set_alpha_to_one": True}, by_number=True),
}
#: (steps, spacing): even and odd numbers and all remainders of 3; "quad" where it does not repeat
CASES = [
    (n, spacing)
    for spacing in ("uniform", "trailing", "linspace", "quad")
    for n in (1, 2, 4, 5, 9, 10, 20, 50)
    if spacing != "quad" or n < 20
]


def compares(name, n, spacing):
    """Whether the scheduler runs there at all."""
    theirs = THEIRS[name]
    if theirs.stops_at_0:  # needs t = 0 as the timestep that we have and it has not
        return n > 2 and spacing != "trailing"
    if theirs.by_number:  # assumes that all steps are T // n; Runge-Kutta needs four, and see below
        return (
            spacing in ("uniform", "trailing") and 1000 % n == 0 and (name == "plms" or (n >= 4 and 1000 // n % 2 == 0))
        )
    return True


ALL = [(name, *case) for name in THEIRS for case in CASES if compares(name, *case)]


@pytest.fixture
def in_float64(monkeypatch):
    """In the schedulers' modules float32 is float64: tables, σ and the samples that some of them cast."""

    class Wide:
        def __init__(self, library, float64):
            self.library, self.float32 = library, float64

        def __getattr__(self, name):
            return getattr(self.library, name)

    for name in {theirs.module for theirs in THEIRS.values()}:
        module = importlib.import_module(f"diffusers.schedulers.scheduling_{name}")
        monkeypatch.setattr(module, "torch", Wide(torch, torch.float64))
        monkeypatch.setattr(module, "np", Wide(np, np.float64))


def start():
    return torch.from_numpy(np.random.default_rng(0).standard_normal((16, 4)))


def difference(name, n, spacing):
    """(largest difference after any call, relative to max(1, |x|); ᾱ at the start)."""
    theirs, schedule = THEIRS[name], LINEAR.spaced(n, spacing=spacing)
    expected, found = theirs.path(theirs.make(schedule, spacing), start()), []
    end = SAMPLERS[name](wavy, start(), schedule, callback=lambda call, t, x, x0: found.append(x))
    assert torch.equal(end, found[-1])
    assert len(found) == SAMPLERS[name].calls(schedule) == len(expected) + theirs.stops_at_0
    pairs = zip(found, expected, strict=not theirs.stops_at_0)
    return max(float((a - b).abs().max()) / max(1.0, float(b.abs().max())) for a, b in pairs), schedule.alpha_bar[
        schedule.timesteps[0]
    ]


def tolerance(alpha_bar):
    """About 10 roundings in each of the last 5 calls, the flow forgetting what is before them, and 4 of the first call,
    which divides x by √ᾱ."""
    return (50 + 4 / math.sqrt(alpha_bar)) * EPS


@pytest.mark.usefixtures("in_float64")
@pytest.mark.parametrize(("name", "n", "spacing"), ALL)
def test_equal_in_float64(name, n, spacing):
    found, alpha_bar = difference(name, n, spacing)
    assert found <= tolerance(alpha_bar)


@pytest.mark.parametrize(("name", "n", "spacing"), ALL)
def test_equal_as_they_come(name, n, spacing):
    assert difference(name, n, spacing)[0] <= 1e-4


#: samplers of files whose docstring says so: diffusers has no scheduler of theirs, and their order is what is tested
UNKNOWN_THERE = {name for name, sampler in SAMPLERS.items() if "Not in diffusers." in (sampler.function.__doc__ or "")}


def test_every_sampler_of_diffusers_is_compared():
    assert set(THEIRS) == set(SAMPLERS) - {"ddim", "ddpm"} - UNKNOWN_THERE  # these two: in test_samplers.py
    assert {name for name, _, _ in ALL} == set(THEIRS)


def scaled(function, by):
    return lambda *args: tuple(by * value for value in function(*args))


WRONG = [
    ("dpm_solver_2", dpm_solver, "orders", lambda calls, order: [1] * calls),
    ("dpm_solver_2", dpm_solver, "signal_and_noise", scaled(common.signal_and_noise, 1 + 1e-9)),
    ("dpm_solver_3", dpm_solver, "signal_and_noise", scaled(common.signal_and_noise, 1 + 1e-9)),
    ("dpm_solver_pp_2m", dpm_solver_pp, "signal_and_noise", scaled(common.signal_and_noise, 1 + 1e-9)),
    ("euler", karras, "_ratio", lambda a: (1 + 1e-9) * math.sqrt((1 - a) / a)),
    ("heun", karras, "_ratio", lambda a: (1 + 1e-9) * math.sqrt((1 - a) / a)),
    *(
        (name, "pseudo_numerical", "ADAMS_BASHFORTH", {1: (1.0,), 2: (1.5, -0.5), 3: (23 / 12, -16 / 12, 5 / 12),
                                                       4: (55 / 24, -59 / 24, 37 / 24, -9 / 24 + 1e-9)})
        for name in ("plms", "pndm")
    ),
]  # fmt: skip


@pytest.mark.usefixtures("in_float64")
@pytest.mark.parametrize(("name", "module", "attribute", "wrong"), WRONG, ids=[f"{w[0]}-{w[2]}" for w in WRONG])
def test_a_wrong_coefficient_is_seen(name, module, attribute, wrong, monkeypatch):
    """Negative control: one part in 10⁹."""
    module = importlib.import_module(f"modiff_sim.diffusion.samplers.{module}") if isinstance(module, str) else module
    monkeypatch.setattr(module, attribute, wrong)
    found, alpha_bar = difference(name, 10, "uniform")
    assert found > 10 * tolerance(alpha_bar)


@pytest.mark.usefixtures("in_float64")
def test_halfway_between_timesteps_that_are_an_odd_number_apart():
    """diffusers moves x to the level of t - 12 and tells the model t - 13; ours has both at t - 13: not equal, near."""
    assert 1e4 * tolerance(1e-4) < difference("pndm", 40, "uniform")[0] < 0.1


def test_euler_is_ddim():
    schedule = LINEAR.spaced(50, spacing="quad")
    a, b = SAMPLERS["euler"](wavy, start(), schedule), SAMPLERS["ddim"](wavy, start(), schedule)
    assert float((a - b).abs().max()) <= tolerance(schedule.alpha_bar[schedule.timesteps[0]]) * float(b.abs().max())
