"""What an audit claims to cover: all MACs of a call, weights used elsewhere, axis 0, layers that are not linear."""

import pytest
import torch
from models import unet, walk
from torch import nn
from torch.nn.utils import parametrizations, prune
from torch.utils.flop_counter import FlopCounterMode

import modiff_sim as ms
from modiff_sim.nn import Attention, modulated, record


def tokens(steps=4, shape=(2, 5, 8)):
    g = torch.Generator().manual_seed(0)
    x = torch.randn(shape, generator=g)
    return [x + 0.1 * k * torch.randn(shape, generator=g) for k in range(steps)]


def audited(model, inputs, call=None, **arm):
    with torch.no_grad(), modulated(model, **({"activations": ms.AbsMax(4), "recursion": "direct"} | arm)) as run:
        made = [(call or model)(x) for x in inputs]
    return made, run.audit()


def flops(model, *args):
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(*args)
    return counter.get_total_flops()


@pytest.mark.parametrize("inference", [False, True])
def test_all_macs_of_a_call_are_counted(inference):
    """torch counts 2 FLOPs per MAC, and none of attention on a CPU."""
    model, x = unet(), next(walk(1, shape=(1, 8, 8), dtype=torch.float32))
    with torch.inference_mode(inference):
        _, audit = audited(model, [x] * 3, lambda x: model(x, 5).sample, warmup=3, recursion="closed_loop")
    rest = sum(audit.elsewhere.values())
    assert 2 * (audit.watched_macs - rest) == flops(model, x, 5)
    assert rest == audit.product_macs / 3  # attention alone, in full precision
    assert audit.total_share == pytest.approx(audit.mac_share * (1 - rest / audit.watched_macs))
    eight = Attention(q=ms.AbsMax(8), k=ms.AbsMax(8), v=ms.AbsMax(8), softmax=ms.AbsMax(8))
    _, whole = audited(model, [x], lambda x: model(x, 5).sample, attention=eight)
    assert (whole.covered_share, whole.watched_macs) == (1, audit.watched_macs)


class Tied(nn.Module):
    """One layer's weight is used past its forward, and a matrix that is no layer."""

    def __init__(self):
        super().__init__()
        self.a, self.matrix, self.up = nn.Linear(8, 8), nn.Parameter(torch.randn(8, 8)), nn.ConvTranspose1d(5, 5, 3)

    def forward(self, x):
        return self.up(nn.functional.linear(self.a(x), self.a.weight) @ self.matrix)


def test_the_share_of_all_macs_tells_of_tied_weights_and_unsupported_layers():
    model, inputs = Tied().requires_grad_(False), tokens()
    _, audit = audited(model, inputs)
    linear, up = 2 * 5 * 8 * 8, 2 * 5 * 5 * 8 * 3
    assert (audit.watched_macs, audit.elsewhere) == (3 * linear + up, {"(root)": 2 * linear, "up": up})
    assert audit.mac_share == 1
    assert audit.total_share == pytest.approx(linear / (3 * linear + up))
    assert audit.borrowed == (("a", "(root)"),)
    assert audit.unsupported == ("(root) (Tied)", "up (ConvTranspose1d)")
    shown = str(audit)
    assert f"total: {audit.total_share:.1%} of all MACs" in shown
    assert "weights used in full precision outside of their layer: a (in (root))" in shown
    assert 2 * audit.watched_macs == flops(model, inputs[0])


def test_layers_that_are_left_out_count_among_all_macs():
    model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8)).requires_grad_(False)
    _, audit = audited(model, tokens(), where=lambda name, _: name == "0")
    assert (audit.covered_share, audit.elsewhere) == (0.5, {"1": 2 * 5 * 64})


def test_a_failed_first_call_is_not_the_one_that_is_watched():
    model, (x, *_) = nn.Sequential(nn.Linear(8, 8)).requires_grad_(False), tokens()
    with modulated(model, activations=ms.AbsMax(4)) as run:
        with pytest.raises(ValueError, match="not finite"):
            model(x / 0)
        model(x)
    assert run.audit().watched_macs == 2 * 5 * 64


