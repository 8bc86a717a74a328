"""What diffusers' schedulers say: levels, timesteps and whole runs as in diffusers; what cannot be done is refused."""

import dataclasses
import inspect

import diffusers
import numpy as np
import pytest
import torch
from models import unet

from modiff_sim.diffusion.samplers import SAMPLERS
from modiff_sim.diffusion.schedules import linear
from modiff_sim.nn import sample, schedulers
from modiff_sim.nn.models.schedulers import FOLLOWED, HARMLESS, KNOWN, SOLVERS, attach, attached, describe, schedule_of
from modiff_sim.nn.models.schedulers import REFUSED as OFF

# diffusers' own: NumPy functions of tensors
pytestmark = pytest.mark.filterwarnings(r"ignore:__array_.*:DeprecationWarning")
SPACINGS = ("leading", "trailing", "linspace")
PREDICTIONS = ("epsilon", "v_prediction", "sample")
#: those that can be made here; DPMSolverSDEScheduler needs a package
MADE = [name for name in KNOWN if name != "DPMSolverSDEScheduler"]
BETAS = {
    "linear": {}, "scaled_linear": {"beta_start": 0.00085, "beta_end": 0.012}, "squaredcos_cap_v2": {},
    "sigmoid": {"beta_start": 1e-4, "beta_end": 0.02}, "laplace": {},
}  # fmt: skip


def close(found, expected):
    """diffusers multiplies up to T float32 factors, and its betas near 1 lose what 1 - beta cancels."""
    np.testing.assert_allclose(found, np.asarray(expected, np.float64), rtol=5e-4, atol=1e-7)


@pytest.mark.parametrize("T", [50, 1000])
@pytest.mark.parametrize("betas", BETAS)
def test_levels_are_those_of_diffusers(betas, T):
    try:
        scheduler = diffusers.DDPMScheduler(beta_schedule=betas, num_train_timesteps=T, **BETAS[betas])
    except NotImplementedError:
        pytest.skip(f"diffusers {diffusers.__version__} has no {betas} schedule")
    close(schedule_of(scheduler).alpha_bar, scheduler.alphas_cumprod)


def test_levels_of_exp_and_of_given_betas():
    scheduler = diffusers.HeunDiscreteScheduler(beta_schedule="exp", num_train_timesteps=40)
    close(schedule_of(scheduler).alpha_bar, scheduler.alphas_cumprod)
    scheduler = diffusers.DDIMScheduler(trained_betas=[0.1, 0.2, 0.3], num_train_timesteps=3)
    np.testing.assert_allclose(schedule_of(scheduler).alpha_bar, [0.9, 0.72, 0.504], rtol=1e-15)
    with pytest.raises(ValueError, match="trained_betas"):
        schedule_of({**scheduler.config, "num_train_timesteps": 4})


def test_the_default_is_linear_to_the_bit():
    assert np.array_equal(schedule_of(diffusers.DDIMScheduler()).alpha_bar, linear().alpha_bar)


@pytest.mark.parametrize("name", MADE)
def test_defaults_of_every_class_are_followed(name):
    scheduler = getattr(diffusers, name)()
    schedule = schedule_of(scheduler)
    close(schedule.alpha_bar, scheduler.alphas_cumprod)
    assert schedule.prediction == "epsilon"
    for config in ({"_class_name": name, "num_train_timesteps": 1000}, {**scheduler.config, "_class_name": name}):
        other = schedule_of(config)
        assert np.array_equal(other.alpha_bar, schedule.alpha_bar)
        assert (other.spacing, other.offset, other.final) == (schedule.spacing, schedule.offset, schedule.final)


#: (class, options); one of the solvers has one spacing
TIMES = [
    (name, {"timestep_spacing": spacing, "steps_offset": offset})
    for name in ("DDIMScheduler", "DDPMScheduler", *SOLVERS)
    if name != "DPMSolverSinglestepScheduler"
    for spacing in SPACINGS
    for offset in (0, 1)
] + [("DPMSolverSinglestepScheduler", {})]


