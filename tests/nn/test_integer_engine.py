"""modulated(engine="integer"): the simulation's codes bit for bit, its outputs to rounding, all else declined."""

import pytest
import torch
from models import walk
from torch import nn

import modiff_sim as ms
from modiff_sim.nn import LayerCodes, QuantizedWeights, modulated, sample, zoo
from modiff_sim.nn.integer import engine as engines
from modiff_sim.nn.integer import machine_code
from modiff_sim.nn.integer.engine import Engine
from modiff_sim.nn.layers import Operator
from modiff_sim.recursion import Storage, Threshold

pytestmark = pytest.mark.skipif(not machine_code.runnable(), reason="needs llvmlite and a processor with AVX2")
ARM = {"activations": ms.AbsMax(4), "weights": ms.AbsMax(8)}
RECURSIONS = ["closed_loop", "open_loop", "direct"]


class Net(nn.Module):
    """Two, one and no axes in space; groups, strides, dilation, padding "same", three channels; a bias or none."""

    def __init__(self):
        super().__init__()
        self.image = nn.Sequential(
            nn.Conv2d(3, 24, 3, padding=1), nn.ReLU(inplace=True),
            nn.Conv2d(24, 40, 3, stride=2, padding=1, groups=2, bias=False), nn.SiLU(),
            nn.Conv2d(40, 20, (1, 3), padding="same", dilation=2), nn.SiLU(),
        )  # fmt: skip
        self.line, self.tokens = nn.Conv1d(20, 18, 3, padding=2), nn.Linear(18, 10)

    def forward(self, x):
        return self.tokens(self.line(self.image(x).flatten(2)).transpose(1, 2))


def net():
    torch.manual_seed(0)
    return Net().eval()


INPUTS = list(walk(5, batch=3, shape=(3, 8, 8), dtype=torch.float32))


def run(model, inputs=INPUTS, **options):
    with torch.no_grad(), modulated(model, **{**ARM, **options}) as run:
        outputs = [model(x) for x in inputs]
        return outputs, run.audit()


@pytest.mark.parametrize("recursion", RECURSIONS)
@pytest.mark.parametrize("granularity", [ms.PerSample(), ms.PerBatch()], ids=str)
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_outputs_are_those_of_the_simulation_up_to_rounding(recursion, granularity, bits):
    if bits == 8 and machine_code.runnable()[0].dot == "pairs":
        pytest.skip("8 bits overflow 16-bit sums")
    arm = {"activations": ms.AbsMax(bits, granularity=granularity), "recursion": recursion}
    made, audit = run(net(), engine="integer", **arm)
    simulated, expected = run(net(), **arm)
    # with 8 bits a code of a later layer flips, which costs a step of its grid; with fewer none does here
    most = 1e-4 if bits == 8 else 2e-6
    for a, b in zip(made, simulated, strict=True):
        assert (a - b).norm() <= most * b.norm()
    assert (audit.integer_share, audit.on_floats) == (1.0, {})
    assert expected.integer_share == 0.0
    assert audit.bops == expected.bops


def compared_over_a_run(name, processor, *, images, steps):
    """Compare the step of every layer and call of a sampling run with the simulation's, from the same state."""
    model, Q, compared = zoo.load(name), ms.AbsMax(4), 0
    with torch.no_grad(), modulated(model, activations=Q, weights=ms.AbsMax(8)) as active:
        made = Engine("integer", active.operators, {}, processor)
        assert made.declined == {}

        def observe(layer, call, a, info):
            nonlocal compared
            if (kept := active._states.present.layers.get((layer, 0))) is None:
                return
            state = kept.state.ref.clone(), kept.state.o_hat.clone()
            step = made.step(layer, Q, a, state, "closed_loop", ())
            assert torch.equal(step.ref, state[0] + info.residual_hat), layer
            exact = active.operators[layer].linear(info.residual_hat)
            assert (step.o_hat - (state[1] + exact)).norm() <= 1e-6 * step.o_hat.norm(), layer
            assert torch.equal(step.output, step.o_hat)
            compared += 1

        active.observers.append(observe)
        sample(model, images=images, batch=images, steps=steps, run=active)
        return compared, len(active._counts)


@pytest.mark.parametrize("processor", machine_code.runnable(), ids=lambda p: p.name)
def test_codes_are_those_of_the_simulation_bit_for_bit(processor):
    compared, layers = compared_over_a_run("digits", processor, images=4, steps=6)
    assert compared == 5 * layers


@pytest.mark.slow
@pytest.mark.parametrize("name", zoo.MODELS)
def test_codes_are_those_of_the_simulation_over_whole_runs(name):
    compared, layers = compared_over_a_run(name, machine_code.runnable()[0], images=2, steps=20)
    assert compared == 19 * layers