# -- axis 0 ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", [nn.Conv2d(3, 4, 3), nn.Conv1d(3, 4, 3)], ids=["Conv2d", "Conv1d"])
def test_a_convolution_without_a_batch_axis_is_refused_unless_one_scale_serves_all(layer):
    model = nn.Sequential(layer).requires_grad_(False)
    x = torch.randn(3, *(8,) * (layer.weight.ndim - 2))
    for Q in (ms.AbsMax(4), ms.AbsMax(4, granularity=ms.PerChannel(1)), ms.AbsMax(4, granularity=ms.PerToken())):
        with pytest.raises(ValueError, match=r"layer '0': its input .* has no batch axis"):
            audited(model, [x], activations=Q)
    whole = ms.AbsMax(4, granularity=ms.PerBatch())
    (alone,), _ = audited(model, [x], activations=whole)
    (batch,), _ = audited(model, [x[None]], activations=whole)
    assert torch.equal(alone, batch[0])
    with pytest.raises(ValueError, match="no skip="):
        audited(model, [x], activations=whole, recursion="closed_loop", skip=ms.Threshold(0.1))
    for Q in (ms.Identity(), ms.Zero()):
        audited(model, [x], activations=Q)


def test_the_audit_shows_how_many_scales_a_sample_has():
    linear = nn.Linear(8, 8)

    class Folded(nn.Module):
        def __init__(self):
            super().__init__()
            self.l = linear

        def forward(self, x):  # (samples, frames, features), frames folded into the batch
            return self.l(x.flatten(0, 1)).unflatten(0, x.shape[:2])

    def scales(model, x, **arm):
        _, audit = audited(model, [x], **arm)
        return [layer.scales_per_sample for layer in audit.layers if layer.calls]

    x = torch.randn(2, 5, 8)
    assert scales(nn.Sequential(linear), x) == [1]
    assert scales(nn.Sequential(linear), x, activations=ms.AbsMax(4, granularity=ms.PerToken())) == [5]
    assert scales(nn.Sequential(linear), x, activations=ms.AbsMax(4, granularity=ms.PerBatch())) == [0.5]
    assert scales(Folded(), x) == [5]
    tokens_first = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0).eval().requires_grad_(False)
    assert scales(tokens_first, torch.randn(5, 2, 8)) == [2.5, 2.5]  # 5 token positions, 2 samples
    samples_first = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True).eval().requires_grad_(False)
    assert scales(samples_first, torch.randn(2, 5, 8)) == [1, 1]


# -- layers whose operation is not what their class says ---------------------------------------------------------------


class Shifted(nn.Conv2d):
    def _conv_forward(self, x, weight, bias):
        return super()._conv_forward(x, weight, bias) + 1


class Rounded(nn.Conv1d):
    """Quantizes its own input, to 8 bits."""

    def _conv_forward(self, x, weight, bias):
        scale = x.abs().max() / 127
        return super()._conv_forward((x / scale).round() * scale, weight, bias)


class Demodulated(nn.Conv2d):
    """Linear: the weight is scaled."""

    def _conv_forward(self, x, weight, bias):
        return super()._conv_forward(x, weight * 0.5, bias)


@pytest.mark.parametrize(
    ("layer", "linear"),
    [(Shifted(2, 2, 1), False), (Rounded(2, 2, 1), False), (Demodulated(2, 2, 1), True), (nn.Conv2d(2, 2, 1), True)],
    ids=["shifted", "rounded", "demodulated", "stock"],
)
def test_a_layer_that_is_not_linear_is_left_out_by_name(layer, linear):
    model = nn.Sequential(layer).eval().requires_grad_(False)
    inputs = [torch.randn(1, 2, *(4,) * (layer.weight.ndim - 2)) for _ in range(4)]
    before = torch.get_rng_state()
    exact = {"activations": ms.Identity(), "recursion": "closed_loop"}
    made, audit = audited(model, inputs, **exact)
    assert all((y - model(x)).abs().max() < 1e-5 for x, y in zip(inputs, made, strict=True))
    named = () if linear else (f"0 ({type(layer).__name__}: not linear)",)
    assert audit.unsupported == named
    assert [x.name for x in audit.layers] == (["0"] if linear else [])
    assert torch.equal(torch.get_rng_state(), before)  # the trial's numbers are its own


def test_a_method_that_was_put_on_one_layer_is_tried_as_well():
    model = nn.Sequential(nn.Conv2d(2, 2, 1)).requires_grad_(False)
    plain = model[0]._conv_forward
    model[0]._conv_forward = lambda x, w, b: plain(x, w, b).relu()
    x = torch.randn(1, 2, 4, 4)
    (y, *_), audit = audited(model, [x])
    assert torch.equal(y, model(x))
    assert audit.unsupported == ("0 (Conv2d: not linear)",)


# -- forwards of others, weights that are made anew --------------------------------------------------------------------


def around(layer):
    """What offloading and casting do: the forward of the one layer is replaced by one that calls the old one."""
    old = layer.forward
    layer.forward = lambda *args, **kwargs: old(*args, **kwargs)


