"""Sampling: an image depends on its own noise and place, not on how many others were asked for."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from models import small, unet
from torch import nn

import modiff_sim as ms
from modiff_sim.nn import image_noise, modulated, sample
from modiff_sim.nn.sample import image_shape


@pytest.fixture(scope="module")
def model():
    torch.set_num_threads(1)
    return unet()


def test_an_image_does_not_depend_on_how_many_are_asked_for(model):
    options = {"steps": 3, "batch": 4}
    whole = sample(model, images=7, **options)
    assert whole.shape == (7, 1, 8, 8)
    assert whole.dtype == np.float32
    assert np.array_equal(sample(model, images=2, **options), whole[:2])
    assert np.array_equal(sample(model, images=[1, 5, 6], **options), whole[[1, 5, 6]])
    with modulated(model, activations=ms.AbsMax(3)) as run:
        arm = sample(model, images=7, run=run, **options)
        assert np.array_equal(sample(model, images=[6], run=run, **options), arm[6:])
    assert not np.array_equal(arm, whole)
    assert run.audit().resets == 2  # before micro-batches 1 and 1 again; the first finds no state


def test_noise_is_drawn_per_image():
    a, b = image_noise(0, 1).standard_normal(4), image_noise(0, 2).standard_normal(4)
    assert not np.array_equal(a, b)
    assert np.array_equal(a, image_noise(0, 1).standard_normal(4))
    assert not np.array_equal(a, image_noise(1, 1).standard_normal(4))
    assert not np.array_equal(a, image_noise(0, 1, stream=1).standard_normal(4))


def test_ddpm_draws_its_noise_per_image(model):
    options = {"sampler": "ddpm", "steps": 3, "batch": 2}
    whole = sample(model, images=4, **options)
    assert np.array_equal(sample(model, images=[3], **options), whole[3:])
    assert not np.array_equal(whole, sample(model, images=4, seed=1, **options))


def test_the_first_call_of_a_micro_batch_is_a_first_call(model):
    """Every micro-batch starts afresh: exact start means one full-precision call in three."""
    with modulated(model, activations=ms.AbsMax(3)) as run:
        sample(model, images=4, steps=3, batch=2, run=run)
    assert run.audit().mac_share == pytest.approx(2 / 3)
    assert run.audit().model_calls == 6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sampler": "leapfrog"}, "known: ddim, ddpm"),
        ({"sampler": "heun", "eta": 0.5}, "heun has no option eta; known: clip"),
        ({"images": 0}, "count >= 1"),
        ({"images": [3, 1]}, "ascending"),
        ({"batch": 0}, "int >= 1"),
        ({"spacing": "odd"}, "known: uniform"),
        ({"steps": 0}, "steps must be"),
    ],
)
def test_bad_arguments(model, options, message):
    with pytest.raises(ValueError, match=message):
        sample(model, **({"images": 1, "steps": 2, "batch": 1} | options))


def test_a_model_without_a_config_needs_a_shape():
    with pytest.raises(ValueError, match="shape="):
        sample(small(), images=1)


@pytest.mark.parametrize("size", ["8", [8], 0, [8, "8"], True, 8.0])
def test_a_config_with_no_size_of_an_image(size):
    model = nn.Conv2d(1, 1, 1)
    model.config = SimpleNamespace(sample_size=size, in_channels=1)
    with pytest.raises(
        ValueError, match=r"Conv2d has sample_size=.*correct its config.json, or pass shape=\(C, H, W\)"
    ):
        image_shape(model)
    model.config.sample_size = [8, 4]
    assert image_shape(model) == (1, 8, 4)


def test_non_finite_images_are_an_error():
    class Broken(torch.nn.Linear):
        def forward(self, x, t):
            return x * float("nan")

    with pytest.raises(ValueError, match="micro-batch 0: sampling gave NaN"):
        sample(Broken(2, 2).eval(), images=1, steps=2, batch=1, shape=(1, 2, 2))


def test_the_active_run_is_found_and_a_foreign_one_refused(model):
    """Without run= the state of one micro-batch would leak into the next."""
    options = {"images": 4, "steps": 3, "batch": 2}
    with modulated(model, activations=ms.AbsMax(3)) as run:
        named = sample(model, run=run, **options)
        assert np.array_equal(sample(model, **options), named)
    with pytest.raises(ValueError, match="not active on this model"):
        sample(model, run=run, **options)


def test_a_model_in_training_mode_is_refused():
    with pytest.raises(ValueError, match=r"model.eval\(\)"):
        sample(unet().train(), images=1, steps=2, batch=1)
