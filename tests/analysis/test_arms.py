"""Every arm of the table on the zoo's model and on a diffusers folder: what the row says must be what was done."""

import importlib
import json
from dataclasses import replace
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
from models import unet

from analysis import sample as sample_command
from analysis.experiments import arm_table, arms
from analysis.sampling import micro_batch
from analysis.sampling.subjects import subject
from modiff_sim import Verdict
from modiff_sim.evidence import judge
from modiff_sim.nn import mse_optimal, sample, zoo

STEPS = 4
#: label -> (share of MACs on quantized values, share skipped) after 4 steps; 3/4 where the first call is exact
EXPECTED = {
    "full precision": (0.0, 0.0),
    "W8A32": (0.0, 0.0),
    "W8A8 direct": (1.0, 0.0),
    "W8A4 direct": (1.0, 0.0),
    "reuse every 3": (2 / 4, 2 / 4),  # calls 0 and 3 are computed
    "official_feb_2025, W8A4": (3 / 4, 0.0),
    "official_june_2025, W8A4": (0.0, 0.0),
    "paper, W8A4": (1.0, 0.0),
}


#: what runs on the larger models every time: arms made from the model itself, and those whose bit operations are
#: counted; the others are in the long tail there, since the smallest model has all of them
LARGE = ("W8A32", "W8A8 direct", "W8A4 direct", "W8A4 closed loop", "W8A4 closed, grid-aligned int8 â",
         "DeepCache every 3, W8A4 closed")  # fmt: skip


@cache
def setting_of(model):
    return arm_table.Setting(
        subject(model), images=2, steps=STEPS, batch=2, calibration_images=2, adaround_iterations=2
    )