@pytest.mark.parametrize(("name", "options"), TIMES)
@pytest.mark.parametrize("T", [1000, 60])
def test_timesteps_are_those_of_diffusers(name, options, T):
    scheduler = getattr(diffusers, name)(num_train_timesteps=T, **options)
    for n in (1, 3, 7, 20, 50):
        scheduler.set_timesteps(n)
        assert schedule_of(scheduler).spaced(n).timesteps.tolist() == scheduler.timesteps.tolist()


@pytest.mark.parametrize("name", ["EulerDiscreteScheduler", "LMSDiscreteScheduler", "PNDMScheduler"])
@pytest.mark.parametrize("spacing", ["leading", "trailing"])
def test_timesteps_of_schedulers_in_sigma(name, spacing):
    more = {"skip_prk_steps": True} if name == "PNDMScheduler" else {}
    scheduler = getattr(diffusers, name)(timestep_spacing=spacing, steps_offset=1, **more)
    scheduler.set_timesteps(20)
    theirs = sorted({int(t) for t in scheduler.timesteps}, reverse=True)  # PNDM visits its second one twice
    assert schedule_of(scheduler).spaced(20).timesteps.tolist() == theirs


def test_an_offset_beyond_the_last_timestep_is_refused():
    schedule = schedule_of(diffusers.DDIMScheduler(steps_offset=1, num_train_timesteps=20))
    with pytest.raises(ValueError, match=r"offset \(steps_offset\) of 1 begin at t = 20.*take fewer steps"):
        schedule.spaced(20)


# whole runs ---------------------------------------------------------------------------------------------------------


def by_diffusers(scheduler, model, x, steps, **more):
    scheduler.set_timesteps(steps)
    for t in scheduler.timesteps.tolist():
        x = scheduler.step(model(x, t), t, x, **more).prev_sample
    return x.numpy()


def wavy(x, t):
    return 0.6 * x + 0.1 * torch.sin(3 * x + t / 300)


def starts():
    return torch.from_numpy(np.random.default_rng(0).standard_normal((16, 4)))


def differ(name, sampler, steps, **options):
    """Largest difference of a whole run, relative to the largest value: diffusers' coefficients are float32."""
    scheduler = getattr(diffusers, name)(**options)
    expected = by_diffusers(scheduler, wavy, starts(), steps)
    found = SAMPLERS[sampler](wavy, starts(), schedule_of(scheduler).spaced(steps)).numpy()
    return np.abs(found - expected).max() / max(1.0, np.abs(expected).max())


#: 20 steps, whose float32 coefficients differ by up to 5e-4 of a level near ᾱ = 0 (see ``close``), mostly far less
RUN = 1e-4


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("zero", [False, True])
@pytest.mark.parametrize("spacing", ["leading", "trailing"])
@pytest.mark.parametrize("more", [
    {"clip_sample": False}, {"clip_sample": True, "clip_sample_range": 0.7}, {"steps_offset": 1, "clip_sample": False},
    {"set_alpha_to_one": False, "beta_schedule": "scaled_linear"}, {"num_train_timesteps": 100},
], ids=lambda more: next(iter(more)))  # fmt: skip
def test_ddim_is_that_of_diffusers(prediction, zero, spacing, more):
    options = {"prediction_type": prediction, "timestep_spacing": spacing, "rescale_betas_zero_snr": zero, **more}
    if zero and prediction == "epsilon":
        with pytest.raises(ValueError, match=r"rescale_betas_zero_snr=True cannot be followed.*v_prediction or sample"):
            schedule_of(diffusers.DDIMScheduler(**options))
        return
    assert differ("DDIMScheduler", "ddim", 20, **options) <= RUN