def test_bits_depend_neither_on_batch_nor_threads_nor_processor(monkeypatch):
    """Sums of integers are exact, which float convolutions are not."""
    wide = [x.repeat(4, 1, 1, 1) for x in INPUTS]
    once, _ = run(net(), engine="integer", recursion="direct")
    for threads in (1, 2):
        torch.set_num_threads(threads)
        many, _ = run(net(), wide, engine="integer", recursion="direct")
        assert all(torch.equal(a, b[:3]) and torch.equal(a, b[-3:]) for a, b in zip(once, many, strict=True))
    torch.set_num_threads(1)
    for processor in machine_code.runnable():
        monkeypatch.setattr(engines, "runnable", lambda processor=processor: (processor,))
        other, _ = run(net(), engine="integer", recursion="direct")
        assert all(torch.equal(a, b) for a, b in zip(once, other, strict=True))


def test_parts_of_a_product_are_put_together(monkeypatch):
    """Small models have no work for two threads; here every row is worth one."""
    monkeypatch.setattr("modiff_sim.nn.integer.layer.PART_MACS", 1)
    monkeypatch.setattr("modiff_sim.nn.integer.layer.PART_ENTRIES", 1)
    once, _ = run(net(), engine="integer")
    torch.set_num_threads(2)
    try:
        twice, _ = run(net(), engine="integer")
    finally:
        torch.set_num_threads(1)
    assert all(torch.equal(a, b) for a, b in zip(once, twice, strict=True))


def declined(model, name="0", inputs=INPUTS, **options):
    """Why the engine declined a layer; what it simulates is what the simulation gives."""
    made, audit = run(model, inputs, engine="auto", **options)
    simulated, _ = run(model, inputs, **options)
    assert all(torch.equal(a, b) for a, b in zip(made, simulated, strict=True))
    assert audit.integer_share == 0
    assert audit.on_floats[name] in str(audit)
    return audit.on_floats[name]


def layer(*args, **kwargs):
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 6, 3, *args, **kwargs)).eval()


class Doubled(nn.Conv2d):
    def _conv_forward(self, input, weight, bias):
        return super()._conv_forward(2 * input, weight, bias)


@pytest.mark.parametrize(
    ("model", "options", "why"),
    [
        (layer, {"weights": None}, "its weight is in full precision"),
        (layer, {"weights": ms.FP8E4M3()}, "no integer codes"),
        (layer, {"weights": ms.AbsMax(9)}, "2 to 8 bits as integer codes"),
        (layer, {"weights": ms.AbsMax(4, granularity=ms.PerGroup(3, axis=1))}, "scales by channel:axis=0,2,3"),
        (layer, {"activations": ms.MinMax(4)}, "and not AbsMax"),
        (layer, {"activations": ms.AbsMax(9)}, "and not AbsMax of 2 to 8 bits"),
        (layer, {"activations": ms.AbsMax(4, granularity=ms.PerChannel(1))}, "one scale per sample or batch"),
        (layer, {"skip": Threshold(0.1)}, "skip="),
        (layer, {"storage": Storage(ref=ms.AbsMax(8))}, "storage="),
        (lambda: layer(padding=1, padding_mode="circular"), {}, "its padding is 'circular'"),
        (lambda: layer(groups=3), {}, "its groups have 1 channels"),
        (lambda: layer().double(), {"inputs": [x.double() for x in INPUTS]}, "float64 on cpu"),
        (lambda: nn.Sequential(nn.utils.parametrizations.weight_norm(layer()[0])), {}, "made anew for every call"),
        (lambda: nn.Sequential(Doubled(3, 6, 3)), {}, "code of its own"),
        (layer, {"inputs": [1e-40 * x for x in INPUTS]}, "its scale is subnormal"),
    ],
)
def test_what_is_not_implemented_is_declined_with_the_reason(model, options, why):
    assert why in declined(model(), **options)


def test_an_input_of_another_kind_is_declined():
    model = layer()
    with torch.autocast("cpu", torch.bfloat16):
        assert "autocast" in declined(model)
    assert "no batch axis" in declined(model, inputs=[x[0] for x in INPUTS], activations="absmax:4@batch")


def test_layers_are_declined_one_by_one():
    model = net()
    plan = {"tokens": "minmax:4", "*": "absmax:4"}
    made, audit = run(model, engine="integer", activations=plan)
    assert list(audit.on_floats) == ["tokens"]
    assert 0 < audit.integer_share < 1
    assert {x.name: x.integer_calls for x in audit.layers if x.name in ("tokens", "line")} == {"tokens": 0, "line": 4}
    simulated, _ = run(model, activations=plan)
    assert (made[-1] - simulated[-1]).norm() <= 0.05 * simulated[-1].norm()


