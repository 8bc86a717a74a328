"""Which of a file's weights are taken: the moving average under its usual names, and what is said about it."""

import pytest
import torch

from modiff_sim.nn.models import checkpoints

NAMES = ("conv_in.weight", "mid.bias")


def weights(value, prefix="", names=NAMES):
    return {f"{prefix}{name}": torch.full((2, i + 1), float(value)) for i, name in enumerate(names)}


MODEL, EMA = weights(0), weights(1)
OPTIMIZER = {"state": {0: {"step": torch.tensor(3.0), "exp_avg": torch.ones(2, 1)}}, "param_groups": [{"lr": 1e-4}]}


def flat(state):
    return {f"model_ema.{k.removeprefix('model.').replace('.', '')}": v for k, v in state.items()}


#: file -> the place that is taken; all of them hold zeros as weights and ones as their moving average
FILES = {
    "beside": ({"state_dict": MODEL, "ema_state_dict": EMA}, "ema_state_dict"),
    "timm": ({"state_dict": MODEL, "state_dict_ema": EMA, "epoch": 3}, "state_dict_ema"),
    "model_ema": ({"model_ema": EMA, "model": MODEL, "optimizer": OPTIMIZER}, "model_ema"),
    "ema_model": ({"model": MODEL, "ema_model": weights(1, "module.")}, "ema_model"),
    "ema_params": ({"params": MODEL, "ema_params": EMA}, "ema_params"),
    "params_ema": ({"params": MODEL, "params_ema": EMA}, "params_ema"),
    "shadow": ({"model": MODEL, "shadow": EMA}, "shadow"),
    "camel": ({"model": MODEL, "modelEMA": EMA}, "modelEMA"),
    "generator": ({"generator": MODEL, "discriminator": weights(5, names=("d.weight",)), "g_ema": EMA}, "g_ema"),
    "nested": ({"model": MODEL, "ema": {"shadow": EMA, "decay": 0.99, "num_updates": 3}}, "ema.shadow"),
    "module": ({"model": MODEL, "ema": {"module": EMA, "updates": 3}}, "ema.module"),
    "deeper": ({"state": {"model": MODEL, "ema": EMA}, "epoch": 3}, "state.ema"),
    "list": ([MODEL, OPTIMIZER, 3, 4, EMA], "[4]"),
    "parallel": ([weights(0, "module."), OPTIMIZER, 3, 4, weights(1, "module.")], "[4]"),
    "list of a dict": ([MODEL, OPTIMIZER, 3, {"ema": EMA}], "[3].ema"),
    "unnamed": ({"model": MODEL, "ema": {"decay": 0.9, "shadow_params": list(EMA.values())}}, "ema.shadow_params"),
    "only": ({"ema": EMA, "step": 3}, "ema"),
    "wrapper": ({"ema": {"initted": torch.tensor(True), **weights(1, "ema_model."), **weights(0, "online_model.")}},
                "ema.ema_model.*"),
    "prefix": (weights(0, "model.") | weights(1, "model_ema."), "model_ema.*"),
    "flat prefix": (weights(0, "model.") | flat(weights(1, "model.")) | {
        "model_ema.decay": torch.tensor(0.9), "model_ema.num_updates": torch.tensor(3), "first.weight": torch.ones(3)},
        "model_ema.*"),
    "lightning": ({"state_dict": weights(0, "model.") | weights(1, "ema."), "epoch": 2}, "state_dict.ema.*"),
    "averaged": ({"model": MODEL, "swa": {"n_averaged": torch.tensor(3), **weights(1, "module.")}}, "swa"),
    "emas": ({"model": MODEL, "emas": [EMA, weights(2)]}, "emas[0]"),
    "ema_models": ({"model": MODEL, "ema_models": [EMA]}, "ema_models[0]"),
    "moments beside": ({"model": MODEL, "ema": EMA, "optimizer": {"exp_avg": weights(9)}}, "ema"),
    "part of a whole": (weights(0, "model.") | weights(5, "first_stage.", ("a.weight",)) | weights(1, "model_ema."),
                        "model_ema.*"),
    "compiled": ({"model": MODEL, "ema": weights(1, "_orig_mod.")}, "ema"),
}  # fmt: skip


def saved(content, tmp_path, name="x.ckpt"):
    torch.save(content, tmp_path / name)
    return tmp_path / name


@pytest.mark.parametrize("form", FILES)
def test_the_moving_average_is_taken_and_said(form, tmp_path, caplog):
    content, taken = FILES[form]
    found = checkpoints.read(saved(content, tmp_path))
    assert found.keys() == EMA.keys()
    assert all((v == 1).all() for v in found.values())
    assert found.taken == taken
    assert found.averaged
    assert taken in found.said
    assert f"the moving average under {taken!r} was taken" in caplog.text


@pytest.mark.parametrize(("content", "taken"), [
    (MODEL, ""), ({"state_dict": MODEL, "epoch": 3}, "state_dict"), (weights(0, "module."), ""),
    ([MODEL, OPTIMIZER, 3, 4], "[0]"), ({"model": MODEL, "optimizer": OPTIMIZER}, "model"),
    ({"model": MODEL, "ema_decay": 0.99, "loss": torch.tensor(3.0)}, "model"), ({**MODEL, "epoch": 3}, ""),
])  # fmt: skip
def test_nothing_is_said_where_there_is_nothing_to_choose(content, taken, tmp_path, caplog):
    found = checkpoints.read(saved(content, tmp_path))
    assert found.keys() == MODEL.keys()
    assert (found.taken, found.averaged, found.others, found.said) == (taken, False, (), "")
    assert not caplog.text


MOMENTS = weights(9)


