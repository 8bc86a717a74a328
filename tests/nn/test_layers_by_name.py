"""Names and text where the torch path takes quantizers, weights and layers."""

import pytest
import torch

import modiff_sim as ms
from modiff_sim.nn import Attention, first_layer, last_layer, modulated, quantize_weights, record, with_layers
from modiff_sim.nn.plans.plan import ByLayer


def model():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.SiLU(), torch.nn.Linear(8, 4))


def outputs(net, **options):
    x = torch.linspace(-1, 1, 12).reshape(3, 4)
    with modulated(net, **options) as run:
        made = [net(x), net(0.9 * x)]
    return torch.stack(made), {layer.name: (layer.activation_bits, layer.weight_bits) for layer in run.audit().layers}


def test_text_means_the_same_bytes_as_the_object():
    net = model()
    said, _ = outputs(net, activations="absmax:4", weights="absmax:8", where="2", warmup="quantized")
    meant, _ = outputs(
        net, activations=ms.AbsMax(4), weights=ms.AbsMax(8), where=lambda name, _: name == "2", warmup="quantized"
    )
    assert torch.equal(said, meant)


def test_patterns_choose_bits_by_layer_and_the_rest_stays_in_full_precision():
    net = model()
    _, bits = outputs(
        net, activations={"0": "absmax:8", "*": ms.AbsMax(4)}, weights={"0": "absmax:8"}, recursion="direct"
    )
    assert bits == {"0": (8.0, 8), "2": (4.0, 32)}
    made, bits = outputs(net, activations={"2": "absmax:8"}, recursion="direct")
    assert bits["0"][0] != bits["0"][0]  # nothing of it is quantized
    exact, _ = outputs(net, activations=ByLayer({"2": ms.AbsMax(8)}, ms.Identity()), recursion="direct")
    assert torch.equal(made, exact)


def test_predicates_are_keys_as_well():
    net = model().append(torch.nn.Linear(4, 2))
    keys = {first_layer(net): "absmax:8", last_layer(net): {"*": "absmax:6"}, "*": "absmax:4"}
    by_name = {"0": "absmax:8", "2": "absmax:4", "3": "absmax:6"}
    one, bits = outputs(net, activations=keys, weights={first_layer(net): "absmax:8"}, recursion="direct")
    two, _ = outputs(net, activations=by_name, weights={"0": "absmax:8"}, recursion="direct")
    assert torch.equal(one, two)
    assert bits == {"0": (8.0, 8), "2": (4.0, 32), "3": (6.0, 32)}
    weights = quantize_weights(net, {first_layer(net): "absmax:8", "*": "absmax:4"})
    assert {name: codes.bits for name, codes in weights.layers.items()} == {"0": 8, "2": 4, "3": 4}
    for name, tau in ((first_layer(net), 0.5), ("0", 0.5)):
        with modulated(net, activations="absmax:4", skip={name: ms.Threshold(tau)}) as run:
            assert run.options.of_layer("0").skip == ms.Threshold(tau)
            assert run.options.of_layer("2").skip is None
    assert repr(first_layer(net)) == "layers: 0"


@pytest.mark.parametrize(
    ("keys", "said"),
    [({lambda name, _: name == "5": "absmax:8"}, "activations: a predicate keeps no layer of Sequential"),
     ({"0": "absmax:4", lambda name, _: name == "0": "absmax:8"}, "keeps layers that keys before it name already")],
)  # fmt: skip
def test_predicates_that_do_nothing_are_refused(keys, said):
    with pytest.raises(ValueError, match=said):
        modulated(model(), activations=keys)
    with pytest.raises(TypeError, match=r"keys of ByLayer are names .*modulated\(model, activations=.*with_layers"):
        ByLayer(keys)


def test_layers_are_chosen_by_patterns_predicates_and_lists_of_them():
    net = model()
    for where in ("0", ["0"], ("0", lambda name, _: False), lambda name, _: name == "0"):
        assert list(outputs(net, activations="absmax:4", where=where)[1]) == ["0"]
        with record(net, "absmax:3", where=where) as log:
            net(torch.ones(2, 4))
        assert log.layers == ["0"]
        assert list(quantize_weights(net, ms.AbsMax(8), where=where).layers) == ["0"]