@cache
def row_of(model, label):
    """The row of an arm, for all tests that ask for it; scales of 4-bit weights are among 16 and not 128."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arm_table, "mse_optimal", lambda bits: replace(mse_optimal(bits), candidates=16))
        return arm_table.row(setting_of(model), label)


def marks(model, label):
    return [pytest.mark.slow] if model != "digits" and label not in LARGE else []


@pytest.mark.parametrize(
    ("model", "label"),
    [
        pytest.param(model, label, id=f"{model}-{label}", marks=marks(model, label))
        for model in zoo.MODELS
        for label in arm_table.ARMS
    ],
)
def test_every_arm_on_every_model_of_the_zoo(model, label):
    row = row_of(model, label)
    assert "problem" not in row
    share, skipped = EXPECTED.get(label, (3 / 4, None))
    if "DeepCache" not in label:
        assert row["mac_share"] == pytest.approx(share, abs=0.001 if "attention" in label else 1e-9)
    if skipped is not None:
        assert row["skipped_share"] == pytest.approx(skipped)
    if "skip" not in label:  # a threshold may find nothing to skip in four calls
        assert (row["skipped_share"] > 0) == any(word in label for word in ("reuse", "DeepCache"))
    has_state = share == 3 / 4 or "reuse" in label or "DeepCache" in label or label.startswith("paper")
    assert (row["cache_mib"] > 0) == (has_state or label.startswith("official_june"))
    if label == "full precision":
        assert row["sqnr"] == np.inf
    else:
        assert (-40 if model == "cifar10_small" else -20) < row["sqnr"] < 80
    assert row["unsupported"] == []
    assert arm_table.line(row, 40, judged=False).startswith(label)


@pytest.mark.parametrize("model", zoo.MODELS)
def test_bops_of_an_arm_are_macs_times_bits(model):
    full, eight, four = (row_of(model, label)["gbops"] for label in ("W8A32", "W8A8 direct", "W8A4 direct"))
    assert full == pytest.approx(4 * eight)
    assert eight == pytest.approx(2 * four)
    closed = row_of(model, "W8A4 closed loop")["gbops"]
    assert closed == pytest.approx(full / 4 + four * 3 / 4)  # the first of four calls in full precision


def test_the_same_command_takes_a_diffusers_folder(tmp_path, capsys):
    unet().save_pretrained(tmp_path / "mine")
    rows = tmp_path / "rows.json"
    options = ["--images", "2", "--steps", "3", "--json", str(rows)]
    assert arm_table.main(["--model", str(tmp_path / "mine"), "--arms", "W8A4 open*", *options]) == 0
    printed = capsys.readouterr().out
    assert "UNet2DModel" in printed
    assert "Fréchet  " not in printed
    assert [r["arm"] for r in json.loads(rows.read_text(encoding="utf-8"))] == ["W8A4 open loop"]


def pipeline_folder(tmp_path, scheduler):
    from diffusers import DDIMPipeline

    DDIMPipeline(unet(), scheduler).save_pretrained(tmp_path / "pipe")
    return str(tmp_path / "pipe")


def test_a_folder_is_sampled_as_its_scheduler_says(tmp_path, capsys):
    from diffusers import DDIMScheduler

    scheduler = DDIMScheduler(prediction_type="v_prediction", num_train_timesteps=100, timestep_spacing="trailing")
    folder = pipeline_folder(tmp_path, scheduler)
    rows = tmp_path / "rows.json"
    options = ["--images", "2", "--steps", "3", "--arms", "W8A4 direct", "--json", str(rows)]
    assert arm_table.main(["--model", folder, *options]) == 0
    printed = capsys.readouterr().out
    assert "DDIM 3 steps (trailing)" in printed
    assert "sampled by v_prediction, linear betas, 100 training timesteps, spacing trailing" in printed
    assert json.loads(rows.read_text(encoding="utf-8"))[0]["schedule"]["prediction"] == "v_prediction"
    about = subject(folder)
    found = about.sample(2, steps=3, batch=2)
    assert np.array_equal(found, sample(about.model, schedule=scheduler, images=2, steps=3, batch=2))
    assert np.array_equal(arm_table.Setting(about, images=2, steps=3, batch=2).full, found)
    assert arm_table.main(["--model", folder, "--images", "2", "--steps", "200"]) == 2
    assert "1 .. 100 (the training timesteps)" in capsys.readouterr().err


def test_a_bare_model_says_by_what_it_is_sampled(tmp_path, capsys):
    unet().save_pretrained(tmp_path)
    assert arm_table.main(["--model", str(tmp_path), "--images", "2", "--steps", "3", "--arms", "W8A4 direct"]) == 0
    printed = capsys.readouterr().out
    assert "no scheduler came with it: it is sampled as predicting noise, with linear betas and 1000" in printed
    assert "(quad)" in printed
    assert subject(str(tmp_path)).key() == subject("digits").key() == {}


@pytest.mark.parametrize("command", ["arms", "sample"])
@pytest.mark.parametrize(
    "options", [{"thresholding": True}, {"rescale_betas_zero_snr": True}], ids=lambda options: next(iter(options))
)
def test_a_scheduler_that_cannot_be_followed_ends_the_command(command, options, tmp_path, capsys):
    from diffusers import DDIMScheduler

    folder = pipeline_folder(tmp_path, DDIMScheduler(**options))
    if command == "arms":
        code = arm_table.main(["--model", folder, "--images", "2", "--steps", "3"])
    else:
        with pytest.raises(SystemExit) as stop:
            sample_command.main(["--model", folder, "--images", "2", "--out", str(tmp_path / "out")])
        code = stop.value.code
    assert code == 2
    assert f"DDIMScheduler with {next(iter(options))}=True cannot be followed" in capsys.readouterr().err


def test_stored_images_depend_on_the_scheduler(tmp_path, capsys):
    from diffusers import DDIMScheduler

    points = []
    for prediction in ("v_prediction", "sample"):
        folder = pipeline_folder(tmp_path, DDIMScheduler(prediction_type=prediction, num_train_timesteps=50))
        micro_batch._loaded.cache_clear()
        plan = micro_batch.BatchPlan(folder, arms.Arm(), images=2, batch=2, steps=3)
        assert plan.spacing == "uniform"
        points += plan.points()
    assert points[0]["schedule"]["prediction"] == "v_prediction"
    assert {k for k in points[0] if points[0][k] != points[1][k]} == {"schedule"}
    out = tmp_path / "out"
    options = ["--images", "2", "--batch", "2", "--steps", "3", "--device", "cpu", "--out", str(out)]
    assert sample_command.main(["--model", folder, *options]) == 0
    assert "sampled by sample, linear betas, 50 training timesteps" in capsys.readouterr().out
    with np.load(out / "images.npz") as file:
        assert np.array_equal(file["images"], subject(folder).sample(2, steps=3, batch=2))
    assert micro_batch.BatchPlan("digits", arms.Arm()).spacing == "quad"
    assert "schedule" not in micro_batch.BatchPlan("digits", arms.Arm(), images=2).points()[0]


def test_stored_images_depend_on_where_a_step_ends(tmp_path):
    """DDIM and DDPM of diffusers with the same options end their steps at different levels."""
    from diffusers import DDIMScheduler, DDPMPipeline, DDPMScheduler

    keys = []
    for cls in (DDIMScheduler, DDPMScheduler):
        DDPMPipeline(unet(), cls(timestep_spacing="linspace", clip_sample=False)).save_pretrained(
            tmp_path / cls.__name__
        )
        keys.append(subject(str(tmp_path / cls.__name__)).key())
    assert keys[0]["schedule"]["strided"]
    assert "strided" not in keys[1]["schedule"]


def test_a_conditional_model_gets_a_fixed_condition(tmp_path, capsys):
    from diffusers import UNet2DConditionModel

    UNet2DConditionModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        layers_per_block=1,
        block_out_channels=(8, 16),
        norm_num_groups=4,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=8,
        attention_head_dim=4,
    ).save_pretrained(tmp_path)
    options = ["--images", "2", "--steps", "3", "--model", str(tmp_path)]
    assert arm_table.main([*options, "--arms", "W8A4 closed loop"]) == 0
    assert "fixed random conditions, so the images depict nothing: encoder_hidden_states" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "/nowhere/at/all"], "not a local folder"),
        (["--arms", "nothing"], "--list prints the names"),
        (["--images", "0"], "must be at least 1"),
    ],
)
def test_bad_arguments_say_what_to_do(arguments, message, capsys, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    try:
        code = arm_table.main(arguments)
    except SystemExit as stop:
        code = stop.code
    assert code == 2
    assert message in capsys.readouterr().err


def test_list_names_every_arm(capsys):
    assert arm_table.main(["--list"]) == 0
    assert capsys.readouterr().out.splitlines() == list(arm_table.ARMS)
    assert arms.FULL.label in arm_table.ARMS


@pytest.fixture(scope="module")
def few_steps():
    """What claims on states take for their setting: 8 images of 6 steps, with every arm sampled once."""
    small = arm_table.Setting(subject("digits"), images=8, steps=6, batch=8)
    runs = {label: small.run(arm_table.ARMS[label](small)) for label in ("W8A4 closed loop", "W8A3 closed loop")}
    made = SimpleNamespace(full=small.full, steps=small.steps, spacing=small.spacing, run=runs.__getitem__)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arm_table, "Setting", lambda about, images, batch: made if images == 8 else None)
        patch.setattr(arm_table, "ARMS", {label: lambda setting, label=label: label for label in runs})
        yield


@pytest.mark.parametrize("name", ["rounded_states_digits", "aligned_states_digits"])
def test_claims_on_states_follow_the_images(few_steps, name):
    """The 3-bit loop in their place loses more than a bit; the loop itself loses nothing."""
    claim = importlib.import_module(f"paper_checks.cost.{name}")
    for label, found in (("W8A4 closed loop", Verdict.HOLDS), ("W8A3 closed loop", Verdict.VIOLATED)):
        assert judge(claim.CLAIM, claim.check("quick", arms=(label,), images=8)).verdict == found


def test_the_loss_of_an_arm_is_paired_by_image(monkeypatch):
    """Images differ by tens of dB and the arms by 3 dB in each: resampled together, the interval is that number."""
    import torch

    from paper_checks.cost import _states

    levels = np.random.default_rng(1).uniform(10, 60, 32)
    found = {_states.BASE: levels, "worse": levels - 3.0, "other images": np.random.default_rng(2).permutation(levels)}
    made = SimpleNamespace(full=None, steps=1, spacing="quad", run=lambda label: (found[label], 1.0, None))
    monkeypatch.setattr(arm_table, "Setting", lambda *args, **options: made)
    monkeypatch.setattr(arm_table, "ARMS", {label: lambda setting, label=label: label for label in found})
    monkeypatch.setattr(arm_table, "sqnr_per_image", lambda full, images: images)
    threads = torch.get_num_threads()
    evidence = _states.sqnr_loss(["worse", "other images"], 32, claimed=3.5)
    torch.set_num_threads(threads)
    assert evidence.measured == pytest.approx([3.0, 0.0])
    assert (evidence.low[0], evidence.high[0]) == pytest.approx((3.0, 3.0))
    assert evidence.low[1] < -5 < 5 < evidence.high[1]
