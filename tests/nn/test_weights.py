"""Integer weights: equal to the quantizer's values, MSE-optimal scales, SQNR, files that are safe to read."""

import copy
import math
import pickle

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st
from models import small, unet, walk
from torch import nn

import modiff_sim as ms
from modiff_sim.nn import (
    ByLayer,
    LayerCodes,
    QuantizedWeights,
    modulated,
    mse_optimal,
    quantize_weights,
    sqnr_table,
    zoo,
)
from modiff_sim.nn.layers import Operator, find
from modiff_sim.nn.measure.sqnr import decibel, output_sqnr
from modiff_sim.nn.weights.codes import spread
from modiff_sim.nn.weights.quantized import encode

CHANNEL = ms.PerChannel(0)
KINDS = {
    "absmax": ms.AbsMax, "half_away": ms.HalfAway, "dead_zone": ms.DeadZone, "mse": ms.MSEClip,
    "percentile": ms.Percentile, "minmax": ms.MinMax, "minmax_raw": ms.MinMaxRaw, "floor": ms.Floor,
}  # fmt: skip
SHAPES = [(6, 8), (6, 4, 3), (6, 4, 3, 2), (1, 4, 1, 1), (4, 1, 3, 3)]


@pytest.fixture(scope="module")
def digits():
    return zoo.load("digits")


