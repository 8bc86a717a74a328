"""Every sampler in a model, and schedulers of diffusers inside ``modulated``."""

import numpy as np
import pytest
import torch
from models import shallow

import modiff_sim as ms
from modiff_sim.diffusion.samplers import SAMPLERS
from modiff_sim.diffusion.schedules import linear
from modiff_sim.nn import modulated, sample, zoo
from modiff_sim.nn.sampling import denoiser

STEPS = 5
T = {"num_train_timesteps": 1000, "beta_start": 1e-4, "beta_end": 0.02}


@pytest.fixture(scope="module")
def model():
    torch.set_num_threads(1)
    return shallow()


@pytest.fixture(scope="module")
def digits():
    torch.set_num_threads(1)
    return zoo.load("digits")


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_an_image_does_not_depend_on_how_many_are_asked_for(model, sampler):
    options = {"sampler": sampler, "steps": STEPS, "batch": 2}
    whole = sample(model, images=4, **options)
    assert np.array_equal(sample(model, images=[3], **options), whole[3:])
    calls = SAMPLERS[sampler].calls(linear().spaced(STEPS))
    with modulated(model, activations=ms.AbsMax(4)) as run:
        arm = sample(model, images=4, run=run, **options)
        # every micro-batch starts afresh, with one call in full precision
        assert run.audit().model_calls == 2 * calls
        assert run.audit().mac_share == pytest.approx((calls - 1) / calls)
        assert run.audit().resets == 1
        assert np.array_equal(sample(model, images=[3], run=run, **options), arm[3:])
    assert not np.array_equal(arm, whole)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_identity_arm_is_full_precision(model, sampler):
    """The closed loop of a quantizer that changes nothing: what is left is float32, over at most 15 calls."""
    options = {"sampler": sampler, "steps": STEPS, "batch": 2, "images": 2}
    whole = sample(model, **options)
    with modulated(model, activations=ms.Identity()):
        assert np.abs(sample(model, **options) - whole).max() <= 1e-4 * np.abs(whole).max()


def noise(generator):
    return torch.randn((2, 1, 8, 8), generator=generator)


def by_scheduler(name, model, **options):
    """x after the loop of diffusers' documentation, on noise from seed 0."""
    import diffusers

    generator = torch.Generator().manual_seed(0)
    scheduler = getattr(diffusers, name)(**T, **options)
    scheduler.set_timesteps(STEPS)
    x = noise(generator) * scheduler.init_noise_sigma
    with torch.inference_mode():
        for t in scheduler.timesteps:
            eps = model(scheduler.scale_model_input(x, t), t).sample
            drawn = {"generator": generator} if name == "DDPMScheduler" else {}
            x = scheduler.step(eps, t, x, **drawn).prev_sample
    return x


#: scheduler -> its options, our sampler, our spacing
PAIRS = {
    "DPMSolverMultistepScheduler": ({"timestep_spacing": "trailing"}, "dpm_solver_pp_2m", "trailing"),
    "DDPMScheduler": ({"clip_sample": False}, "ddpm", "uniform"),
}


def by_sampler(model, sampler, spacing):
    generator = torch.Generator().manual_seed(0)
    start = noise(generator)
    with torch.inference_mode():
        return SAMPLERS[sampler](
            denoiser(model), start, linear().spaced(STEPS, spacing=spacing), noise=lambda call: noise(generator)
        )


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")
@pytest.mark.parametrize("name", PAIRS)
def test_a_scheduler_of_diffusers_inside_modulated(digits, name):
    options, sampler, spacing = PAIRS[name]
    full = by_sampler(digits, sampler, spacing)
    scale = float(full.abs().max())
    # in full precision they differ by the float32 of the scheduler's tables
    assert float((by_scheduler(name, digits, **options) - full).abs().max()) <= 1e-4 * scale
    with modulated(digits, activations=ms.Identity()):
        assert float((by_scheduler(name, digits, **options) - full).abs().max()) <= 1e-4 * scale
    # quantized, such a difference grows to grid steps: what holds is what was counted
    audits = []
    for run_it in (lambda: by_scheduler(name, digits, **options), lambda: by_sampler(digits, sampler, spacing)):
        with modulated(digits, activations=ms.AbsMax(6)) as run:
            x = run_it()
            audits.append(run.audit())
        assert 1e-4 * scale < float((x - full).abs().max()) < scale
    assert [audit.model_calls for audit in audits] == [STEPS, STEPS]
    assert [audit.mac_share for audit in audits] == pytest.approx([(STEPS - 1) / STEPS] * 2)