def test_an_engine_without_work_is_refused(monkeypatch):
    with pytest.raises(ValueError, match=r"none of the 1 layers can run on integers; '0': its weight is in full prec"):
        modulated(layer(), activations=ms.AbsMax(4), engine="integer").__enter__()
    monkeypatch.setattr(machine_code, "_version", lambda: (0, 44))
    with pytest.raises(ValueError, match=r"pip install 'modiff-sim\[fast\]'"):
        modulated(layer(), **ARM, engine="integer").__enter__()
    _, audit = run(layer(), engine="auto")
    assert "[fast]" in audit.on_floats["0"]
    monkeypatch.undo()
    monkeypatch.setattr(machine_code, "runnable", lambda: ())
    assert "AVX2" in machine_code.why_not()


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_a_call_that_fails_leaves_the_state(bad):
    """The buffers of two steps take turns, so that a failed call has not written what it read."""
    model = net()
    plain, _ = run(model, engine="integer")
    broken = INPUTS[3].clone()
    broken[1, 0, 0, 0] = bad
    with torch.no_grad(), modulated(model, **ARM, engine="integer"):
        outputs = [model(x) for x in INPUTS[:3]]
        for _ in range(2):
            with pytest.raises(ValueError, match=r"layer 'image.0', call 3.*(NaN|Inf)"):
                model(broken)
        outputs += [model(x) for x in INPUTS[3:]]
    assert all(torch.equal(a, b) for a, b in zip(outputs, plain, strict=True))


def test_an_output_may_be_written_into():
    """Net has a ReLU in place; here the caller writes into what it was given as well."""
    plain, _ = run(net(), engine="integer")
    model = net()
    with torch.no_grad(), modulated(model, **ARM, engine="integer"):
        for x, expected in zip(INPUTS, plain, strict=True):
            y = model(x)
            assert torch.equal(y, expected)
            y.fill_(torch.nan)


def test_modes_may_change_and_a_refresh_comes_between():
    plain, audit = run(net(), engine="integer", refresh=3)
    assert {x.integer_calls for x in audit.layers} == {3}  # of five calls the first and the fourth are exact
    model = net()
    with modulated(model, **ARM, engine="integer", refresh=3):
        outputs = []
        for call, x in enumerate(INPUTS):
            with torch.inference_mode(call % 2 == 0):
                outputs.append(model(x).clone())
    assert all(torch.equal(a, b) for a, b in zip(outputs, plain, strict=True))


@pytest.mark.parametrize("zero", [None, torch.full((6, 1, 1, 1), 100)])
def test_ready_made_codes_are_taken_as_they_are(zero):
    """Unsigned codes with zero points are moved to where int8 holds them."""
    torch.manual_seed(0)
    model = layer()
    codes = torch.randint(0 if zero is None else 80, 120, (6, 3, 3, 3))
    weights = QuantizedWeights({"0": LayerCodes(codes, torch.linspace(0.01, 0.02, 6), zero, bits=8)})
    made, audit = run(model, engine="integer", weights=weights)
    simulated, _ = run(model, weights=weights)
    assert audit.integer_share == 1
    assert (made[-1] - simulated[-1]).norm() <= 1e-6 * simulated[-1].norm()


def test_codes_beyond_int8_are_declined():
    codes = torch.randint(0, 256, (6, 3, 3, 3))
    codes[0, 0, 0, 0], codes[0, 0, 0, 1] = 0, 255
    weights = QuantizedWeights({"0": LayerCodes(codes, torch.tensor(0.01), torch.tensor(10), bits=8)})
    assert "beyond int8" in declined(layer(), weights=weights)


def test_sums_that_could_overflow_are_declined():
    module = nn.Linear(70_000, 1)
    with torch.no_grad():
        module.weight.fill_(1.0)
    operator = Operator("wide", module, ms.AbsMax(8))
    made = Engine("integer", {"wide": operator}, {}, machine_code.runnable()[0])
    if made._layers["wide"].processor.dot == "quads":
        assert made.step("wide", ms.AbsMax(8), torch.ones(1, 70_000), None, "direct", ()) is None
        assert "overflow 32 bits" in made.declined["wide"]
    assert made.step("wide", ms.AbsMax(4), torch.ones(1, 70_000), None, "direct", ()).output.item() == pytest.approx(
        70_000 + module.bias.item(), rel=1e-6
    )


def test_memory_is_counted_and_let_go():
    model = net()
    with torch.no_grad(), modulated(model, **ARM, engine="integer") as active:
        empty = active.buffer_bytes()
        assert empty >= sum(x.weight.numel() for x in model.modules() if hasattr(x, "weight"))  # a byte each
        for x in INPUTS:
            model(x)
        held = active.buffer_bytes()
        active.reset()
        assert empty <= active.buffer_bytes() < held  # without codes and spare states
    assert active.buffer_bytes() == 0