@pytest.mark.parametrize("kind", ["linear", "convolution", "circular", "keyword"])
@pytest.mark.parametrize("recursion", ms.RECURSIONS)
def test_forwards_of_others_around_a_layer_change_nothing(kind, recursion):
    make = {
        "linear": lambda: nn.Linear(8, 8),
        "convolution": lambda: nn.Conv1d(5, 4, 3, padding=1),
        "circular": lambda: nn.Conv1d(5, 4, 3, padding=1, padding_mode="circular"),
        "keyword": lambda: nn.Linear(8, 8),
    }[kind]
    model = nn.Sequential(make()).requires_grad_(False)
    call = (lambda x: model[0](input=x)) if kind == "keyword" else None
    if kind == "keyword":
        model = model[0]
        call = lambda x: model(input=x)  # noqa: E731
    arm = {"recursion": recursion, "weights": ms.AbsMax(8)}
    expected, counted = audited(model, tokens(), call, **arm)
    layer = model if kind == "keyword" else model[0]
    around(layer)
    theirs = layer.forward
    made, audit = audited(model, tokens(), call, **arm)
    assert all(torch.equal(a, b) for a, b in zip(made, expected, strict=True))
    assert (audit.rows(), audit.unsupported) == (counted.rows(), ())
    assert layer.forward is theirs
    assert "_conv_forward" not in vars(layer)
    with record(model, ms.AbsMax(4)) as log:
        [(call or model)(x) for x in tokens()]
    assert log.calls == 4


def test_a_forward_that_is_put_around_a_layer_inside_the_context_outlives_it():
    model, inputs = nn.Sequential(nn.Linear(8, 8)).requires_grad_(False), tokens()
    full = [model(x) for x in inputs]
    expected, _ = audited(model, inputs)
    with modulated(model, activations=ms.AbsMax(4), recursion="direct"):
        around(model[0])
        theirs = model[0].forward
        assert all(torch.equal(model(x), y) for x, y in zip(inputs, expected, strict=True))
    assert model[0].forward is theirs
    assert all(torch.equal(model(x), y) for x, y in zip(inputs, full, strict=True))
    again, _ = audited(model, inputs)
    assert all(torch.equal(a, b) for a, b in zip(again, expected, strict=True))


REMADE = {
    "weight norm, by hooks": nn.utils.weight_norm,
    "spectral norm, by hooks": nn.utils.spectral_norm,
    "weight norm": parametrizations.weight_norm,
    "spectral norm": parametrizations.spectral_norm,
    "pruned": lambda layer: prune.l1_unstructured(layer, "weight", 0.5),
}


@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
@pytest.mark.parametrize("wrap", REMADE.values(), ids=list(REMADE))
@pytest.mark.parametrize("recursion", ["direct", "closed_loop"])
def test_a_weight_that_is_made_at_every_call_is_quantized_as_it_is_then(wrap, recursion):
    def make(seed):
        torch.manual_seed(seed)
        return nn.Sequential(wrap(nn.Linear(8, 8))).eval().requires_grad_(False)

    trained, model, inputs = make(0), make(1), tokens()
    model.load_state_dict(trained.state_dict())
    weight = trained(torch.eye(8)).sub(trained[0].bias).T  # as it really is
    plain = nn.Sequential(nn.Linear(8, 8)).requires_grad_(False)
    plain[0].weight.copy_(weight)
    plain[0].bias.copy_(trained[0].bias)
    arm = {"weights": ms.AbsMax(4), "recursion": recursion}
    for _ in range(2):
        made, audit = audited(model, inputs, **arm)
        expected, _ = audited(plain, inputs, **arm)
        assert all(torch.allclose(a, b, rtol=0, atol=1e-5) for a, b in zip(made, expected, strict=True))
        assert audit.unsupported == ()
        assert audit.covered_share > 0.85  # spectral norm multiplies a matrix to make its weight


@pytest.mark.parametrize("weights", [None, ms.AbsMax(4)])
@pytest.mark.parametrize("layer", [nn.Linear(8, 8), nn.Conv1d(5, 5, 3, padding=1)], ids=["Linear", "Conv1d"])
def test_recording_inside_a_run_sees_layers_that_others_have_put_a_forward_around(layer, weights):
    model = nn.Sequential(layer).requires_grad_(False)
    around(layer)
    arm = {"recursion": "closed_loop", "weights": weights}
    expected, _ = audited(model, tokens(), **arm)
    with torch.no_grad(), modulated(model, activations=ms.AbsMax(4), **arm), record(model, ms.AbsMax(4)) as log:
        made = [model(x) for x in tokens()]
    assert all(torch.equal(a, b) for a, b in zip(made, expected, strict=True))
    norms = torch.linalg.vector_norm(tokens()[3].flatten(1), dim=1)
    assert log.stats["0", 3, "a"].norm == pytest.approx(norms.numpy(), rel=1e-6)
    del layer.forward


