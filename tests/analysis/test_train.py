"""Training: the same bytes again and after an interruption, nothing overwritten by mistake, and it learns."""

import copy
import dataclasses
import hashlib
import itertools
import json
import math

import numpy as np
import pytest
import safetensors.torch
import torch

from analysis import train as command
from analysis.datasets import DATASETS, load
from analysis.sampling import pictures
from analysis.training import loop
from analysis.training.loop import Settings, Training
from analysis.training.recipes import RECIPES

TINY = Settings(steps=6, batch=4, warmup=2, seed=1)
#: the digits model with few channels
UNET = RECIPES["digits"].config | {"block_out_channels": [8, 16], "norm_num_groups": 4, "attention_head_dim": 8}


def train_digits(out, settings, **options):
    return loop.train("digits", UNET, load("digits"), settings, out, loop.Course(**options))


def digits_run(settings):
    return Training(UNET, load("digits"), settings)


@pytest.fixture(autouse=True)
def _keep_threads():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    return train_digits(tmp_path_factory.mktemp("digits"), TINY).read_bytes()


# the diffusion model -------------------------------------------------------------------------------------------


def test_learning_rate_rises_to_its_peak_and_falls_to_zero():
    s = Settings(steps=100, warmup=10, lr=2.0)
    rates = [s.lr_at(i) for i in range(101)]
    assert rates[:10] == pytest.approx([0.2 * (i + 1) for i in range(10)])
    assert rates[10] == 2.0
    assert rates[55] == pytest.approx(1.0)
    assert rates[100] == pytest.approx(0.0, abs=1e-12)
    assert all(a > b for a, b in itertools.pairwise(rates[10:]))


@pytest.mark.parametrize("bad", [{"steps": 0}, {"batch": -1}, {"threads": 0}])
def test_settings_refuse(bad):
    ((name, value),) = bad.items()
    with pytest.raises(ValueError, match=f"^{name} must be at least 1, got {value}$"):
        Settings(**bad)


def test_a_killed_run_resumes_to_the_same_bytes(tmp_path, monkeypatch, uninterrupted):
    one_step, killed = Training.one_step, []

    def killed_in_step_4(run):
        if run.step == 4 and not killed:
            killed.append(True)
            raise KeyboardInterrupt
        one_step(run)

    monkeypatch.setattr(Training, "one_step", killed_in_step_4)
    with pytest.raises(KeyboardInterrupt):
        train_digits(tmp_path, TINY, save_every=0.0)
    assert not (tmp_path / "digits.safetensors").exists()
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["step"] == 4
    torch.manual_seed(99)  # the global random state plays no part
    assert train_digits(tmp_path, TINY, resume=True).read_bytes() == uninterrupted
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoint.pt", "digits.json", "digits.safetensors"]


def test_out_of_time_leaves_a_checkpoint_that_finishes_to_the_same_bytes(tmp_path, uninterrupted):
    sittings = 0
    while train_digits(tmp_path, TINY, minutes=0.0, resume=True) is None:
        sittings += 1
    assert sittings == 5  # one step each; the last sitting finishes
    assert (tmp_path / "digits.safetensors").read_bytes() == uninterrupted


def test_lost_checkpoint_goes_on_from_the_averaged_weights(tmp_path):
    assert train_digits(tmp_path / "first", TINY, minutes=0.0, stored=torch.float16) is None
    weights = tmp_path / "first" / "digits.safetensors"
    assert json.loads(weights.with_suffix(".json").read_text(encoding="utf-8"))["training"]["steps_done"] == 1
    on = digits_run(TINY)
    on.begin_from(weights)
    assert on.step == 1
    for name, value in safetensors.torch.load_file(weights).items():
        assert torch.equal(on.ema[name], value.float())
        assert torch.equal(on.model.state_dict()[name], value.float())
    first = on.batch()[2]
    assert not torch.equal(first, digits_run(TINY).batch()[2])  # not the images that were seen already
    done = train_digits(tmp_path / "second", TINY, begin_from=weights)
    about = json.loads(done.with_suffix(".json").read_text(encoding="utf-8"))["training"]
    assert (about["steps_done"], about["begun_from"]["step"]) == (6, 1)


def test_weights_of_another_run_are_not_begun_from(tmp_path):
    train_digits(tmp_path, TINY, minutes=0.0)
    weights = tmp_path / "digits.safetensors"
    other = Training(UNET | {"block_out_channels": [32, 32]}, load("digits"), TINY)
    with pytest.raises(ValueError, match="another network"):
        other.begin_from(weights)
    weights.write_bytes(weights.read_bytes() + b" ")
    with pytest.raises(ValueError, match="is not the file"):
        digits_run(TINY).begin_from(weights)
    weights.with_suffix(".json").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"digits\.json does not exist, the manifest that belongs to .*safetensors"
    ):
        digits_run(TINY).begin_from(weights)