@pytest.mark.parametrize("prediction", PREDICTIONS[1:])
@pytest.mark.parametrize("spacing", SPACINGS)
def test_ddpm_visits_the_next_timestep_under_every_spacing(prediction, spacing):
    """The posterior mean; its noise is put at 0 on both sides."""
    scheduler = diffusers.DDPMScheduler(
        prediction_type=prediction, timestep_spacing=spacing, rescale_betas_zero_snr=True, clip_sample=False
    )
    scheduler._get_variance = lambda *_, **__: torch.zeros(())
    expected = by_diffusers(scheduler, wavy, starts(), 13, generator=torch.Generator().manual_seed(0))
    quiet = SAMPLERS["ddpm"](
        wavy, starts(), schedule_of(scheduler).spaced(13), noise=lambda call: torch.zeros(16, 4, dtype=torch.float64)
    )
    assert np.abs(quiet.numpy() - expected).max() <= RUN * np.abs(expected).max()


@pytest.mark.parametrize("name", ["DDIMScheduler", "DDIMParallelScheduler"])
@pytest.mark.parametrize(("more", "steps"), [
    *(({"timestep_spacing": "linspace"}, steps) for steps in (10, 7, 1)),
    ({"timestep_spacing": "linspace", "set_alpha_to_one": False}, 10), ({"timestep_spacing": "trailing"}, 7),
    ({"timestep_spacing": "trailing"}, 33), ({"num_train_timesteps": 100, "steps_offset": 1}, 60),
    ({"num_train_timesteps": 100, "steps_offset": 3}, 33), ({"num_train_timesteps": 100, "steps_offset": 2}, 40),
])  # fmt: skip
def test_ddim_steps_as_far_as_that_of_diffusers(name, more, steps):
    """To t - T//n, which is not the timestep that it visits next: so also the last step, of an offset at least T//n."""
    options = {"prediction_type": "v_prediction", "clip_sample": False, **more}
    assert differ(name, "ddim", steps, **options) <= RUN
    schedule = schedule_of(getattr(diffusers, name)(**options))
    next_ones = dataclasses.replace(schedule, strided=False).spaced(steps)
    if steps > 1:
        assert next_ones.levels() != schedule.spaced(steps).levels()
    for other in ("ddpm", "dpm_solver_2", "dpm_solver_3", "dpm_solver_pp_2m", "euler", "heun", "pndm"):
        runs = [
            SAMPLERS[other](wavy, starts(), s, noise=lambda _: torch.ones(16, 4))
            for s in (schedule.spaced(steps), next_ones)
        ]
        assert torch.equal(*runs)  # go from timestep to timestep


def test_ddim_of_other_spacings_steps_to_the_next_timestep():
    schedule = schedule_of(diffusers.DDIMScheduler())
    assert schedule.strided
    assert schedule.spaced(10).levels() == linear().spaced(10).levels()
    assert schedule.spaced(10, spacing="quad").levels() == linear().spaced(10, spacing="quad").levels()
    assert not schedule_of(diffusers.DDPMScheduler()).strided


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("steps", [3, 7, 20])
def test_plms_steps_as_far_as_that_of_diffusers(spacing, steps):
    assert differ("PNDMScheduler", "plms", steps, skip_prk_steps=True, timestep_spacing=spacing) <= RUN


def test_pndm_ends_where_its_scheduler_ends():
    """Its default is ᾱ_0, not the clean image."""
    assert schedule_of(diffusers.PNDMScheduler()).final == pytest.approx(1 - 1e-4)
    assert differ("PNDMScheduler", "plms", 20, skip_prk_steps=True, steps_offset=1) <= RUN
    assert differ("PNDMScheduler", "plms", 20, skip_prk_steps=True, set_alpha_to_one=True) <= RUN


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("spacing", SPACINGS)
def test_dpm_solver_pp_is_that_of_diffusers(prediction, spacing):
    """Beginning at ᾱ = 4e-5: float32 of x/√ᾱ."""
    options = {"prediction_type": prediction, "timestep_spacing": spacing, "solver_order": 2}
    assert differ("DPMSolverMultistepScheduler", "dpm_solver_pp_2m", 20, **options) <= 1e-3


