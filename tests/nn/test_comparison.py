"""Arms side by side: the numbers are those of the parts, on models, pipelines and functions that sample."""

import inspect

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DDPMPipeline, DDPMScheduler
from models import quiet

import modiff_sim as ms
from modiff_sim.metrics import psnr, relative_l2, ssim
from modiff_sim.nn import Comparison, compare, modulated, sample, zoo
from modiff_sim.nn.comparison.table import COLUMNS, FULL

ARMS = {
    "W8A8": {"activations": "absmax:8", "weights": "absmax:8", "recursion": "direct"},
    "W8A4, MoDiff": {"activations": ms.AbsMax(4), "weights": ms.AbsMax(8)},
}


@pytest.fixture(scope="module")
def model():
    return zoo.load("digits")


@pytest.fixture(scope="module")
def found(model):
    return compare(model, ARMS, images=3, steps=4, batch=3, seed=5)


def test_a_row_is_what_the_parts_give(model, found):
    options = {"images": 3, "steps": 4, "batch": 3, "seed": 5}
    full = sample(model, **options)
    with modulated(model, **ARMS["W8A4, MoDiff"]) as run:
        made = sample(model, run=run, **options)
        total, held = run.audit().summary(), run.state_bytes()
    assert np.array_equal(found.images[FULL], full)
    assert np.array_equal(found.images["W8A4, MoDiff"], made)
    row = found.rows[2]
    assert row["psnr"] == np.median(psnr(made, full))  # of three images
    assert row["ssim"] == np.median(ssim(made, full))
    assert row["relative_l2"] == np.median(relative_l2(made, full))
    assert row["gbops"] == pytest.approx((total["bops"] + 32**2 * total["product_macs"]) / 1e9 / 4 / 3)
    assert row["state_mib"] == pytest.approx(held / 2**20 / 3)
    assert row["total_share"] == total["total_share"]
    assert found.audits["W8A4, MoDiff"].summary() == total


def test_no_image_is_computed_that_was_not_asked_for(model):
    found = compare(model, {"W8A8": ARMS["W8A8"]}, images=3, steps=2)
    assert found.audits["W8A8"].samples == 2 * 3
    assert np.array_equal(found.images[FULL], sample(model, images=3, steps=2, batch=3))


def test_the_median_is_that_of_an_image(model):
    """Four of eight images are equal to full precision's: their PSNR is infinite, and is not averaged with a number."""
    full = sample(model, images=8, steps=2, batch=8)
    made = full.copy()
    made[:4] = 0.9 * made[:4]
    drawn = iter([full, made])
    found = compare(model, {"half": ARMS["W8A8"]}, sample=lambda run: next(drawn))
    values = psnr(made, full)
    assert np.isinf(values).sum() == 4
    row = found.rows[1]
    assert row["psnr"] == max(values[np.isfinite(values)])
    assert row["relative_l2"] == pytest.approx(0.1)
    assert "resemble" not in repr(found)


@pytest.mark.parametrize(
    ("option", "said"),
    [({"steps": 4}, r"DDPMPipeline takes no steps=; here it is num_inference_steps="),
     ({"num_inference_step": 4}, "did you mean 'num_inference_steps'"),
     ({"promt": "x"}, r"takes no promt=; known: batch_size, generator, num_inference_steps"),
     ({"output_type": "pil"}, "output_type= is set by compare"), ({"return_dict": False}, "return_dict= is set by")],
)  # fmt: skip
def test_options_that_a_pipeline_does_not_take_are_refused_first(model, option, said, monkeypatch):
    pipeline = quiet(DDPMPipeline(unet=model, scheduler=DDIMScheduler()))
    monkeypatch.setattr(type(model), "forward", lambda *a, **k: pytest.fail("it was called"))
    with pytest.raises(TypeError, match=said):
        compare(pipeline, ARMS, images=2, **option)


@pytest.mark.parametrize(
    ("option", "said"),
    [({"num_inference_steps": 4}, "sample takes no num_inference_steps=; here it is steps="),
     ({"stepz": 4}, "sample takes no stepz=; did you mean 'steps'"), ({"etaa": 0.5}, "did you mean 'eta'"),
     ({"prompt": "x"}, "here it is conditions=")],
)  # fmt: skip
def test_options_that_sample_does_not_take_are_refused_first(model, option, said, monkeypatch):
    monkeypatch.setattr(type(model), "forward", lambda *a, **k: pytest.fail("it was called"))
    with pytest.raises(TypeError, match=said):
        compare(model, ARMS, images=2, **option)
    with pytest.raises(TypeError, match=said):
        sample(model, images=2, **option)


