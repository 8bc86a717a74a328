"""AdaRound: the quadratic form of a layer's output error, the relaxation, held-out samples, the trained model."""

import copy
import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from models import shallow, small, walk
from torch import nn

import modiff_sim as ms
from modiff_sim import Verdict
from modiff_sim.evidence import judge
from modiff_sim.nn import AdaRound, QuantizedWeights, adaround, modulated, mse_optimal, quantize_weights, sample, zoo
from modiff_sim.nn.calibration.adaround import Rounding, _logit, rectified_sigmoid, round_layer
from modiff_sim.nn.calibration.moments import Moments, gather, rows_of
from modiff_sim.nn.layers import Operator, find
from modiff_sim.nn.measure.sqnr import output_sqnr
from modiff_sim.nn.weights.quantized import encode
from paper_checks.calibration import adaround_beats_nearest

CHANNEL = ms.PerChannel(0)


def normal(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


# -- the quadratic form ---------------------------------------------------------------------------------------------

LAYERS = {
    "linear": (lambda: nn.Linear(6, 4), (5, 6)),
    "linear on tokens": (lambda: nn.Linear(6, 4), (3, 7, 6)),
    "conv1d": (lambda: nn.Conv1d(4, 6, 3, stride=2, padding=1), (3, 4, 9)),
    "conv2d": (lambda: nn.Conv2d(4, 6, 3, padding=1), (3, 4, 5, 6)),
    "stride and dilation": (lambda: nn.Conv2d(4, 6, (3, 2), stride=(2, 1), dilation=(1, 2), padding=(2, 1)),
                            (3, 4, 8, 7)),
    "groups": (lambda: nn.Conv2d(4, 6, 3, groups=2), (3, 4, 5, 6)),
    "depthwise": (lambda: nn.Conv2d(4, 4, 3, groups=4, padding=1), (3, 4, 5, 6)),
    "circular": (lambda: nn.Conv2d(4, 6, 3, padding=1, padding_mode="circular"), (3, 4, 5, 6)),
    "reflect": (lambda: nn.Conv2d(4, 6, 3, padding=1, padding_mode="reflect"), (3, 4, 5, 6)),
    "same": (lambda: nn.Conv2d(4, 6, (3, 4), padding="same"), (3, 4, 5, 6)),
    "valid": (lambda: nn.Conv2d(4, 6, 1, padding="valid"), (3, 4, 5, 6)),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("channels_last", [False, True])
def test_the_quadratic_form_is_the_output_error(name, channels_last):
    """Mean over rows of the squared output of torch's own layer, per channel; rows drawn are among all, once each."""
    make, shape = LAYERS[name]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = make().double().requires_grad_(False)
    a, off = normal(*shape), normal(*module.weight.shape, seed=1)
    if channels_last and a.ndim == 4:
        a = a.to(memory_format=torch.channels_last)
    moments = Moments.of(module)
    for part in (a[:1], a[1:]):  # a running mean
        moments.add(rows_of(module, part, 10**6, torch.Generator()))
    operator = Operator(name, module, None)
    operator.quantized = off
    out = operator.linear(a)
    out = out.flatten(0, -2) if isinstance(module, nn.Linear) else out.transpose(0, 1).flatten(1).T
    assert moments.rows == len(out)
    assert torch.allclose(moments.errors(off), (out**2).mean(0), rtol=1e-12, atol=1e-12)
    drawn = rows_of(module, a, 4, torch.Generator().manual_seed(1))
    every = rows_of(module, a, 10**6, torch.Generator())
    places = [int(((row - every) ** 2).flatten(1).sum(1).argmin()) for row in drawn]
    assert len(set(places)) == 4
    assert torch.equal(every[places], drawn)


def test_held_out_samples_are_kept_apart():
    """Of 4 samples the last is held out; groups that fit the memory change nothing but how often calibration runs."""
    model = small()
    inputs = [(x,) for x in walk(3, batch=4)]
    modules = find(model, None)
    runs = []

    def calibration(m):
        runs.append(1)
        for arguments in inputs:
            m(*arguments)

    found = {name: moments for name, *moments in gather(model, calibration, modules, holdout=0.25)}
    rows = rows_of(model.first, torch.cat([x[:3] for (x,) in inputs]), 10**6, torch.Generator())[:, 0]
    used, held = found["first"]
    assert torch.allclose(used.gram[0], rows.T @ rows / len(rows), rtol=1e-12, atol=1e-14)
    assert used.rows == 3 * held.rows == 3 * 3 * 64
    assert found["head"][0].rows == 2 * 3 * 3  # it is used twice per call
    assert len(runs) == 1
    again = {name: moments for name, *moments in gather(model, calibration, modules, holdout=0.25, memory=1e-9)}
    assert len(runs) == 1 + 3
    calls = {name: moments for name, *moments in gather(model, iter(inputs), modules, holdout=0.25, memory=1e-9)}
    for other in (again, calls):
        assert all(torch.equal(x.gram, y.gram) for k in found for x, y in zip(found[k], other[k], strict=True))
    assert not any(m._forward_pre_hooks for m in model.modules())


def test_a_single_row_is_held_out_by_its_calls():
    layer = nn.Linear(3, 2).double()
    calls = [(normal(*shape, seed=i),) for i, shape in enumerate([(1, 3), (3,)] * 4)]  # with and without sample axis
    ((_, used, held),) = gather(layer, calls, {"x": layer}, holdout=0.25)
    every = torch.stack([x.reshape(3) for (x,) in calls])
    kept = every[[3, 7]]
    assert (used.rows, held.rows) == (6, 2)
    assert torch.allclose(held.gram[0], kept.T @ kept / 2)


def test_inputs_that_are_not_finite_are_named():
    model = small()
    x = torch.full((2, 2, 8, 8), math.nan, dtype=torch.float64)
    with pytest.raises(ValueError, match="layer 'first': NaN or Inf in its inputs"):
        adaround(model, ms.AbsMax(4, granularity=CHANNEL), [(x,)])


# -- one layer ------------------------------------------------------------------------------------------------------


@given(parts=st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_the_relaxation_starts_as_the_weight_itself(parts):
    h = torch.tensor(parts, dtype=torch.float64)
    assert torch.allclose(rectified_sigmoid(_logit(h)), h, rtol=0, atol=1e-14)
    assert rectified_sigmoid(torch.tensor([-9.0, 9.0])).tolist() == [0, 1]


def test_the_schedule_of_beta():
    settings = AdaRound(iterations=100, beta=(20, 2), warm_start=0.2)
    betas = [settings.regulariser(step) for step in range(100)]
    assert betas[:20] == [None] * 20
    assert betas[20] == 20
    assert betas[60] == 11
    assert np.all(np.diff(betas[20:]) < 0)
    assert 2 < betas[-1] < 2.3


def error(weight, values, gram):
    off = (values - weight).double()
    return float(((off @ gram) * off).sum())


def test_near_the_best_of_all_roundings():
    """Against all 2^8 roundings of 8 weights, inputs correlated: never worse than nearest, the best in most cases."""
    best_found, ratios = 0, []
    for seed in range(8):
        weight, mix = normal(1, 8, seed=seed), normal(8, 8, seed=100 + seed)
        rows = normal(64, 8, seed=200 + seed) @ mix + 1  # a mean: errors that cancel in the sum pay
        moments = Moments(torch.zeros(1, 8, 8, dtype=torch.float64))
        moments.add(rows[:, None])
        layer = encode(weight, mse_optimal(3))
        options = Rounding(weight, layer)
        every = [options.values(torch.tensor([h], dtype=torch.float64)) for h in itertools.product((0, 1), repeat=8)]
        best = min(error(weight, values, moments.gram[0]) for values in every)
        nearest = error(weight, layer.dequantize(), moments.gram[0])
        made = round_layer(weight, layer, moments, AdaRound(iterations=200))
        ours = error(weight, made.dequantize(), moments.gram[0])
        assert best <= ours * (1 + 1e-9)
        assert torch.equal(made.scale, layer.scale)
        best_found += ours <= best * (1 + 1e-9)
        ratios.append((math.log(ours / best), math.log(nearest / best)))
    assert best_found >= 5
    assert np.mean(ratios, axis=0)[0] < 0.25 * np.mean(ratios, axis=0)[1]


QUANTIZERS = [
    ms.AbsMax(2, granularity=CHANNEL), mse_optimal(2), mse_optimal(4), ms.MinMax(3, granularity=CHANNEL),
    ms.MinMaxRaw(4, granularity=CHANNEL), ms.Percentile(3, granularity=CHANNEL), ms.AbsMax(8, granularity=CHANNEL),
    ms.AbsMax(3, granularity=ms.PerGroup(3, axis=1)), ms.Floor(3, granularity=CHANNEL), ms.Static(2, scale=0.4),
]  # fmt: skip


@pytest.mark.parametrize("Q", QUANTIZERS, ids=str)
def test_every_code_is_one_of_two_neighbours(Q):
    weight, rows = normal(4, 6, dtype=torch.float32), normal(100, 1, 6, seed=1, dtype=torch.float32)
    moments = Moments(torch.zeros(1, 6, 6))
    moments.add(rows)
    layer = encode(weight, Q)
    made = round_layer(weight, layer, moments, AdaRound(iterations=80))
    steps = weight.double() / layer.scale.double().repeat_interleave(6 // layer.scale.shape[1], 1)
    zero = 0 if layer.zero_point is None else layer.zero_point.double()
    low, high = made.code_range
    if layer.zero_point is None and not isinstance(Q, ms.Static):
        low = -high
    down, up = ((f(steps) + zero).clamp(low, high) for f in (torch.floor, lambda x: torch.floor(x) + 1))
    codes = made.codes.double()
    assert bool(((codes == down) | (codes == up)).all())
    assert made.scheme == f"adaround on {Q}"
    assert torch.equal(made.codes, round_layer(weight, layer, moments, AdaRound(iterations=80)).codes)
    kept = round_layer(weight, layer, moments, AdaRound(iterations=0))  # h as it starts: nearest
    if not isinstance(Q, ms.Floor):
        assert torch.equal(kept.codes, layer.codes)


def test_other_roundings_are_refused_before_the_calibration_runs():
    def calibration(model):
        raise AssertionError("not reached")

    with pytest.raises(ValueError, match=r"weight of layer 'first': .*does not round a weight to one of its two"):
        adaround(small(), ms.DeadZone(3, granularity=CHANNEL, threshold=0.6), calibration)


# -- models ---------------------------------------------------------------------------------------------------------


def test_a_model_is_left_alone_and_the_result_is_the_same_again():
    model = shallow()
    before = copy.deepcopy(model.state_dict())
    calls = [(normal(4, 1, 8, 8, seed=t, dtype=torch.float32), t) for t in (900, 500, 100)]
    where = lambda name, module: not name.startswith("up_blocks")  # noqa: E731
    Q = ms.AbsMax(3, granularity=CHANNEL)
    options = {"settings": AdaRound(iterations=10), "patches": 32, "seed": 3, "where": where}
    one, two = (adaround(model, Q, calls, **options) for _ in range(2))
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert not any(m._forward_pre_hooks for m in model.modules())
    assert list(one.layers) == list(find(model, where))
    assert all(torch.equal(one.layers[k].codes, two.layers[k].codes) for k in one.layers)
    one.check(model, where=where)
    with torch.inference_mode():
        inside = adaround(model, Q, calls, **options)
    assert all(torch.equal(one.layers[k].codes, inside.layers[k].codes) for k in one.layers)
    improved = adaround(model, quantize_weights(model, Q), calls, **options)  # from codes already made
    assert all(torch.equal(one.layers[k].codes, improved.layers[k].codes) for k in one.layers)
    for layer in one.layers.values():
        assert layer.info["heldout_error"] <= layer.info["heldout_error_nearest"]
        assert 0 <= layer.info["channels_nearest"] <= layer.info["channels"] == len(layer.codes)


def test_a_channel_that_is_worse_on_held_out_samples_keeps_nearest():
    """The samples that are used excite one pattern, the held-out ones another: what was gained is lost there."""
    layer = nn.Linear(8, 16, bias=False).eval().requires_grad_(False)
    layer.weight.data = normal(16, 8, dtype=torch.float32)
    used = torch.ones(3, 8) * torch.tensor([[1.0], [2.0], [3.0]])
    held = normal(64, 8, seed=5, dtype=torch.float32)
    held = held - held.mean(1, keepdim=True)
    calls = [(torch.cat([used, held[i : i + 1]]),) for i in range(64)]
    nearest = quantize_weights(layer, mse_optimal(3))
    W = adaround(layer, nearest, calls, holdout=0.25, settings=AdaRound(iterations=200))
    info = W.layers["(root)"].info
    assert 0 < info["channels_nearest"] <= 16
    off, near = (F.linear(held, w.layers["(root)"].dequantize() - layer.weight).square().mean(0) for w in (W, nearest))
    assert bool((off <= near * (1 + 1e-5)).all())
    assert info["heldout_error"] == pytest.approx(float(off.sum()), rel=1e-4)
    same = (W.layers["(root)"].codes == nearest.layers["(root)"].codes).all(1)
    assert int(same.sum()) == info["channels_nearest"]
    easy = adaround(layer, nearest, [(torch.cat([used, used]),)], settings=AdaRound(iterations=200))
    assert easy.layers["(root)"].info["channels_nearest"] < info["channels_nearest"]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_models_in_half_precision(dtype):
    """Calibrated in float32; what is compared on held-out samples is the weight as the model will use it."""
    model, calls = small(dtype=dtype), [(x.to(dtype),) for x in walk(3, batch=4)]
    W = adaround(model, mse_optimal(3), calls, settings=AdaRound(iterations=50))
    assert {W.weight(name, module).dtype for name, module in find(model, None).items()} == {dtype}
    infos = [layer.info for layer in W.layers.values()]
    assert sum(i["channels"] - i["channels_nearest"] for i in infos) >= 4
    assert sum(i["heldout_error"] for i in infos) < sum(i["heldout_error_nearest"] for i in infos)


def test_layers_that_say_nothing_keep_nearest():
    """Never called, and called once with one sample: nothing could be held out."""
    model = nn.ModuleDict({"a": nn.Linear(4, 3), "b": nn.Linear(4, 3)}).double().eval().requires_grad_(False)
    model.forward = lambda x: model["a"](x)
    nearest = quantize_weights(model, mse_optimal(3))
    W = adaround(model, mse_optimal(3), [(normal(1, 4),)])
    for name, rows in (("a", 1), ("b", 0)):
        layer = W.layers[name]
        assert torch.equal(layer.codes, nearest.layers[name].codes)
        assert layer.scheme == nearest.layers[name].scheme
        assert (layer.info["rows"], layer.info["heldout_rows"]) == (rows, 0)
        assert layer.info["channels_nearest"] == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"holdout": 0}, "holdout"), ({"holdout": 1}, "holdout"), ({"patches": 0}, "patches"),
        ({"memory": 0}, "memory"), ({"calibration": {}}, "no moments of layer 'first'"),
    ],
)  # fmt: skip
def test_arguments_out_of_range(options, message):
    arguments = {"calibration": [], **options}
    with pytest.raises(ValueError, match=message):
        adaround(small(), mse_optimal(3), **arguments)


