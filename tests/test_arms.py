"""Every arm of the table on the zoo's model and on a diffusers folder: what the row says must be what was done."""

import importlib
import json

import numpy as np
import pytest
from models import unet

from analysis import arm_table, arms
from analysis.subjects import subject
from modiff_sim.evidence import Verdict, judge
from modiff_sim.nn import zoo

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


@pytest.fixture(scope="module", params=zoo.MODELS)
def setting(request):
    return arm_table.Setting(
        subject(request.param), images=4, steps=STEPS, batch=4, calibration_images=4, adaround_iterations=5
    )


@pytest.mark.parametrize("label", arm_table.ARMS)
def test_every_arm_on_every_model_of_the_zoo(setting, label):
    row = arm_table.row(setting, label)
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
        assert -20 < row["sqnr"] < 80
    assert row["unsupported"] == []
    assert arm_table.line(row, 40, judged=False).startswith(label)


def test_bops_of_an_arm_are_macs_times_bits(setting):
    full, eight, four = (arm_table.row(setting, f"{x}")["gbops"] for x in ("W8A32", "W8A8 direct", "W8A4 direct"))
    assert full == pytest.approx(4 * eight)
    assert eight == pytest.approx(2 * four)
    closed = arm_table.row(setting, "W8A4 closed loop")["gbops"]
    assert closed == pytest.approx(full / 4 + four * 3 / 4)  # the first of four calls in full precision


def test_the_same_command_takes_a_diffusers_folder(tmp_path, capsys):
    unet().save_pretrained(tmp_path / "mine")
    rows = tmp_path / "rows.json"
    options = ["--images", "2", "--steps", "3", "--json", str(rows)]
    assert arm_table.main(["--model", str(tmp_path / "mine"), "--arms", "W8A4 open*", *options]) == 0
    printed = capsys.readouterr().out
    assert "UNet2DModel" in printed
    assert "Fréchet  " not in printed
    assert [r["arm"] for r in json.loads(rows.read_text())] == ["W8A4 open loop"]


def test_a_conditional_model_gets_a_fixed_condition(tmp_path, capsys):
    from diffusers import UNet2DConditionModel

    UNet2DConditionModel(
        sample_size=8, in_channels=4, out_channels=4, layers_per_block=1, block_out_channels=(8, 16), norm_num_groups=4,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=8, attention_head_dim=4,
    ).save_pretrained(tmp_path)  # fmt: skip
    options = ["--images", "2", "--steps", "3", "--model", str(tmp_path)]
    assert arm_table.main([*options, "--arms", "W8A4 closed loop"]) == 0
    assert "fixed conditions, not pictures of anything: encoder_hidden_states" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "/nowhere/at/all"], "no local folder"),
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


@pytest.mark.parametrize("name", ["rounded_states_digits", "aligned_states_digits"])
def test_claims_on_states_follow_the_images(name):
    """The 3-bit loop in their place loses more than a bit; the loop itself loses nothing."""
    claim = importlib.import_module(f"paper_checks.{name}")
    for label, found in (("W8A4 closed loop", Verdict.HOLDS), ("W8A3 closed loop", Verdict.VIOLATED)):
        assert judge(claim.CLAIM, claim.check("quick", arms=(label,), images=32)).verdict == found