def test_an_option_of_an_arm_that_modulated_does_not_take(model):
    with pytest.raises(TypeError, match=r"arm 'W4': modulated takes no activation=; did you mean 'activations'"):
        compare(model, {"W4": {"activation": "absmax:4"}})


def test_costs_are_those_of_bits(found):
    full, eight, four = found.rows
    assert (full["arm"], full["relative_bops"], full["total_bits"], full["psnr"]) == (FULL, 1.0, 32.0, np.inf)
    share = found.audits["W8A8"].covered_share  # the rest is attention, which no arm quantizes
    assert 0.99 < share < 1
    assert eight["relative_bops"] == pytest.approx(share * 8 * 8 / 32**2 + 1 - share)  # every call is quantized
    first = (3 * 8 * 4 + 8 * 32) / 4 / 32**2  # the first of four is exact
    assert four["relative_bops"] == pytest.approx(share * first + 1 - share)
    assert eight["total_bits"] == pytest.approx(share * 8 + (1 - share) * 32)
    assert four["total_bits"] == pytest.approx(share * (3 * 4 + 32) / 4 + (1 - share) * 32)
    assert eight["gbops"] / eight["relative_bops"] == pytest.approx(full["gbops"])
    assert eight["state_mib"] == 0 < four["state_mib"]


def test_it_is_a_frame_and_a_table(found):
    frame = found.frame()
    assert frame["arm"].tolist() == [FULL, *ARMS]
    assert set(frame.columns) <= {*COLUMNS, "recursion", "equal"}
    assert all(name in inspect.getdoc(type(found).frame) for name in frame.columns)
    assert frame["recursion"].tolist() == ["full_precision", "direct", "closed_loop"]
    lines = str(found).splitlines()
    assert len(lines) == 4
    assert found.notes == []
    assert len({len(line) for line in lines}) == 1
    assert "PSNR dB" in lines[0]
    assert "kernel" not in lines[0]


def test_it_is_a_table_for_latex(found):
    lines = found.latex(label="tab:mine").splitlines()
    rows = [line for line in lines if line.endswith(r" \\")]
    assert [row.split(" & ")[0] for row in rows] == ["arm", FULL, *ARMS]
    assert {row.count("&") for row in rows} == {9}
    assert [row.split(" & ")[2] for row in rows] == ["PSNR dB", "equal", *(f"{r['psnr']:.1f}" for r in found.rows[1:])]
    assert r"\label{tab:mine}" in lines
    assert r"\caption{Arms against full precision from the same noise, medians over images.}" in lines  # of three
    two = Comparison([row | {"images": 2} for row in found.rows], found.images, found.audits)
    assert "noise, medians over images (of two in the middle, the worse).}" in two.latex()
    assert all("%" not in row.replace(r"\%", "") for row in rows)
    assert r"\caption{100\% of a\_b}" in found.latex(caption="100% of a_b")


def test_a_pipeline_has_its_own_range(model):
    pipeline = quiet(DDPMPipeline(unet=model, scheduler=DDIMScheduler()))
    found = compare(pipeline, ARMS, images=2, num_inference_steps=3, seed=7)
    alone = pipeline(
        batch_size=2, num_inference_steps=3, output_type="np", generator=torch.Generator().manual_seed(7)
    ).images
    assert np.allclose(found.images[FULL], 2 * np.moveaxis(alone, -1, 1) - 1, atol=1e-6)
    assert found.images[FULL].min() < -0.9
    assert found.notes == ["images are in (0, 1) and are compared on (-1, 1), which is what relative l2 is of"]
    assert found.rows[1]["psnr"] > found.rows[2]["psnr"] > 10
    assert found.audits["W8A8"].model_calls == 3


@pytest.fixture
def noisy(model):
    """A pipeline that draws noise at the beginning and at every step."""
    return quiet(DDPMPipeline(unet=model, scheduler=DDPMScheduler()))


@pytest.mark.parametrize("generators", [lambda: torch.Generator().manual_seed(3), lambda: None, lambda: [
    torch.Generator().manual_seed(3), torch.Generator().manual_seed(4)]])  # fmt: skip