OTHERS = {
    "another bias": lambda m, x: nn.functional.linear(x, m.weight) + 3 * m.bias,
    "another weight": lambda m, x: nn.functional.linear(x, 2 * m.weight, m.bias),
}


@pytest.mark.parametrize("forward", OTHERS.values(), ids=list(OTHERS))
def test_an_operation_with_other_numbers_inside_a_replaced_forward_is_left_out(forward):
    model = nn.Sequential(nn.Linear(8, 8)).requires_grad_(False)
    model[0].forward = lambda x: forward(model[0], x)
    made, audit = audited(model, tokens())
    assert all(torch.equal(y, model(x)) for x, y in zip(tokens(), made, strict=True))
    assert audit.total_share == 0


class Clamped(nn.Conv1d):
    def _conv_forward(self, x, weight, bias):
        return super()._conv_forward(x.clamp(-8, 8), weight, bias)


class Passing(nn.Conv1d):
    """Linear: hands on its input."""

    def _conv_forward(self, x, weight, bias):
        return x


def test_linearity_is_tried_at_the_size_of_the_input():
    model = nn.Sequential(Clamped(5, 5, 3)).requires_grad_(False)
    made, audit = audited(model, [20 * x for x in tokens()])
    assert audit.unsupported == ("0 (Clamped: not linear)",)
    assert all(torch.equal(y, model(20 * x)) for x, y in zip(tokens(), made, strict=True))


@pytest.mark.parametrize("recursion", ms.RECURSIONS)
def test_outputs_of_a_layer_that_hands_on_its_input_are_their_own(recursion):
    model = nn.Sequential(Passing(5, 5, 3)).requires_grad_(False)
    made, _ = audited(model, tokens(), recursion=recursion)
    with torch.no_grad(), modulated(model, activations=ms.AbsMax(4), recursion=recursion) as run:
        run.observers.append(lambda *_: None)
        expected = [model(x) for x in tokens()]
    assert all(torch.equal(a, b) for a, b in zip(made, expected, strict=True))


UNCOUNTED = {
    "lstm": (nn.LSTM(8, 8, batch_first=True), lambda m, x: m(x)[0], ["rnn", "lstm"]),
    "bilinear": (nn.Bilinear(8, 8, 8), lambda m, x: m(x, x), ["trilinear"]),
    "distances": (nn.Identity(), lambda m, x: torch.cdist(x, x), ["cdist"]),
}


@pytest.mark.parametrize(("other", "call", "names"), UNCOUNTED.values(), ids=list(UNCOUNTED))
def test_operations_that_cannot_be_counted_are_named(other, call, names):
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.other = nn.Linear(8, 8), other

        def forward(self, x):
            return call(self.other, self.layer(x))

    _, audit = audited(Both().eval().requires_grad_(False), tokens())
    assert any(name in said for name in names for said in audit.uncounted)
    assert "total: at most" in str(audit)


@pytest.mark.parametrize("operation", ["addmm_", "baddbmm_", "addbmm"])
def test_operations_in_place_are_counted(operation):
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(8, 8)

        def forward(self, x):
            y = self.layer(x)
            if operation == "addmm_":
                return y[0].addmm_(torch.ones(5, 9), torch.ones(9, 8))
            if operation == "addbmm":
                return torch.addbmm(y[0], torch.ones(2, 5, 9), torch.ones(2, 9, 8))
            return y.baddbmm_(torch.ones(2, 5, 9), torch.ones(2, 9, 8))

    _, audit = audited(Both().requires_grad_(False), tokens())
    assert sum(audit.elsewhere.values()) == (1 if operation == "addmm_" else 2) * 5 * 9 * 8


def test_a_share_that_nobody_has_watched_is_unknown():
    model = nn.Sequential(nn.Linear(8, 8)).requires_grad_(False)
    forward = model.forward
    with modulated(model, activations=ms.AbsMax(4)) as run:
        forward(tokens()[0])
    audit = run.audit()
    assert audit.covered_share != audit.covered_share
    assert "an unknown share of all MACs" in str(audit)


def test_a_call_in_another_shape_later_is_looked_at_too():
    model = nn.Sequential(nn.Conv2d(3, 4, 3)).requires_grad_(False)
    x = torch.randn(3, 8, 8)
    with pytest.raises(ValueError, match="has no batch axis"):
        audited(model, [x[None], x])
