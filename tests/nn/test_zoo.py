"""The model in the package: intact, really trained, and described by its card."""

import json
from importlib.resources import files

import numpy as np
import pytest
import torch

from analysis import metrics
from analysis.datasets import digits
from modiff_sim.diffusion.schedules import linear
from modiff_sim.metrics import frechet_distance
from modiff_sim.nn import image_noise, sample, zoo

DIGITS = metrics.EXTRACTORS["digits"]


@pytest.fixture(scope="module")
def model():
    return zoo.load("digits")


def predict(model):
    def denoiser(x, t):
        with torch.no_grad():
            return model(x, t).sample

    return denoiser


def test_every_model_has_its_three_files_and_is_small():
    for name in zoo.MODELS:
        for ending in ("safetensors", "json", "md"):
            assert files(zoo).joinpath(f"{name}.{ending}").is_file()
        assert len(files(zoo).joinpath(f"{name}.safetensors").read_bytes()) <= 8e6


def test_load_gives_an_eval_model_in_float32_as_the_card_says(model):
    from diffusers import UNet2DModel

    about = zoo.card("digits")
    assert isinstance(model, UNet2DModel)
    assert not any(m.training for m in model.modules())
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert not any(p.requires_grad for p in model.parameters())
    assert sum(p.numel() for p in model.parameters()) == about["parameters"]
    assert {str(p.device) for p in model.parameters()} == {"cpu"}


def test_load_makes_a_new_model_each_time_and_leaves_the_random_state_alone(model):
    before = torch.random.get_rng_state()
    other = zoo.load("digits")
    assert torch.equal(torch.random.get_rng_state(), before)
    with torch.no_grad():
        next(iter(other.parameters())).zero_()
    assert next(iter(model.parameters())).abs().sum() > 0
    assert next(iter(zoo.load("digits").parameters())).abs().sum() > 0


@pytest.mark.parametrize("name", ["cifar10", "", "../digits", "digits.json"])
def test_an_unknown_name_lists_the_known(name):
    for function in (zoo.load, zoo.card):
        with pytest.raises(ValueError, match="known: digits"):
            function(name)


def test_damaged_weights_are_refused(monkeypatch):
    wrong = {**zoo.card("digits"), "sha256": "0" * 64}
    monkeypatch.setattr(zoo, "card", lambda name: wrong)
    with pytest.raises(RuntimeError, match=r"digits\.safetensors is damaged"):
        zoo.load("digits")


def test_its_loss_on_real_digits_is_the_one_it_was_trained_to(model):
    """Loss (14) of Ho et al. on 500 images, timesteps spread evenly. An untrained model has a loss of about 1."""
    images = torch.from_numpy(digits()[0][::4][:500].copy())
    n, alpha_bar = len(images), torch.from_numpy(linear().alpha_bar.copy())
    rng = np.random.default_rng(0)
    t = torch.from_numpy(rng.permutation(n) * 1000 // n)
    eps = torch.from_numpy(rng.standard_normal(images.shape).astype(np.float32))
    a = alpha_bar[t, None, None, None]
    loss = (predict(model)((a.sqrt() * images + (1 - a).sqrt() * eps).float(), t) - eps).square().mean()
    # one pass over 450 images against the mean of the last 1000 training batches: it varies by a few percent,
    # and the weights here are the average, which is a little better
    assert float(loss) == pytest.approx(zoo.card("digits")["training"]["final_loss"], rel=0.15)


def test_its_samples_are_recognised_as_digits(model):
    """20 DDIM steps from 64 noise images; noise itself, the negative control, is not recognised as readily."""
    samples = sample(model, images=64, steps=20, batch=64)
    noise = np.stack([image_noise(0, i).standard_normal((1, 8, 8), dtype=np.float32) for i in range(64)])
    report = DIGITS.report(samples)
    assert report["recognised"] >= 0.8
    assert report["class_entropy"] > 2.8
    real = DIGITS.features(digits()[0])
    distances = [frechet_distance(DIGITS.features(v), real) for v in (samples, noise)]
    assert distances[0] < 0.3 * distances[1]


@pytest.mark.parametrize(
    ("images", "steps", "least"), [(40, 8, 0.4), pytest.param(96, 10, 0.5, marks=pytest.mark.slow)]
)
def test_the_32x32_model_makes_pieces_of_clothing(images, steps, least):
    """Some DDIM steps; noise itself, the negative control, is not recognised as readily. Of 40 images there is no
    Fréchet distance, for which they must be more than features."""
    judge = metrics.Judge("fashion32")
    model = zoo.load("fashion32")
    samples = sample(model, images=images, steps=steps, batch=32)
    noise = np.stack([image_noise(0, i).standard_normal((1, 32, 32), dtype=np.float32) for i in range(images)])
    report, of_noise = judge.extractor.report(samples), judge.extractor.report(noise)
    assert report["recognised"] > least > of_noise["recognised"]
    assert report["class_entropy"] > 2.5
    if images > 64:
        assert judge.frechet(samples).value < 0.2 * judge.frechet(noise).value


def test_the_colour_model_makes_images_like_photographs():
    """Few images and few steps: the mean of their features is near that of CIFAR-10; that of noise is far from it."""
    judge = metrics.Judge("cifar10_small")
    samples = sample(zoo.load("cifar10_small"), images=24, steps=8, batch=24)
    noise = np.stack([image_noise(0, i).standard_normal((3, 32, 32), dtype=np.float32) for i in range(24)])
    real, _ = judge.reference.moments
    far = [np.linalg.norm(judge.extractor.features(v).mean(axis=0) - real) for v in (samples, noise)]
    assert far[0] < 0.6 * far[1]
    # neighbouring pixels are alike, and colours of a pixel too, as in no noise
    for alike in (samples[..., 1:] * samples[..., :-1], samples[:, 0] * samples[:, 1]):
        assert alike.mean() > 0.6 * np.square(samples).mean()


@pytest.mark.parametrize("name", zoo.MODELS)
def test_the_model_card_states_the_measured_numbers(name):
    """The card is prose, the json is written by the measurement: every number in the one is in the other."""
    about = zoo.card(name)
    text = files(zoo).joinpath(f"{name}.md").read_text(encoding="utf-8")
    quality, training = about["quality"], about["training"]
    assert quality["features"] == metrics.of_model(name).name
    stated = [
        about["sha256"],
        about["parameters"],
        *(training[k] for k in ("steps", "batch", "minutes", "steps_per_second", "threads", "final_loss", "ema")),
        *(quality[k] for k in ("frechet", "frechet_first_256", "frechet_real_halves", "frechet_noise")),
        *(quality[k]["recognised"] for k in ("samples", "real_test_part")),
        *quality["nearest_training_image_p1_p50_p99"],
        *quality["real_to_nearest_real_p1_p50_p99"],
        quality["share_nearer_than_p1_of_real"],
        ", ".join(str(n) for n in quality["samples"]["histogram"]),
        quality["features"],
    ]
    missing = [v for v in stated if (f"{v:,}" if isinstance(v, int) else str(v)) not in text]
    assert not missing
    for word in ("CIFAR-10", "LSUN", "never FID"):
        assert word in text
    json.dumps(about)
