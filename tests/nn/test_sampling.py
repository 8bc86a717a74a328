"""Sampling: an image depends on its own noise and place, not on how many others were asked for."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from models import shallow, small
from torch import nn

import modiff_sim as ms
from modiff_sim.nn import image_noise, modulated, record, sample
from modiff_sim.nn.batching import BATCH, fitting, micro_batches
from modiff_sim.nn.models.inputs import image_shape


@pytest.fixture(scope="module")
def model():
    torch.set_num_threads(1)
    return shallow()


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


def test_images_that_nobody_wants_are_said_to_be_computed(model):
    """Only where the size of the micro-batch was not chosen."""
    said = r"of 128 images, in micro-batches of 128, 3 are wanted; batch=3 would compute fewer"
    with record(model, "absmax:4") as log:
        with pytest.warns(UserWarning, match=said):
            sample(model, images=3, steps=2, on_batch=[log.reset])
        assert "128 samples" in repr(log)
    with record(model, "absmax:4") as log:
        sample(model, images=3, batch=3, steps=2, on_batch=[log.reset])
        assert "3 samples" in repr(log)
    for batch in (3, 4, 128):
        assert len(sample(model, images=3, batch=batch, steps=1)) == 3  # no warning
    assert len(sample(model, images=128, steps=1)) == 128


@pytest.mark.parametrize("images", [1, 4, 127, 128, 129, 200, 256, 300])
def test_a_fitting_size_computes_few_images_more(images):
    batch = fitting(images)
    computed = batch * len(micro_batches(range(images), batch))
    assert batch <= BATCH
    assert images <= computed < images + -(-images // BATCH)


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
        sample(shallow().train(), images=1, steps=2, batch=1)


class Embedded(nn.Module):
    """Its first argument is a condition. What comes out depends on every argument."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 3, padding=1)
        self.requires_grad_(False).eval()

    def at(self, emb, x, t):
        assert emb.shape == (len(x), 1)
        return 0.1 * self.conv(x) + 0.2 * emb[:, :, None, None] + t / 10_000


class First(Embedded):
    def forward(self, emb, x, t):
        return self.at(emb, x, t[:, None, None, None])


class Second(Embedded):
    def forward(self, x, t, emb):
        return self.at(emb, x, t[:, None, None, None])


class Number(Embedded):
    def forward(self, t: int, emb, image, more=None):
        assert isinstance(t, int)
        return self.at(emb, image, t)


class Keyword(Embedded):
    def forward(self, emb, image, more=None, *, timestep):
        return self.at(emb, image, timestep[:, None, None, None])


def same_weights(cls):
    torch.manual_seed(0)
    return cls()


@pytest.mark.parametrize("cls", [First, Number, Keyword])
def test_a_condition_may_be_the_first_argument(cls):
    options = {"images": 3, "steps": 3, "batch": 3, "shape": (1, 4, 4), "conditions": {"emb": torch.randn(3, 1)}}
    expected = sample(same_weights(Second), **options)
    model = same_weights(cls)
    assert np.array_equal(sample(model, **options), expected)
    with modulated(model, activations=ms.Identity(), recursion="direct") as run:
        assert np.allclose(sample(model, run=run, **options), expected, atol=1e-6)


def test_where_the_image_cannot_be_told_the_error_says_what_to_do():
    class Two(Embedded):
        def forward(self, emb, mask, x, t):
            return x

    class All(Embedded):
        def forward(self, x, t):
            return x

    options = {"images": 1, "steps": 2, "batch": 1, "shape": (1, 4, 4)}
    for model, name in ((Two(), "emb"), (All(), "x")):
        with pytest.raises(ValueError, match=rf"conditions: '{name}' is where {type(model).__name__}.forward .* wrap"):
            sample(model, conditions={name: torch.zeros(1, 1)}, **options)


def test_conditions_have_a_row_per_image_or_per_position():
    model, rows = same_weights(Second), torch.tensor([[1.0], [-1.0], [0.5]])

    def made(images, rows, batch=8):
        return sample(model, images=images, steps=3, batch=batch, shape=(1, 4, 4), conditions={"emb": rows})

    alone = np.concatenate([made([i], rows[i : i + 1]) for i in range(3)])
    assert np.allclose(made(3, rows), alone, atol=1e-6)
    assert np.allclose(made([0, 1, 2], rows), alone, atol=1e-6)
    assert np.array_equal(made(3, rows), made(3, rows[torch.arange(8) % 3]))  # what the other positions get
    assert np.array_equal(made(3, rows, 3), made([0, 1, 2], rows, 3))  # a row per image is a row per position


@pytest.mark.parametrize(
    ("images", "rows", "allowed"),
    [
        (3, (2, 1), r"shape \(2, 1\) has 2 rows; allowed are 1 .*, 3 \(one per image\), 8 \(one per sample of the"),
        ([1, 4], (2, 1), r"2 rows; allowed are 1 \(one for all\), 8 \(one per sample of the micro-batch\)$"),
        (9, (9, 1), r"9 rows; allowed are 1 \(one for all\), 8 \(one per sample of the micro-batch\)$"),
        (1, (), r"shape \(\) has no rows; allowed are 1 \(one for all\), 8"),
    ],
)
def test_other_numbers_of_rows_are_refused_with_those_that_are_allowed(images, rows, allowed):
    with pytest.raises(ValueError, match=allowed):
        sample(Second(), images=images, steps=2, batch=8, shape=(1, 4, 4), conditions={"emb": torch.zeros(rows)})