def normal(shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


# -- codes ----------------------------------------------------------------------------------------------------------


@given(
    kind=st.sampled_from(sorted(KINDS)), bits=st.integers(2, 8), shape=st.sampled_from(SHAPES), seed=st.integers(0, 99),
    dtype=st.sampled_from([torch.float16, torch.bfloat16, torch.float32, torch.float64]),
    granularity=st.sampled_from(
        [CHANNEL, ms.PerBatch(), ms.PerSample(), ms.PerToken(), ms.PerChannel((0, 1)), ms.PerGroup(1, axis=1),
         ms.PerGroup(2, axis=0), ms.PerGroup(2, axis=1), ms.PerGroup(4, axis=1)]
    ),
)  # fmt: skip
def test_codes_dequantize_to_the_quantizers_values(kind, bits, shape, seed, dtype, granularity):
    """Bit for bit (up to the sign of zero), every quantizer of integer codes × granularity × dtype."""
    Q, weight = KINDS[kind](bits, granularity=granularity), normal(shape, seed, dtype)
    if isinstance(granularity, ms.PerGroup) and shape[granularity.axis] % granularity.size:
        with pytest.raises(ValueError, match="not a multiple of the group size"):
            encode(weight, Q)
        return
    layer = encode(weight, Q)
    assert torch.equal(layer.dequantize(), Q(weight))
    assert layer.dequantize().dtype == dtype
    assert layer.codes.dtype == (torch.int8 if layer.zero_point is None else torch.uint8)
    low, high = layer.code_range
    assert low <= int(layer.codes.min())
    assert int(layer.codes.max()) <= high
    assert high - low == 2**bits - 1


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_a_models_layers_and_what_modulated_makes_of_them(bits):
    """The weight source gives what the quantizer gives: same values in every layer, same output of the run."""
    model = small()
    Q = ms.AbsMax(bits, granularity=CHANNEL)
    W = quantize_weights(model, Q)
    assert list(W.layers) == ["first", "second", "head"]
    for name, module in find(model, None).items():
        assert torch.equal(W.weight(name, module), Q(module.weight.detach()))
        assert W.bits(name) == bits == Operator(name, module, W).weight_bits
        assert torch.equal(Operator(name, module, W).weight, Q(module.weight.detach()))
    results = []
    for weights in (Q, W):
        with modulated(model, activations=ms.AbsMax(4), weights=weights) as run:
            results.append([model(x) for x in walk(4)])
            assert {row["weight_bits"] for row in run.audit().rows()} == {bits}
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_by_layer_where_and_full_precision(digits):
    four, eight = mse_optimal(4), ms.AbsMax(8, granularity=CHANNEL)
    W = quantize_weights(digits, {"conv_in": eight, "mid_block.*": four, "conv_out": ms.Identity()})
    assert W.bits("conv_in") == 8
    assert W.bits("mid_block.resnets.0.conv1") == 4
    assert W.bits("conv_out") == W.bits("up_blocks.0.resnets.0.conv1") == 32
    assert W.weight("conv_out", digits.conv_out) is None
    assert len(W.layers) == 1 + sum(name.startswith("mid_block.") for name in find(digits, None))
    planned = quantize_weights(digits, ByLayer({"conv_in": eight}, ms.Identity()))
    assert list(planned.layers) == ["conv_in"]
    convs = quantize_weights(digits, eight, where=lambda name, module: isinstance(module, nn.Conv2d))
    assert {find(digits, None)[name].weight.ndim for name in convs.layers} == {4}
    with pytest.raises(ValueError, match=r"'conv_inn', which is none of the layers"):
        quantize_weights(digits, {"conv_inn": four})
    with pytest.raises(ValueError, match="no Conv1d, Conv2d or Linear layer"):
        quantize_weights(digits, four, where=lambda name, module: False)


def test_groups_along_the_input_channels(digits):
    """One scale per 16 input channels, at each output channel and kernel position; 1 channel cannot be grouped."""
    Q = ms.AbsMax(4, granularity=ms.PerGroup(16, axis=1))
    with pytest.raises(ValueError, match=r"layer 'conv_in': .*not a multiple of the group size"):
        quantize_weights(digits, Q)
    W = quantize_weights(digits, Q, where=lambda name, module: name != "conv_in")
    layer, conv = W.layers["up_blocks.0.resnets.0.conv1"], digits.up_blocks[0].resnets[0].conv1
    assert tuple(layer.scale.shape) == (64, 8, 3, 3)
    assert layer.granularity == "group:16:axis=1"
    blocks = conv.weight.reshape(64, 8, 16, 3, 3)
    assert torch.equal(layer.scale, blocks.abs().amax(2) / 7)
    assert torch.equal(layer.dequantize(), Q(conv.weight))
    assert layer.stored_bits == 64 * 128 * 9 * 4 + 64 * 8 * 9 * 32
    linear = W.layers["time_embedding.linear_1"]
    assert ms.AbsMax(4, granularity=linear.granularity).granularity == ms.PerGroup(16, axis=1)
    assert W.layers["conv_out"].bits == 4
    channel = quantize_weights(digits, ms.AbsMax(4, granularity=CHANNEL))
    assert {layer.granularity for layer in channel.layers.values()} == {"channel:axis=0"}
    table = {name: sqnr_table(digits, weights).weight_db for name, weights in (("group", W), ("channel", channel))}
    assert table["group"] > table["channel"]
    tensor = quantize_weights(digits, ms.AbsMax(4, granularity=ms.PerBatch()))
    assert tensor.layers["conv_in"].granularity == "batch"
    for shape, text in (((64, 128, 1, 1), "channel:axis=0,1"), ((64, 8, 1, 1), "blocks of 1×16×3×3")):
        codes = LayerCodes(layer.codes, torch.ones(shape), None, 4)
        assert codes.granularity == text


@pytest.mark.parametrize(
    ("quantizer", "message"),
    [
        (ms.Stochastic(4), "without random bits"),
        (ms.FP8E4M3(), "no integer codes"),
        (ms.MidRise(4), "no integer codes"),
        (ms.AbsMax(9), "2 to 8 bits"),
        (ms.Zero(), "layer 'first'"),
        (ms.Static(4, scale=1e-60), "layer 'first'"),
    ],
)
def test_quantizers_without_such_codes_are_refused(quantizer, message):
    model = small(dtype=torch.float32)
    with pytest.raises(ValueError, match=message):
        quantize_weights(model, quantizer)


def test_weights_that_are_not_finite_are_named():
    model = small()
    with torch.no_grad():
        model.second.weight[0, 0, 0, 0] = math.nan
    with pytest.raises(ValueError, match=r"layer 'second'.*1 of 108 entries are NaN or Inf"):
        quantize_weights(model, ms.AbsMax(4, granularity=CHANNEL))


def codes(shape=(4, 6), value=1):
    return torch.full(shape, value, dtype=torch.int8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bits": 1}, "2 to 8 bits"),
        ({"bits": 9}, "2 to 8 bits"),
        ({"bits": True}, "2 to 8 bits"),
        ({"codes": codes(value=8)}, r"codes span 8 ... 8, 4 bits as torch.int8 hold -8 ... 7"),
        ({"codes": codes(value=-9)}, "codes span -9"),
        ({"codes": torch.full((4, 6), 16, dtype=torch.uint8)}, "hold 0 ... 15"),
        ({"codes": torch.full((4, 6), 300)}, r"-8 ... 7 or 0 ... 15"),
        ({"codes": torch.ones(4, 6)}, "integer tensor, got torch.float32"),
        ({"codes": torch.ones(4, dtype=torch.int8)}, "shape of a weight"),
        ({"codes": torch.ones(0, 6, dtype=torch.int8)}, "shape of a weight"),
        ({"scale": torch.tensor([1.0, 2.0, math.nan, 1.0])}, "finite and > 0"),
        ({"scale": torch.tensor([1.0, 2.0, math.inf, 1.0])}, "finite and > 0"),
        ({"scale": torch.zeros(4)}, "finite and > 0"),
        ({"scale": -torch.ones(4)}, "finite and > 0"),
        ({"scale": torch.ones(3)}, r"scale of shape \(3,\) does not fit a weight of shape \(4, 6\)"),
        ({"scale": torch.ones(4, 4)}, "does not fit"),
        ({"scale": torch.ones(4, 3, 2)}, "does not fit"),
        ({"scale": torch.ones(4, dtype=torch.int32)}, "floating"),
        ({"scale": 1.0}, "must be a tensor"),
        ({"zero_point": torch.full((4,), 0.5)}, "finite integers"),
        ({"zero_point": torch.full((4,), math.nan)}, "finite integers"),
        ({"zero_point": torch.ones(4, 3)}, "zero_point has shape"),
    ],
)
def test_codes_that_do_not_fit_together(change, message):
    fields = {"codes": codes(), "scale": torch.ones(4), "zero_point": None, "bits": 4}
    LayerCodes(**fields)
    with pytest.raises((TypeError, ValueError), match=message):
        LayerCodes(**{**fields, **change})