def test_other_places_take_text_as_well():
    assert Attention(q="absmax:8", k=ms.AbsMax(8)).q == ms.AbsMax(8)
    assert ms.Storage(ref="absmax:8", o_hat="float16") == ms.Storage(ref=ms.AbsMax(8), o_hat="float16")
    plan = with_layers(model(), "absmax:4", ("0", "absmax:8"))
    assert [plan.quantizer(name, 0).bits for name in ("0", "2")] == [8, 4]


@pytest.mark.parametrize("mapped", [False, True])
def test_text_for_weights_means_the_axes_of_a_weight(mapped):
    """(out, in, kh, kw): a channel is an output channel, and groups run along the input channels."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv2d(4, 6, 3), torch.nn.SiLU(), torch.nn.Conv2d(6, 2, 3))
    net[0].weight.data[3] *= 100  # one output channel is far larger: shared with others, it would take their codes
    weight = net[0].weight.detach().clone()
    for text, meant in (
        ("absmax:4@channel", ms.AbsMax(4, granularity=ms.PerChannel(0))),
        ("absmax:4@group:2", ms.AbsMax(4, granularity=ms.PerGroup(2, axis=1))),
        ("absmax:4@batch", ms.AbsMax(4, granularity=ms.PerBatch())),
        ("absmax:4", ms.AbsMax(4, granularity=ms.PerChannel(0))),
    ):
        weights = {"0": text, "2": "absmax:8"} if mapped else text
        with modulated(net, activations="identity", weights=weights, recursion="direct") as run:
            found = run.operators["0"].weight
        assert torch.equal(found.reshape(weight.shape), meant(weight)), text
    with pytest.raises(ValueError, match="has no tokens"):
        quantize_weights(net, "absmax:4@token")


@pytest.mark.parametrize(
    ("options", "said"),
    [({"weights": {"0": "absmax:8"}, "where": "2"}, "weights for '0', which is none of the layers"),
     ({"activations": {"0": "absmax:8", "2": "absmax:4"}, "where": "2"}, "'0' is of layers that where= leaves out"),
     ({"activations": {"*": "absmax:8", "2": "absmax:4"}}, "activations: '2' never counts, since patterns before it"),
     ({"weights": {"*": "absmax:8", "2": "absmax:4"}}, "weights for '2' never count, since patterns before it"),
     ({"activations": {"0": "absmax:8", "*": {"?": "absmax:4", "2": "absmax:3"}}}, "'2' never counts")],
)  # fmt: skip
def test_a_pattern_that_would_do_nothing_is_refused(options, said):
    with pytest.raises(ValueError, match=said), modulated(model(), **({"activations": "absmax:4"} | options)):
        pass


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [({"activations": "absmx:4"}, ValueError, r"did you mean 'absmax'\?"),
     ({"activations": {"3": "absmax:4"}}, ValueError, "activations: '3' is none of the layers"),
     ({"activations": "absmax:4", "weights": {"3": "absmax:4"}}, ValueError, "weights for '3'"),
     ({"activations": "absmax:4", "where": "3"}, ValueError, "the pattern '3' fits none of the 2 layers"),
     ({"activations": "absmax:4", "where": ["0", "3"]}, ValueError, "the pattern '3' fits none of the 2 layers"),
     ({"activations": "absmax:4", "where": 3}, TypeError, "where must be a pattern of layers' names or a function"),
     ({"activations": "absmax:4", "where": [3]}, TypeError, "where must be a pattern"),
     ({"activations": "absmax:4", "recursion": "closed-loop"}, ValueError, r"did you mean 'closed_loop'\?"),
     ({"activations": "absmax:4", "engine": "simulate"}, ValueError, r"did you mean 'simulated'\?"),
     ({"activations": 4}, TypeError, "or text such as 'absmax:4'")],
)  # fmt: skip
def test_what_fits_nothing_is_refused(options, error, said):
    net = model()
    with pytest.raises(error, match=said), modulated(net, **options):
        pass
    assert not net[0]._forward_pre_hooks  # and the model is untouched


def test_a_function_runs_as_a_quantizer():
    coarse = ms.Custom(lambda a: torch.round(4 * a) / 4, kappa=1, bits=3)
    made, bits = outputs(model(), activations=coarse, recursion="direct")
    assert bits["0"][0] == 3.0
    assert torch.isfinite(made).all()