@pytest.mark.parametrize("name", ["EulerDiscreteScheduler", "DPMSolverMultistepScheduler", "UniPCMultistepScheduler"])
def test_schedulers_in_sigma_have_a_smallest_level_instead_of_zero(name):
    scheduler = getattr(diffusers, name)(rescale_betas_zero_snr=True)
    schedule = schedule_of(scheduler)
    assert schedule.alpha_bar[-1] == float(scheduler.alphas_cumprod[-1]) == 2.0**-24
    close(schedule.alpha_bar[:-2], scheduler.alphas_cumprod[:-2])
    assert schedule.prediction == "epsilon"


def test_variance_and_clipping_are_brought_to_the_samplers_that_have_them():
    schedule = schedule_of(diffusers.DDPMScheduler(variance_type="fixed_large", clip_sample_range=2.0))
    assert schedule.defaults == {"clip": 2.0, "clip_noise": False, "variance": "fixed_large"}
    assert schedule_of(diffusers.DDIMScheduler(clip_sample=False)).defaults == {}
    x, few = np.full((1, 1), 3.0), schedule.spaced(4)
    alike = SAMPLERS["ddim"](lambda x, t: 0 * x, x, few, clip=None)
    assert float(np.abs(SAMPLERS["ddim"](lambda x, t: 0 * x, x, few)).max()) <= 2 < float(np.abs(alike).max())
    assert np.isfinite(SAMPLERS["heun"](lambda x, t: 0 * x, x, few)).all()  # has clip alone


# refused ------------------------------------------------------------------------------------------------------------

REFUSED = [
    (diffusers.FlowMatchEulerDiscreteScheduler, {}, "FlowMatchEulerDiscreteScheduler cannot.*flow matching"),
    (diffusers.EDMEulerScheduler, {}, "EDMEulerScheduler cannot"),
    (diffusers.LCMScheduler, {}, "LCMScheduler cannot"),
    (diffusers.CogVideoXDDIMScheduler, {}, "CogVideoXDDIMScheduler cannot"),
    (diffusers.EulerDiscreteScheduler, {"use_karras_sigmas": True}, "use_karras_sigmas=True"),
    (diffusers.EulerDiscreteScheduler, {"use_exponential_sigmas": True}, "use_exponential_sigmas=True"),
    (diffusers.EulerDiscreteScheduler, {"timestep_type": "continuous"}, "timestep_type='continuous'"),
    (diffusers.EulerDiscreteScheduler, {"sigma_max": 700.0}, "sigma_max=700.0"),
    (diffusers.EulerDiscreteScheduler, {"interpolation_type": "log_linear"}, "interpolation_type='log_linear'"),
    (diffusers.DPMSolverMultistepScheduler, {"use_lu_lambdas": True}, "use_lu_lambdas=True"),
    (diffusers.DPMSolverMultistepScheduler, {"lambda_min_clipped": -5.1}, "lambda_min_clipped=-5.1"),
    (diffusers.UniPCMultistepScheduler, {"prediction_type": "flow_prediction", "use_flow_sigmas": True}, "flow_sigmas"),
    (diffusers.UniPCMultistepScheduler, {"prediction_type": "flow_prediction"}, "prediction_type='flow_prediction'"),
    (diffusers.DDIMScheduler, {"thresholding": True}, "thresholding=True"),
    (diffusers.DDPMScheduler, {"variance_type": "learned_range"}, "variance_type='learned_range'"),
    (diffusers.DDIMScheduler, {"prediction_type": "trajectory"}, "prediction_type='trajectory'"),
]  # fmt: skip