@given(counts=st.tuples(*[st.sampled_from([1, 2, 4])] * 3), seed=st.integers(0, 9))
def test_a_scale_is_shared_by_neighbours(counts, seed):
    """Entry (i, j, k) has the scale at (i·n0//4, ...): written out as loops."""
    scale = normal(counts, seed).abs() + 0.1
    full = spread(scale, (4, 4, 4)).expand(4, 4, 4)
    for index in np.ndindex(4, 4, 4):
        assert full[index] == scale[tuple(i * n // 4 for i, n in zip(index, counts, strict=True))]


def test_the_source_fits_one_model():
    model, W = small(), quantize_weights(small(), ms.AbsMax(4, granularity=CHANNEL))
    W.check(model)
    part = QuantizedWeights({"first": W.layers["first"]})
    with pytest.raises(ValueError, match=r"no codes for layer 'second', 'head'"):
        part.check(model)
    part.check(model, partial=True)
    part.check(model, where=lambda name, module: name == "first")
    with pytest.raises(ValueError, match=r"has no layer 'other'; its layers: 'first'"):
        QuantizedWeights({"other": W.layers["first"]}).check(model)
    wrong = QuantizedWeights({**W.layers, "head": W.layers["first"]})
    with pytest.raises(ValueError, match=r"layer 'head': the codes have shape \(4, 2, 3, 3\), the layer \(6, 6\)"):
        wrong.check(model)
    with pytest.raises(ValueError, match="the codes have shape"):
        wrong.weight("head", model.head)
    single = W.weight("first", small(dtype=torch.float32).first)  # computed in float64, then rounded
    assert single.dtype == torch.float32
    assert torch.equal(single, W.layers["first"].dequantize().float())
    assert str(W) == "quantized weights: 3 layers, 216 weights at 4 bits, 236 bytes packed"


# -- MSE-optimal scales ---------------------------------------------------------------------------------------------


@given(bits=st.integers(2, 8), shape=st.sampled_from(SHAPES), seed=st.integers(0, 99), tails=st.booleans())
def test_mse_optimal_is_never_worse_than_absmax(bits, shape, seed, tails):
    weight = normal(shape, seed, torch.float64)
    weight = weight**3 if tails else weight
    left = ((mse_optimal(bits)(weight) - weight) ** 2).flatten(1).sum(1)
    absmax = ((ms.AbsMax(bits, granularity=CHANNEL)(weight) - weight) ** 2).flatten(1).sum(1)
    assert bool((left <= absmax * (1 + 1e-12)).all())  # sums of at most 24 squares, each off by a few eps


def lost(Q, module):
    return float(((Q(module.weight) - module.weight).double() ** 2).sum())


def test_mse_optimal_beats_absmax_on_the_trained_model(digits):
    """Every layer gains at 2 and 4 bits; in total 3.5 and 1.5 times."""
    for bits, least in ((2, 3.0), (4, 1.4)):
        absmax, best = (
            [lost(Q, m) for m in find(digits, None).values()]
            for Q in (ms.AbsMax(bits, granularity=CHANNEL), mse_optimal(bits))
        )
        assert all(b < a for a, b in zip(absmax, best, strict=True))
        assert sum(absmax) > least * sum(best)


@pytest.mark.parametrize("bits", [2, 6])
def test_a_finer_search_changes_less_than_a_thousandth(digits, bits):
    Q = mse_optimal(bits)
    finer = ms.MSEClip(bits, granularity=CHANNEL, candidates=3 * Q.candidates)
    for name in ("conv_in", "down_blocks.0.resnets.0.conv1", "mid_block.attentions.0.to_q"):
        module = digits.get_submodule(name)
        assert lost(Q, module) < 1.001 * lost(finer, module)


# -- SQNR -----------------------------------------------------------------------------------------------------------


def test_sqnr_of_layers_and_output():
    """Against a copy of the model whose parameters are overwritten."""
    model, Q = unet(), ms.AbsMax(3, granularity=CHANNEL)
    W = quantize_weights(model, {"conv_*": ms.AbsMax(8, granularity=CHANNEL), "mid_block.*": Q})
    x = normal((2, 1, 8, 8))
    before = copy.deepcopy(model.state_dict())
    table = sqnr_table(model, W, [(x, 10), (x, 500)])
    other = copy.deepcopy(model)
    signal = noise = 0.0
    rows = {row["layer"]: row for row in table.rows()}
    for name, module in find(other, None).items():
        own = module.weight.detach().double().numpy()
        if name in W.layers:
            module.weight.data = W.layers[name].dequantize()
        off = own - module.weight.detach().double().numpy()
        signal, noise = signal + (own**2).sum(), noise + (off**2).sum()
        expected = 10 * np.log10((own**2).sum() / (off**2).sum()) if name in W.layers else math.inf
        assert rows[name]["sqnr_db"] == pytest.approx(expected, rel=1e-12)
        assert rows[name]["bits"] == W.bits(name)
        assert rows[name]["weights"] == own.size
    assert table.weight_db == pytest.approx(10 * np.log10(signal / noise), rel=1e-12)
    with torch.no_grad():
        exact, rough = (torch.cat([m(x, t).sample for t in (10, 500)]).double() for m in (model, other))
    assert table.output_db == pytest.approx(
        decibel(float((exact**2).sum()), float(((exact - rough) ** 2).sum())), 1e-12
    )
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    text = str(table).splitlines()
    assert len(text) == 1 + len(rows) + 2
    assert f"{table.output_db:.2f} dB" in text[-1]
    assert "channel:axis=0" in text[1]
    assert "inf" in str(table)


def test_sqnr_gains_as_the_steps_get_finer(digits):
    found = [sqnr_table(digits, ms.AbsMax(b, granularity=CHANNEL)).weight_db for b in (4, 5, 6, 7, 8)]
    finer = [20 * math.log10((2**b - 1) / (2 ** (b - 1) - 1)) for b in (4, 5, 6, 7)]  # qmax of b+1 over that of b
    assert np.diff(found) == pytest.approx(finer, abs=0.05)
    row = sqnr_table(digits, ms.AbsMax(4, granularity=CHANNEL)).rows()[0]
    assert row["granularity"] == "channel:axis=0"
    assert row["bits"] == 4


def test_sqnr_refuses_what_has_no_answer():
    model = small()
    with pytest.raises(ValueError, match="no inputs"):
        output_sqnr(model, ms.AbsMax(4), [])
    with pytest.raises(TypeError, match="tuples of positional arguments"):
        output_sqnr(model, ms.AbsMax(4), [torch.ones(1, 2, 8, 8)])
    with pytest.raises(TypeError, match="weights must be a quantizer"):
        sqnr_table(model, "int4")
    with pytest.raises(ValueError, match="no Conv1d"):
        sqnr_table(nn.ReLU(), ms.AbsMax(4))
    assert decibel(1, 0) == math.inf
    assert decibel(0, 1) == -math.inf


def test_a_model_that_is_one_layer():
    layer = nn.Linear(4, 3).requires_grad_(False)
    W = quantize_weights(layer, ms.AbsMax(8, granularity=CHANNEL))
    assert list(W.layers) == ["(root)"]
    assert output_sqnr(layer, W, [(torch.ones(2, 4),)]) > 30


# -- files ----------------------------------------------------------------------------------------------------------


def same(a, b):
    return list(a.layers) == list(b.layers) and all(
        torch.equal(x.codes, y.codes)
        and torch.equal(x.scale, y.scale)
        and x.codes.dtype == y.codes.dtype
        and (x.bits, x.scheme, dict(x.info)) == (y.bits, y.scheme, dict(y.info))
        and x.scale.dtype == y.scale.dtype
        and (x.zero_point is y.zero_point is None or torch.equal(x.zero_point, y.zero_point))
        for x, y in zip(a.layers.values(), b.layers.values(), strict=True)
    )


def mixed(model):
    W = quantize_weights(model, {"first": ms.MinMax(8, granularity=CHANNEL), "*": ms.AbsMax(3, granularity=CHANNEL)})
    head = W.layers["head"]
    noted = LayerCodes(head.codes, head.scale, None, 3, "by hand", {"error": 0.25, "rows": 7})
    return QuantizedWeights({**W.layers, "head": noted})


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_saved_weights_come_back(tmp_path, dtype):
    W, path = mixed(small(dtype=dtype)), tmp_path / "deep" / "w.safetensors"
    W.save(path)
    assert same(QuantizedWeights.load(path), W)
    first = path.read_bytes()
    QuantizedWeights.load(path).save(path)
    assert path.read_bytes() == first
    assert not [p for p in path.parent.iterdir() if p != path]
    tensors = safetensors.torch.load_file(path)
    assert tensors["first.codes"].dtype == torch.uint8
    assert tensors["head.codes"].dtype == torch.int8
    assert tensors["first.zero_point"].shape == (4, 1, 1, 1)
    assert "head.zero_point" not in tensors
    with pytest.raises(ValueError, match=r"choose such a name"):
        W.save(tmp_path / "w.pt")
    with pytest.raises(ValueError, match="no layers"):
        QuantizedWeights({}).save(path)


def test_weights_made_by_others(tmp_path):
    """1-d scales, wide integers, no header: two keys per layer and bits= are enough."""
    model, path = small(dtype=torch.float32), tmp_path / "others.safetensors"
    g = torch.Generator().manual_seed(0)
    tensors, expected = {}, {}
    for name, module in find(model, None).items():
        shape = module.weight.shape
        code = torch.randint(0, 16, shape, generator=g)
        scale, zero = torch.rand(shape[0], generator=g) + 0.1, torch.randint(0, 16, (shape[0],), generator=g)
        tensors |= {f"{name}.codes": code, f"{name}.scale": scale, f"{name}.zero_point": zero.to(torch.int32)}
        each = (-1,) + (1,) * (len(shape) - 1)
        expected[name] = scale.reshape(each) * (code - zero.reshape(each))
    safetensors.torch.save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"bits of layer '\w+' are not in the file: pass bits=4"):
        QuantizedWeights.load(path)
    W = QuantizedWeights.load(path, bits=4)
    W.check(model)
    for name, module in find(model, None).items():
        assert torch.equal(W.weight(name, module), expected[name])
        assert W.bits(name) == 4
    with pytest.raises(ValueError, match=r"layer '\w+': codes span 0 ... 15, 3 bits"):
        QuantizedWeights.load(path, bits=3)
    assert QuantizedWeights.load(path, bits={"first": 5, "second": 4, "head": 8}).bits("first") == 5
    with pytest.raises(ValueError, match="bits=0"):
        QuantizedWeights.load(path, bits=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"head.codes": None}, r"layer 'head' has no 'head.codes'"),
        ({"head.scale": None}, r"layer 'head' has no 'head.scale'"),
        ({"head.scale": torch.full((6,), math.nan)}, r"layer 'head': the scale must be finite"),
        ({"head.scale": torch.ones(5)}, r"layer 'head': scale of shape \(5,\)"),
        ({"head.codes": torch.full((6, 6), 9, dtype=torch.int8)}, r"layer 'head': codes span 9 ... 9, 3 bits"),
        ({"head.codes": torch.ones(6, 6)}, r"layer 'head': codes must be an integer tensor"),
        ({"head.bias": torch.ones(6)}, r"key 'head.bias' is none of"),
        ({"codes": torch.ones(6)}, r"key 'codes' is none of"),
    ],
)
def test_files_that_do_not_fit_are_refused_by_layer(tmp_path, change, message):
    path = tmp_path / "w.safetensors"
    mixed(small()).save(path)
    with safetensors.safe_open(path, "pt") as file:
        header = file.metadata()
    tensors = {k: v for k, v in {**safetensors.torch.load_file(path), **change}.items() if v is not None}
    safetensors.torch.save_file(tensors, path, metadata=header)
    with pytest.raises(ValueError, match=message):
        QuantizedWeights.load(path)