def test_every_arm_of_a_pipeline_has_the_same_noise(noisy, generators):
    exact = {"activations": "identity", "recursion": "direct"}
    given, alone = generators(), generators() or torch.Generator().manual_seed(0)
    found = compare(noisy, {"one": exact, "two": exact}, images=2, num_inference_steps=2, generator=given)
    assert [row["psnr"] for row in found.rows] == [np.inf, np.inf, np.inf]
    made = noisy(batch_size=2, num_inference_steps=2, output_type="np", generator=alone).images
    assert np.allclose(found.images[FULL], 2 * np.moveaxis(made, -1, 1) - 1, atol=1e-6)
    if given is not None:  # as after one call of the pipeline
        for mine, its in zip(np.atleast_1d(given), np.atleast_1d(alone), strict=True):
            assert torch.equal(mine.get_state(), its.get_state())


def test_what_is_no_generator_is_refused(noisy):
    with pytest.raises(TypeError, match=r"generator is a torch\.Generator, or a list with one per image; got 3"):
        compare(noisy, {"W8A8": ARMS["W8A8"]}, generator=3)


def plain(model):
    """A sampler of one's own, in two batches."""

    def draw(run=None):
        made = []
        for k in range(2):
            if run is not None:
                run.reset()
            x = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(k))
            with torch.no_grad():
                for _ in range(3):
                    x = x - 0.1 * model(x)
            made.append(x)
        return torch.cat(made).clamp(-1, 1)

    return draw


@pytest.fixture
def small():
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 8, 3, padding=1), torch.nn.SiLU(), torch.nn.Conv2d(8, 1, 3, padding=1)
    ).eval()


def test_a_function_that_samples_is_enough(small):
    draw = plain(small)
    found = compare(small, {"A4": {"activations": "absmax:4"}}, sample=draw)
    assert np.array_equal(found.images[FULL], draw().numpy())
    with modulated(small, activations="absmax:4") as run:
        assert np.array_equal(found.images["A4"], draw(run).numpy())
    assert found.rows[1]["images"] == 4
    once = compare(small, {"A4": {"activations": "absmax:4"}}, sample=lambda: draw())
    assert np.array_equal(once.images[FULL], found.images[FULL])


def test_real_images_and_features_give_a_kernel_distance(small):
    draw, features = plain(small), lambda x: x.reshape(len(x), -1).astype(float)
    real = np.random.default_rng(0).uniform(-1, 1, (5, 1, 8, 8)).astype(np.float32)
    found = compare(small, {"A4": {"activations": "absmax:4"}}, sample=draw, reference=real, features=features)
    for row in found.rows:
        x, y = features(found.images[row["arm"]]), features(real)

        def k(a, b):
            return (a @ b.T / a.shape[1] + 1) ** 3

        apart = ~np.eye(4, dtype=bool)
        expected = k(x, x)[apart].mean() + k(y, y)[~np.eye(5, dtype=bool)].mean() - 2 * k(x, y).mean()
        assert row["kernel_distance"] == pytest.approx(expected)
    for missing in ({"reference": real}, {"features": features}):
        with pytest.raises(ValueError, match="needs both"):
            compare(small, {"A4": {"activations": "absmax:4"}}, sample=draw, **missing)


def test_an_arm_that_cannot_be_is_refused_before_anything_is_sampled(small):
    def draw(run=None):
        raise AssertionError("sampled")

    good = {"A4": {"activations": "absmax:4"}}
    for options, error, said in [
        ({"activations": "absmx:4"}, ValueError, r"arm 'bad': unknown quantizer 'absmx'; .*did you mean 'absmax'"),
        ({"activations": "absmax:4", "where": "9"}, ValueError, "arm 'bad': the pattern '9' fits none"),
        ({"bits": 4}, TypeError, "arm 'bad': .*bits"),
        ("absmax:4", TypeError, "arm 'bad': give options of modulated"),
    ]:
        with pytest.raises(error, match=said):
            compare(small, good | {"bad": options}, sample=draw)
    for arms in ({}, ["A4"], None):
        with pytest.raises(ValueError, match="arms are a mapping"):
            compare(small, arms, sample=draw)
    with pytest.raises(ValueError, match="steps= is for"):
        compare(small, good, sample=draw, steps=3)
    with pytest.raises(TypeError, match="sample is a function"):
        compare(small, good, sample=3)
    with pytest.raises(TypeError, match="expected a diffusers pipeline"):
        compare("digits", good)


def test_images_of_another_range_are_refused(small):
    draw = plain(small)
    with pytest.raises(ValueError, match="the images of full precision"):
        compare(small, {"A4": {"activations": "absmax:4"}}, sample=lambda: 255 * (draw() + 1) // 2)
    same = compare(small, {"A4": {"activations": "absmax:4"}}, sample=lambda: (draw() + 1) / 2, value_range=(0, 1))
    assert np.allclose(same.images[FULL], draw().numpy(), atol=1e-6)