@pytest.mark.parametrize(("cls", "options", "why"), REFUSED, ids=[f"{c.__name__}-{'-'.join(o)}" for c, o, _ in REFUSED])
def test_what_cannot_be_followed_is_refused_by_name(cls, options, why):
    with pytest.raises(ValueError, match=why):
        schedule_of(cls(**options))


@pytest.mark.parametrize("name", KNOWN)
def test_every_option_of_diffusers_is_decided_on(name):
    """A version of diffusers with another option fails here, and until then that option is refused where it is used."""
    options = set(inspect.signature(getattr(diffusers, name).__init__).parameters) - {"self", "args", "kwargs"}
    assert options <= {*FOLLOWED, *HARMLESS, *OFF}


def test_an_option_that_nobody_knows_is_refused_unless_it_has_its_default(monkeypatch):
    class Newer(diffusers.DDIMScheduler):
        def __init__(self, num_train_timesteps=1000, warp=1.0):
            pass

    monkeypatch.setattr(diffusers, "DDIMScheduler", Newer)
    config = {"_class_name": "DDIMScheduler", "num_train_timesteps": 10, "trained_betas": [0.1] * 10,
              "prediction_type": "epsilon"}  # fmt: skip
    with pytest.raises(ValueError, match=r"DDIMScheduler with warp=2\.0 cannot be followed"):
        schedulers._count("DDIMScheduler", {**config, "warp": 2.0})
    assert schedulers._count("DDIMScheduler", {**config, "warp": 1.0}) == 10


@pytest.mark.parametrize(("options", "alike"), [
    ({"solver_order": 3, "solver_type": "heun", "lower_order_final": False, "euler_at_final": True}, True),
    ({"variance_type": "learned_range"}, True), ({"final_sigmas_type": "sigma_min"}, False),
])  # fmt: skip
def test_options_of_the_solver_change_no_schedule(options, alike):
    found, plain = (schedule_of(diffusers.DPMSolverMultistepScheduler(**o)) for o in (options, {}))
    assert np.array_equal(found.alpha_bar, plain.alpha_bar)
    assert ((found.final, found.defaults) == (plain.final, plain.defaults)) == alike


def test_the_noise_follows_the_clipping_in_heuns_alone():
    """Its slope is made from the clipped image."""
    options = {"clip_sample": True, "timestep_spacing": "leading"}
    assert differ("DDIMScheduler", "ddim", 20, **options) <= RUN
    assert schedule_of(diffusers.HeunDiscreteScheduler(**options)).defaults == {"clip": 1.0, "clip_noise": True}


@pytest.mark.parametrize(("config", "why"), [
    ({"num_train_timesteps": "1000"}, "num_train_timesteps='1000'.*integer >= 1; correct it"),
    ({"num_train_timesteps": 1000.0}, r"num_train_timesteps=1000\.0.*integer"),
    ({"steps_offset": 1.5}, r"steps_offset=1\.5.*integer >= 0; correct it"), ({"steps_offset": "1"}, "offset='1'"),
    ({"steps_offset": True}, "steps_offset=True"), ({"steps_offset": -1}, "steps_offset=-1"),
    ({"beta_start": None}, "beta_start=None.*must be a number; correct it"), ({"beta_start": "a"}, "beta_start='a'"),
    ({"beta_end": float("nan")}, "beta_end=nan"), ({"beta_start": -0.1}, "do not lie between 0 and 1"),
    ({"beta_schedule": ["linear"]}, "beta_schedule=.*known are linear"), ({"beta_schedule": "cosine"}, "'cosine'"),
    ({"trained_betas": "x"}, "trained_betas='x'.*list of 1000 numbers"), ({"trained_betas": [["a"]]}, "trained_betas="),
    ({"rescale_betas_zero_snr": "yes"}, "rescale_betas_zero_snr='yes'.*true or false"),
    ({"set_alpha_to_one": 0}, "set_alpha_to_one=0.*true or false"), ({"clip_sample": "no"}, "clip_sample='no'"),
    ({"clip_sample_range": "x"}, "clip_sample_range='x'.*number"), ({"clip_sample_range": -1}, "=-1.*positive"),
    ({"timestep_spacing": ["leading"]}, "timestep_spacing="),
    ({"beta_schedule": "cubic"}, "beta_schedule='cubic'"), ({"timestep_spacing": "even"}, "timestep_spacing='even'"),
    ({"num_train_timesteps": 0}, "num_train_timesteps=0"), ({"beta_end": 2.0}, "do not lie between 0 and 1"),
    ({"_class_name": "MyScheduler"}, "MyScheduler cannot"), ({"_class_name": 3}, "3 is not a scheduler"),
])  # fmt: skip
def test_a_config_that_means_nothing_is_refused(config, why):
    with pytest.raises(ValueError, match=why):
        schedule_of({"_class_name": "DDIMScheduler", **diffusers.DDIMScheduler().config, **config})