def test_headers_that_contradict(tmp_path):
    path = tmp_path / "w.safetensors"
    W = mixed(small())
    W.save(path)
    with pytest.raises(ValueError, match=r"layer 'first' has 8 bits by its header, bits=4 was given"):
        QuantizedWeights.load(path, bits=4)
    tensors = safetensors.torch.load_file(path)
    for text, message in (
        ('{"version": 2, "layers": {}}', "version 2"),
        ("{", "list of layers cannot be read"),
        ("[]", "list of layers cannot be read"),
        ('{"version": 1}', "list of layers cannot be read"),
        ('{"version": 1, "layers": {"first": {"bits": 8}}}', "list of layers cannot be read"),
        ('{"version": 1, "layers": {"first": {"bits": "8", "scheme": "", "info": {}}}}', r"layer 'first'.*'8' bits"),
        ('{"version": 1, "layers": {"third": {"bits": 8, "scheme": "", "info": {}}}}', "'third' has no 'third.codes'"),
    ):
        header = {"modiff-sim weights": text}
        safetensors.torch.save_file(tensors, path, metadata=header)
        with pytest.raises(ValueError, match=message):
            QuantizedWeights.load(path, bits=8)
    safetensors.torch.save_file({}, path)
    with pytest.raises(ValueError, match="no layers in it"):
        QuantizedWeights.load(path)


