"""The plan: what it prints, that it is what a run holds, that its page is up to date."""

import json

import pytest
import torch
from models import family, family_calls, small, unet, walk

from analysis import memory
from modiff_sim import AbsMax, GridAligned, MinMax, PerBatch, Static, Storage, cost
from modiff_sim.nn import model_shapes, modulated

STORAGES = {
    "as computed": None,
    "float16": Storage("float16", "float16"),
    "codes and float16": Storage(AbsMax(8), "float16"),
    "recomputed": Storage(AbsMax(8), "recompute"),
    "few bits": Storage(MinMax(4), AbsMax(12)),
    "one scale": Storage(AbsMax(8, granularity=PerBatch()), "float16"),
    "aligned": Storage(Static(8, scale=1 / 8), "float16"),
}


@pytest.mark.parametrize("name", STORAGES)
def test_a_run_holds_what_was_predicted(name):
    """To the byte, from the shapes of one image; the layer that is used twice has two states."""
    storage, model = STORAGES[name], small()
    shapes = model_shapes(model, torch.zeros(1, 2, 8, 8, dtype=torch.float64))
    with modulated(model, activations=GridAligned(4, base=1 / 8), storage=storage) as run:
        for x in walk(3, batch=3):
            model(x)
        assert run.state_bytes() == cost.predict_state_bytes(shapes, storage, 3, itemsize=8)


@pytest.mark.parametrize("name", ["unet", "unet_condition", "dit"])
def test_models_of_diffusers_hold_what_was_predicted(name):
    model, calls = family(name), list(family_calls(name, steps=2))
    storage = Storage(AbsMax(8), "float16")
    shapes = model_shapes(model, **calls[0])
    with modulated(model, activations=AbsMax(4), storage=storage) as run:
        for call in calls:
            model(**call)
        assert run.state_bytes() == cost.predict_state_bytes(shapes, storage)


def test_a_storage_per_layer_is_predicted_too():
    def storage(name):
        return Storage(AbsMax(8), "recompute") if name.startswith("mid_block") else Storage()

    model, x = unet(), torch.zeros(2, 1, 8, 8)
    shapes = model_shapes(model, x, 0)
    with modulated(model, activations=AbsMax(4), storage=storage) as run:
        model(x, 0)
        assert run.state_bytes() == cost.predict_state_bytes(shapes, storage)


# -- the numbers of the plan ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cifar10():
    return memory.plan("cifar10")


def test_the_cifar_unet_reaches_its_targets(cifar10):
    """35.7 M parameters: 42.6 MiB in float32, at most 15.5 stored and 6.2 with ô recomputed."""
    mib = {s["scheme"]: s["total"] / 2**20 for s in cifar10["schemes"]}
    assert mib["float32 / float32"] == pytest.approx(42.56, abs=0.01)
    assert mib["8-bit codes / float16"] < 15.5
    assert mib["8-bit codes / recomputed"] < 6.2
    assert cifar10["weights"]["8"] == cifar10["parameters"] == 35_746_307


def test_a_plan_scales_with_images_and_rows(cifar10):
    four = memory.plan("cifar10", images=4)
    for one, many in zip(cifar10["schemes"], four["schemes"], strict=True):
        assert many["total"] == 4 * one["total"]
        assert many["per_image"] == one["per_image"]
        assert many["step_bops"] == 4 * one["step_bops"]
        assert many["peak"] > one["peak"] > one["total"] + cifar10["weights"]["8"]
    assert memory.plan("sd15")["rows"] == 2  # guidance
    assert memory.plan("cifar10", rows=2)["macs"] == 2 * cifar10["macs"]
    half = memory.plan("cifar10", dtype="float16")
    assert half["working_set"] == cifar10["working_set"] // 2


def test_only_aligned_or_unrounded_states_keep_the_cost_of_a_step(cifar10):
    cheap = {s["scheme"] for s in cifar10["schemes"] if s["operand_bits"] == cifar10["bits"]}
    assert cheap == {"float32 / float32", "8-bit codes, aligned / float16"}
    step = {s["scheme"]: s["step_bops"] for s in cifar10["schemes"]}
    assert step["8-bit codes / recomputed"] == cifar10["direct_bops"]  # as ordinary 8-bit quantization
    assert step["float32 / float32"] == cifar10["direct_bops"] * 3 / 8


def test_the_papers_line_is_that_of_the_inputs_of_convolutions():
    for row in memory.paper():
        slack = 0.005 * (1 + row["bits"] * row["images"])  # two printed decimals, of the offset and of the slope
        assert abs(row["printed"] - row["conv_ref"]) <= slack
        assert row["both"] > row["printed"] + slack
        assert row["float32"] >= row["both"]


# -- the command ------------------------------------------------------------------------------------------------------


def test_the_tables_can_be_read(capsys):
    assert memory.main(["--model", "digits", "cifar10", "--bits", "4"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 120
    assert "35,746,307 parameters; 113 calls of 113 conv and linear layers" in "\n".join(lines)
    rows = [line.split() for line in lines if line.startswith("  8-bit codes / recomputed")]
    assert [row[-2] for row in rows] == ["8", "8"]
    assert rows[1][4:7] == ["6.09", "0.00", "6.09"]


def test_json_is_whole_and_equal_to_the_plan(capsys, cifar10):
    assert memory.main(["--model", "cifar10", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [cifar10]
    assert memory.main(["--paper", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == memory.paper()


def test_a_local_folder_is_planned(tmp_path, capsys):
    unet().save_config(tmp_path)
    assert memory.main(["--model", str(tmp_path), "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    shapes = model_shapes(unet(), torch.zeros(1, 1, 8, 8), 0)
    assert (found["macs"], found["parameters"]) == (shapes.macs, shapes.parameters)


@pytest.mark.parametrize(
    "wrong", [["--model", "nope"], ["--images", "0"], ["--bits", "-1"], ["--rows", "-1"], ["--dtype", "int8"]]
)
def test_wrong_arguments_say_what_is_right(wrong, capsys):
    try:
        code = memory.main(wrong)
    except SystemExit as stop:
        code = stop.code
    assert code == 2
    said = capsys.readouterr().err
    assert any(hint in said for hint in ("known: digits", "at least 1", "choose from"))


def test_the_page_shows_what_the_command_finds():
    text = memory.PAGE.read_text(encoding="utf-8")
    assert memory.page(text) == text, "python -m analysis.memory --page"
    with pytest.raises(ValueError, match="marks"):
        memory.page(text.replace("<!-- end of plan -->", ""))