def test_what_is_no_scheduler_is_refused():
    with pytest.raises(ValueError, match=r"not the config of a scheduler with betas.*it has: shift"):
        schedule_of({"shift": 3.0})
    with pytest.raises(TypeError, match="scheduler of diffusers or its config, got int"):
        schedule_of(3)

    class Mine(diffusers.DDIMScheduler):
        """May do anything in its step."""

    with pytest.raises(ValueError, match=r"Mine is not a scheduler of diffusers|Mine cannot"):
        schedule_of(Mine())


def test_options_that_the_class_has_not_are_ignored_as_diffusers_ignores_them():
    config = {**diffusers.EulerDiscreteScheduler().config, "_class_name": "EulerDiscreteScheduler"}
    schedule = schedule_of({**config, "clip_sample": True, "set_alpha_to_one": False, "thresholding": True})
    assert (schedule.defaults, schedule.final) == ({}, 1.0)


# in sample ----------------------------------------------------------------------------------------------------------


def test_sample_takes_a_scheduler_and_the_one_noted_on_the_model():
    model, scheduler = unet(), diffusers.DDIMScheduler(prediction_type="v_prediction", num_train_timesteps=60)
    options = {"images": 2, "steps": 5, "batch": 2}
    plain = sample(model, **options)
    found = sample(model, schedule=scheduler, **options)
    noise = torch.from_numpy(
        np.stack(
            [
                np.random.Generator(np.random.PCG64(np.random.SeedSequence(0, spawn_key=(0, i)))).standard_normal(
                    (1, 8, 8), dtype=np.float32
                )
                for i in range(2)
            ]
        )
    )
    with torch.no_grad():
        expected = by_diffusers(scheduler, lambda x, t: model(x, t).sample, noise, 5)
    assert np.abs(found - expected).max() <= RUN
    assert np.abs(plain - expected).max() > 0.1
    attach(model, {**scheduler.config, "_class_name": "DDIMScheduler"})
    assert attached(model)["num_train_timesteps"] == 60
    assert np.array_equal(sample(model, **options), found)
    assert np.array_equal(sample(model, schedule=linear(), **options), plain)
    attach(model, {"_class_name": "FlowMatchEulerDiscreteScheduler"})
    with pytest.raises(ValueError, match="FlowMatchEulerDiscreteScheduler cannot be followed"):
        sample(model, **options)


def test_described_in_words():
    scheduler = diffusers.DDIMScheduler(prediction_type="v_prediction", rescale_betas_zero_snr=True, steps_offset=1)
    assert describe(scheduler) == (
        "v_prediction, linear betas, 1000 training timesteps, spacing uniform, offset 1, each step to t - T//n, zero "
        "terminal SNR, x0 clipped to 1, as its DDIMScheduler says"
    )
    assert "each step to t - T//n" in describe(diffusers.DDIMScheduler(timestep_spacing="linspace"))
    for other in (diffusers.DDIMScheduler(), diffusers.DDPMScheduler(timestep_spacing="linspace")):
        assert "each step" not in describe(other)