class Evil:
    """Unpickled, it writes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("name", ["w.pt", "w.ckpt", "w.bin", "w.safetensors"])
@pytest.mark.parametrize("how", ["torch", "pickle"])
def test_a_pickle_is_not_opened(tmp_path, name, how):
    path, mark = tmp_path / name, tmp_path / "was_here"
    if how == "torch":
        torch.save({"first.codes": Evil(mark)}, path)
    else:
        path.write_bytes(pickle.dumps(Evil(mark)))
    with pytest.raises(ValueError, match="is a pickle"):
        QuantizedWeights.load(path)
    assert not mark.exists()


def test_damaged_files(tmp_path):
    path = tmp_path / "w.safetensors"
    mixed(small()).save(path)
    whole = path.read_bytes()
    for length in (0, 5, 8, 40, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="truncated, damaged or not a safetensors file"):
            QuantizedWeights.load(path)
    with pytest.raises(FileNotFoundError):
        QuantizedWeights.load(tmp_path / "none.safetensors")
    nested = {"first.codes": torch.ones(2, 2, dtype=torch.int8), "first.scale": torch.ones(2)}
    safetensors.torch.save_file(nested, path, metadata={"modiff-sim weights": "[" * 100_000})
    with pytest.raises(ValueError, match="list of layers cannot be read"):
        QuantizedWeights.load(path)