@pytest.mark.parametrize("content", [
    {"model": MODEL, "optimizer": {"step": 3, "exp_avg": MOMENTS, "exp_avg_sq": MOMENTS}},
    {"model": MODEL, "exp_avg": list(MOMENTS.values())}, {"model": MODEL, "exp_avgs": MOMENTS, "exp_avg_sqs": MOMENTS},
    {"model": MODEL, "opt_state": {"ema": MOMENTS}}, {"model": MODEL, "optim": {"avg": MOMENTS}},
    {"model": MODEL, "optimizer_states": [{"state": {"exp_avg": MOMENTS}}]}, {"model": MODEL, "expAvg": MOMENTS},
    {"model": MODEL, "adamw": {"square_avg": MOMENTS}}, MODEL | weights(9, "exp_avg."),
    MODEL | weights(9, "optimizer.state.exp_avg_sq."), {"model": MODEL, "momentum_buffer": MOMENTS},
])  # fmt: skip
def test_what_an_optimizer_keeps_is_never_taken(content, tmp_path, caplog):
    found = checkpoints.read(saved(content, tmp_path))
    assert found.keys() == MODEL.keys()
    assert all((v == 0).all() for v in found.values())
    assert (found.averaged, found.others, caplog.text) == (False, (), "")


@pytest.mark.parametrize("average", [
    weights(1, "avg_pool.", ("weight", "bias")), weights(1, "ema.", ("conv_in.weight",)),
    {k: torch.ones(7) for k in weights(1, "avg.")},
], ids=["a layer", "few", "other shapes"])  # fmt: skip
def test_a_part_called_an_average_belongs_to_the_model_unless_it_is_most_of_it(average, tmp_path):
    model = weights(0, "conv.", ("weight", "bias")) | MODEL | weights(0, names=("conv_out.weight", "mid.weight"))
    found = checkpoints.read(saved(model | average, tmp_path))
    assert found.keys() == (model | average).keys()
    assert not found.averaged


def test_an_average_of_few_of_the_weights_is_refused(tmp_path):
    file = saved({"model": MODEL, "avg": weights(1, names=NAMES[:1])}, tmp_path)
    with pytest.raises(ValueError, match=r"'avg' \(conv_in\.weight\).*has 1 of the 2 weights under 'model': save"):
        checkpoints.read(file)


@pytest.mark.parametrize("name", ["model_target", "teacher"])
def test_what_may_be_an_average_is_named(name, tmp_path, caplog):
    found = checkpoints.read(saved({"model": MODEL, name: EMA}, tmp_path))
    assert (found.taken, found.others) == ("model", (name,))
    assert f"{name!r} may be one by its name: save that alone, if it is" in found.said
    assert found.said in caplog.text


def test_several_sets_and_several_averages(tmp_path, caplog):
    file = saved({"state_dict": MODEL, "vae": weights(7, names=("v.weight",))}, tmp_path)
    found = checkpoints.read(file)
    assert (found.taken, found.others) == ("state_dict", ("vae",))
    assert "the weights under 'state_dict' were taken, not what is under 'vae'; no moving average" in caplog.text
    found = checkpoints.read(saved({"model": MODEL, "ema_0.9999": EMA, "ema_0.99": weights(2)}, tmp_path))
    assert found.taken == "ema_0.9999"
    assert found.others == ("model", "ema_0.99")


def test_an_average_of_parameters_alone_gets_the_buffers_beside_it(tmp_path):
    buffers = {"norm.running_mean": torch.full((1,), 4.0)}
    for average in (EMA, {"shadow_params": list(EMA.values())}):
        found = checkpoints.read(saved({"model": {**MODEL, **buffers}, "ema": average}, tmp_path))
        assert {k: float(v.flatten()[0]) for k, v in found.items()} == {
            **dict.fromkeys(NAMES, 1.0),
            **{"norm.running_mean": 4.0},
        }


@pytest.mark.parametrize(("content", "why"), [
    ({"epoch": 3, "args": {"lr": 1.0}}, "holds no state dict.*keys epoch, args"),
    ([1, "two", {"a": 3}], "holds no state dict.*list of 3: int; str; dict with the keys a"),
    ({}, "holds no state dict.*dict without keys"), (3, "holds no state dict.*int"),
    ({"encoder": MODEL, "decoder": weights(3)}, "several sets.*'encoder', 'decoder'.*keys encoder, decoder"),
    ({"model": MODEL, "ema": weights(1, names=("other.weight",))}, "'ema'.*other names than.*'model'.*keys model, ema"),
    ({"model": MODEL, "ema": {"shadow_params": [torch.ones(3)]}}, "1 tensors without names.*keys model, ema"),
])  # fmt: skip
def test_every_refusal_names_the_keys(content, why, tmp_path):
    with pytest.raises(ValueError, match=rf"x\.ckpt.*{why}"):
        checkpoints.read(saved(content, tmp_path))


@pytest.mark.parametrize("old", [False, True])
def test_a_file_that_is_not_unpickled_still_names_what_is_in_it(old, tmp_path):
    path = tmp_path / "x.ckpt"
    content = {"hyper_parameters": __import__("argparse").Namespace(lr=1), "state_dict": MODEL}
    torch.save(content, path, _use_new_zipfile_serialization=not old)
    with pytest.raises(ValueError, match=r"asks for argparse\.Namespace.*Names in it: hyper_parameters, .*state_dict"):
        checkpoints.read(path)


def test_what_is_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="no weight file"):
        checkpoints.read(tmp_path / "nowhere.ckpt")
    (tmp_path / "config.json").touch()
    with pytest.raises(ValueError, match=r"is a folder.*it holds: config\.json"):
        checkpoints.read(tmp_path)