@pytest.mark.parametrize("bad", [{"iterations": 0.5}, {"lr": 0}, {"lam": -1}, {"warm_start": 1}, {"beta": (0.5, 2)}])
def test_settings_out_of_range(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        AdaRound(**bad)


def test_only_full_precision_models_are_calibrated():
    model = small()
    with pytest.raises(ValueError, match="training mode"):
        adaround(model.train(), mse_optimal(3), [])
    with (
        modulated(model.eval(), activations=ms.AbsMax(4)),
        pytest.raises(RuntimeError, match="calibrated in full precision"),
    ):
        adaround(model, mse_optimal(3), [])
    other = QuantizedWeights({"third": encode(normal(3, 3), mse_optimal(3))})
    with pytest.raises(ValueError, match="has no layer 'third'"):
        adaround(model, other, [])


def test_progress_goes_to_stderr(capsys):
    adaround(small(), mse_optimal(3), [(next(walk(1)),)], settings=AdaRound(iterations=1), progress="adaround 3")
    err = capsys.readouterr().err
    assert "adaround 3: layer 1 of 3, first\n" in err
    assert "adaround 3: layer 3 of 3, head\n" in err


# -- the trained model ----------------------------------------------------------------------------------------------


def test_half_of_nearests_error_in_layers_of_the_trained_model(tmp_path):
    """Weights alone, at 3 bits, in the convolutions of the middle; judged on other images, through the whole model."""
    model = zoo.load("digits")
    where = lambda name, module: name.startswith("mid_block.resnets")  # noqa: E731
    seen = lambda m: sample(m, images=16, steps=5, batch=16, seed=1)  # noqa: E731
    W = adaround(model, mse_optimal(3), seen, where=where, patches=256, settings=AdaRound(iterations=100))
    nearest = quantize_weights(model, mse_optimal(3), where=where)
    calls = []
    hook = model.register_forward_pre_hook(lambda module, inputs: calls.append((inputs[0].clone(), *inputs[1:])))
    sample(model, images=16, steps=5, batch=16, seed=2)
    hook.remove()
    for name, moments, _ in gather(model, calls, find(model, where)):
        module = model.get_submodule(name)
        ours, theirs = (float(moments.errors(w.weight(name, module) - module.weight).sum()) for w in (W, nearest))
        assert ours < 0.7 * theirs, name
    ours = output_sqnr(model, W, calls)
    assert ours > output_sqnr(model, nearest, calls) + 1
    W.save(tmp_path / "w.safetensors")
    assert output_sqnr(model, QuantizedWeights.load(tmp_path / "w.safetensors"), calls) == ours


@pytest.mark.parametrize(("iterations", "verdict"), [(30, Verdict.HOLDS), (0, Verdict.VIOLATED)])
def test_the_claim_can_fail(monkeypatch, iterations, verdict):
    """Without an iteration the rounding is nearest's. A small model stands for the trained one."""
    monkeypatch.setattr(zoo, "load", lambda name: shallow().requires_grad_(False))
    evidence = adaround_beats_nearest.check(bits=(3,), iterations=iterations, images=8)
    assert judge(adaround_beats_nearest.CLAIM, evidence).verdict == verdict