def test_the_json_describes_the_weights(tmp_path):
    weights = train_digits(tmp_path, Settings(steps=1, batch=2))
    about = json.loads((tmp_path / "digits.json").read_text(encoding="utf-8"))
    assert about["sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert about["config"] == UNET
    assert about["training"]["images_seen"] == 2
    assert weights.stat().st_size < 4e6


def test_another_seed_gives_other_weights(tmp_path, uninterrupted):
    other = train_digits(tmp_path, Settings(steps=6, batch=4, warmup=2, seed=2))
    assert other.read_bytes() != uninterrupted


def test_a_run_is_not_overwritten_or_resumed_with_other_settings(tmp_path, capsys):
    train_digits(tmp_path, Settings(steps=2, batch=2), minutes=0.0)
    before = (tmp_path / "checkpoint.pt").read_bytes()
    with pytest.raises(FileExistsError, match="--resume"):
        train_digits(tmp_path, Settings(steps=2, batch=2))
    with pytest.raises(SystemExit, match="2"):  # the command says so without a traceback
        command.main(["digits", "--steps", "2", "--out", str(tmp_path)])
    assert "--resume" in capsys.readouterr().err
    with pytest.raises(ValueError, match="was made with"):
        train_digits(tmp_path, Settings(steps=3, batch=2), resume=True)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoint.pt", "digits.json", "digits.safetensors"]


def test_a_loss_that_is_not_finite_stops_the_run():
    run = digits_run(TINY)
    run.data[:] = math.nan
    with pytest.raises(FloatingPointError, match="step 0"):
        run.one_step()


def test_it_learns_and_the_average_follows_the_weights():
    run = digits_run(Settings(steps=30, batch=8, warmup=5, lr=2e-3, ema=0.9))
    expected = copy.deepcopy(run.ema)
    for step in range(30):
        run.one_step()
        decay = min(0.9, (1 + step) / (10 + step))
        for name, value in run.model.state_dict().items():
            expected[name] = decay * expected[name] + (1 - decay) * value
    assert np.mean(run.losses[-10:]) < 0.6 * np.mean(run.losses[:5])
    for name, value in run.ema.items():
        # one rounding of each of two terms per step, in a sum with weights that forget
        torch.testing.assert_close(value, expected[name], rtol=0, atol=20 * 2**-23 * float(value.abs().max()))


# the command, progress, pictures ------------------------------------------------------------------------------


def test_progress_is_plain_lines_off_a_terminal(capsys):
    assert list(loop.progress(2, 5, lambda: "loss 1")) == [2, 3, 4]
    assert capsys.readouterr().err == "step 5/5 loss 1\n"


def test_pictures_of_samples_do_not_touch_the_training(tmp_path, uninterrupted):
    assert train_digits(tmp_path, TINY, grid_every=3).read_bytes() == uninterrupted
    assert (tmp_path / "samples-000003.png").is_file()
    assert (tmp_path / "samples-000006.png").is_file()


def test_a_picture_that_fails_does_not_end_the_run(tmp_path, monkeypatch, caplog, uninterrupted):
    def failing(images, path, *_args):
        raise ValueError("images contain NaN or Inf")

    monkeypatch.setattr(loop, "save_grid", failing)
    assert train_digits(tmp_path, TINY, grid_every=3, save_every=0.0).read_bytes() == uninterrupted
    assert (tmp_path / "checkpoint.pt").is_file()
    assert [r.getMessage() for r in caplog.records] == [
        f"step {step}: no picture {tmp_path / f'samples-00000{step}.png'} of samples: images contain NaN or Inf"
        for step in (3, 6)
    ]
    assert not list(tmp_path.glob("*.png"))


def test_other_data_or_another_network_are_not_resumed(tmp_path):
    settings, on = Settings(steps=2, batch=2), loop.Course(resume=True)
    train_digits(tmp_path, settings, minutes=0.0)
    data = load("digits")
    fewer = dataclasses.replace(data, images=data.images[:9], sha256="other")
    with pytest.raises(ValueError, match="made with data"):
        loop.train("digits", UNET, fewer, settings, tmp_path, on)
    with pytest.raises(ValueError, match="made with config"):
        loop.train("digits", UNET | {"act_fn": "gelu"}, data, settings, tmp_path, on)


def test_a_network_of_another_shape_is_refused():
    with pytest.raises(ValueError, match="the network takes"):
        Training(RECIPES["fashion32"].config, load("digits"), TINY)


@pytest.mark.parametrize("precision", ["bfloat16", "tf32"])
def test_other_precisions_keep_the_weights_in_float32(precision):
    run = digits_run(dataclasses.replace(TINY, precision=precision))
    plain = digits_run(TINY)
    for each in (run, plain):
        each.one_step()
        each.one_step()
    assert {v.dtype for v in run.ema.values()} == {torch.float32}
    # a layer in bfloat16 has 8 bits of precision: the loss is near, and only tf32 on a CPU is the same
    assert (run.losses == plain.losses) is (precision == "tf32")
    assert run.losses == pytest.approx(plain.losses, rel=0.02)


def test_flips_mirror_about_half_of_the_images():
    run = digits_run(Settings(batch=64, flips=True))
    marked = torch.zeros_like(run.data)
    marked[..., 0] = 1.0
    run.data = marked
    x, t, eps = run.batch()
    image = (x - run.noise[t, None, None, None] * eps) / run.signal[t, None, None, None]
    mirrored = image[..., -1].mean(dim=(1, 2)) > image[..., 0].mean(dim=(1, 2))
    # 64 fair coins: outside of 16..48 once in 10^4
    assert 16 <= int(mirrored.sum()) <= 48


def test_weights_are_stored_in_the_dtype_of_the_recipe(tmp_path):
    weights = train_digits(tmp_path, Settings(steps=1, batch=2), stored=torch.bfloat16)
    assert {v.dtype for v in safetensors.torch.load_file(weights).values()} == {torch.bfloat16}
    assert json.loads((tmp_path / "digits.json").read_text(encoding="utf-8"))["dtype"] == "bfloat16"


def test_every_recipe_fits_its_data_set_and_its_size_limit():
    from diffusers import UNet2DModel

    for recipe in RECIPES.values():
        wanted = DATASETS[recipe.data]
        assert (recipe.config["in_channels"], recipe.config["sample_size"]) == (wanted.channels, wanted.side)
        with torch.device("meta"):
            parameters = sum(p.numel() for p in UNet2DModel(**recipe.config).parameters())
        assert parameters * recipe.stored.itemsize < (32e6 if recipe.settings.device == "cuda" else 8e6)


def test_the_command_says_what_is_missing(tmp_path, capsys):
    for arguments, said in (
        (["fashion32"], "needs --data"),
        (["fashion32", "--data", str(tmp_path)], "found no idx files"),
        (["digits", "--data", "x"], "take no path"),
        (["digits", "--steps", "0"], "error: argument --steps: must be at least 1, got 0\n"),
        (["digits", "--begin-from", str(tmp_path / "w.safetensors")], "w.safetensors does not exist\n"),
        (["fashion32", "--data", str(tmp_path / "nowhere")], "nowhere does not exist\n"),
    ):
        with pytest.raises(SystemExit):
            command.main([*arguments, "--out", str(tmp_path / "run")])
        assert said in capsys.readouterr().err
    if not torch.cuda.is_available():
        with pytest.raises(SystemExit):
            command.main(["cifar10", "--out", str(tmp_path / "run")])
        assert "--device cpu" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_it_trains_on_a_gpu(tmp_path):
    settings = dataclasses.replace(TINY, device="cuda", precision="bfloat16", flips=True)
    a, b = (train_digits(tmp_path / name, settings, grid_every=3).read_bytes() for name in "ab")
    assert len(a) == len(b)


def test_tiles_lie_row_by_row_and_are_cut_to_white_and_black():
    images = np.stack([np.full((1, 2, 3), v, np.float32) for v in (-2.0, 0.0, 2.0)])
    made = pictures.tiles(images, columns=2)
    assert made.shape == (5, 7, 1)
    assert made[0, 0, 0] == 0
    assert made[0, 4, 0] == 128  # 127.5 rounded to even
    assert made[3, 0, 0] == 255
    assert made[0, 3, 0] == made[2, 0, 0] == made[4, 6, 0] == 255  # gaps, and the place of no image
    for bad in (images[:0], images[:, 0], np.zeros((1, 2, 4, 4))):
        with pytest.raises(ValueError, match="images must be"):
            pictures.tiles(bad)
    for columns, said in (
        (0, "at least 1, got 0"),
        (2.5, r"a whole number, got 2\.5"),
        ("2", "a whole number, got '2'"),
    ):
        with pytest.raises(ValueError, match=f"columns must be {said}"):
            pictures.tiles(images, columns=columns)
    assert np.array_equal(pictures.tiles(images, columns=np.int64(2)), made)
