"""A model that is changed while it is modulated is refused, at the next call or at a reset."""

import copy
import functools
import gc
import weakref

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

import modiff_sim as ms
from modiff_sim.nn import modulated, record
from modiff_sim.nn.hooks.changes import ModelChanged


def make(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Conv1d(5, 5, 3, padding=1)).eval().requires_grad_(False)


def hooked(layer):
    """As accelerate puts a hook on a layer."""
    layer._old_forward = old = layer.forward

    def forward(module, *args, **kwargs):
        return module._old_forward(*args, **kwargs)

    layer.forward = functools.update_wrapper(functools.partial(forward, layer), old)


def average(model):
    for mine, theirs in zip(model.parameters(), make(1).parameters(), strict=True):
        mine.data.copy_(theirs.data)  # torch's counter of writes does not see this


def one_entry(model):
    model[2].weight.data.view(-1)[37] += 1  # seen at the reset


class Doubled(nn.Linear):
    def forward(self, x):
        return 2 * super().forward(x)


CHANGES = {
    "another class": lambda m: setattr(m[0], "__class__", Doubled),
    "another forward": lambda m: setattr(m[0], "forward", lambda x: 2 * x),
    "its own forward again": lambda m: setattr(m[0], "forward", functools.partial(nn.Linear.forward, m[0])),
    "a forward deleted": lambda m: m[0].__dict__.pop("forward"),
    "loaded": lambda m: m.load_state_dict(make(1).state_dict()),
    "assigned": lambda m: m.load_state_dict(make(1).state_dict(), assign=True),
    "averaged through .data": average,
    ".data exchanged": lambda m: setattr(m[0].weight, "data", torch.ones(8, 8)),
    "a new parameter": lambda m: setattr(m[0], "weight", nn.Parameter(torch.ones(8, 8), requires_grad=False)),
    "a bias": lambda m: m[2].bias.add_(1),
    "no bias": lambda m: setattr(m[0], "bias", None),
    "half": lambda m: m.half(),
    "double": lambda m: m.double(),
    "a low-rank update": lambda m: m[0].weight.data.add_(torch.ones(8, 1) @ torch.ones(1, 8)),
    "pruned": lambda m: prune.l1_unstructured(m[0], "weight", 0.5),
    "parametrized": lambda m: parametrizations.weight_norm(m[0]),
    "replaced": lambda m: m.__setitem__(0, nn.Linear(8, 8)),
    "added": lambda m: m.append(nn.Linear(8, 8)),
    "added inside": lambda m: setattr(m[0], "adapter", nn.Linear(8, 2)),
    "taken away": lambda m: m.pop(2),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
@pytest.mark.parametrize("then", ["call", "reset"])
@pytest.mark.parametrize("weights", [None, ms.AbsMax(8)], ids=["own weights", "quantized weights"])
def test_a_change_is_noticed(change, then, weights):
    model, x = make(), torch.randn(2, 5, 8)
    with modulated(model, activations=ms.AbsMax(8), weights=weights) as run:
        model(x)
        change(model)
        with pytest.raises(ModelChanged, match="Leave the context, change the model, and enter the context again"):
            model(x) if then == "call" else run.reset()
        with pytest.raises(RuntimeError):
            run.reset()


def test_a_single_entry_is_noticed_at_the_reset():
    model, x = make(), torch.randn(2, 5, 8)
    with modulated(model, activations=ms.AbsMax(8)) as run:
        model(x)
        one_entry(model)
        with pytest.raises(ModelChanged, match="the weight of layer '2' was written to"):
            run.reset()


def test_what_does_not_change_the_layers_is_allowed():
    model, x = make(), torch.randn(2, 5, 8)
    with modulated(model, activations=ms.AbsMax(8)) as run:
        model(x)
        model[1].extra = nn.Identity()
        model[0].weight.requires_grad_(True).requires_grad_(False)
        model.train().eval()
        model[0].register_forward_hook(lambda *_: None)
        model(x)
        run.reset()
        model(x)


@pytest.mark.parametrize("then", ["call", "reset"])
def test_a_hook_that_is_taken_off_a_layer_is_noticed(then):
    """As accelerate does: what was there before the hook, and so before the context, is put back."""
    model, x = make(), torch.randn(2, 5, 8)
    hooked(model[2])
    with modulated(model, activations=ms.AbsMax(8)) as run:
        model(x)
        model[2].forward = model[2]._old_forward
        del model[2]._old_forward
        with pytest.raises(ModelChanged, match="the forward of '2' was exchanged"):
            model(x) if then == "call" else run.reset()


def test_a_forward_that_knows_the_run_does_not_go_by_what_was_there():
    model, x = make(), torch.randn(2, 5, 8)
    with modulated(model, activations=ms.AbsMax(8)) as run, record(model, ms.AbsMax(8)) as log:
        model(x)
        model[0].forward = lambda x: 0 * x if run or log else x
        with pytest.raises(ModelChanged, match="the forward of '0' was exchanged"):
            model(x)


before = {}  # where a script keeps what it has replaced


class Around:
    def __init__(self, inner):
        self._inner = inner

    def __call__(self, x):
        return self._inner(x)


def in_a_global(layer):
    before["forward"] = layer.forward
    layer.forward = lambda x: before["forward"](x)


def in_a_closure(layer):
    inner = layer.forward

    def one(x):
        return inner(x)

    layer.forward = lambda x: one(x)


class Slots:
    __slots__ = ("inner",)

    def __init__(self, inner):
        self.inner = inner

    def __call__(self, x):
        return self.inner(x)


WRAPPERS = {
    "object without a dict": lambda layer: setattr(layer, "forward", Slots(layer.forward)),
    "decorator": lambda layer: setattr(layer, "forward", torch.no_grad()(layer.forward)),
    "cache": lambda layer: setattr(layer, "forward", functools.lru_cache(None)(layer.forward)),
    "hook": hooked,
    "closure": in_a_closure,
    "global": in_a_global,
    "default": lambda layer: setattr(layer, "forward", lambda x, inner=layer.forward: inner(x)),
    "object": lambda layer: setattr(layer, "forward", Around(layer.forward)),
    "method": lambda layer: setattr(layer, "forward", Around(layer.forward).__call__),
}


@pytest.mark.parametrize("around", WRAPPERS.values(), ids=list(WRAPPERS))
def test_a_forward_that_is_put_around_a_layer_inside_is_allowed(around):
    """And when the context is left, what it leaves on the model holds nothing, and is copied with it."""
    model, x = nn.Sequential(nn.Linear(8, 8)).requires_grad_(False), torch.randn(2, 8)
    plain = model(x)
    with modulated(model, activations=ms.AbsMax(4)) as run:
        expected = [model(x), model(2 * x)]
        run.reset()
        around(model[0])
        assert all(torch.equal(model(k * x), y) for k, y in zip((1, 2), expected, strict=True))
    held = weakref.ref(run)
    del run
    gc.collect()
    assert held() is None
    assert torch.equal(model(x), plain)
    assert torch.equal(copy.deepcopy(model)(x), plain)
    before.clear()


def test_layers_in_other_memory_layouts_and_with_nan_are_unchanged():
    model = nn.Sequential(nn.Conv2d(3, 4, 3)).to(memory_format=torch.channels_last).requires_grad_(False)
    model[0].bias[0] = torch.nan  # equal to itself
    with modulated(model, activations=ms.Identity(), recursion="direct") as run:
        model(torch.randn(1, 3, 8, 8))
        run.reset()
        model(torch.randn(1, 3, 8, 8))
        model[0].weight.data.mul_(2)
        with pytest.raises(ModelChanged):
            model(torch.randn(1, 3, 8, 8))


@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
def test_a_weight_that_is_made_at_every_call_must_come_out_the_same():
    model, x = nn.Sequential(nn.utils.weight_norm(nn.Linear(8, 8))).requires_grad_(False), torch.randn(2, 8)
    with modulated(model, activations=ms.AbsMax(8), weights=ms.AbsMax(8)):
        model(x)
        model(x)
        model[0].weight_g.mul_(2)
        with pytest.raises(ModelChanged, match="the weight of layer '0' changed"):
            model(x)


def test_a_changed_model_is_given_back_as_it_was_changed():
    model = make()
    with modulated(model, activations=ms.AbsMax(8)):
        model.load_state_dict(make(1).state_dict())
    kept = copy.deepcopy(model)
    assert all(torch.equal(a, b) for a, b in zip(kept.parameters(), make(1).parameters(), strict=True))
    assert not any("forward" in vars(m) for m in model.modules())


# -- within a call -----------------------------------------------------------------------------------------------------


class Hyper(nn.Module):
    """The layer's weight is made by another layer, from the time."""

    def __init__(self):
        super().__init__()
        self.make, self.layer = nn.Linear(1, 64, bias=False), nn.Linear(8, 8)

    def forward(self, x, t):
        weight = self.make(torch.full((1, 1), t)).view(8, 8)
        return torch.func.functional_call(self.layer, {"weight": weight}, (x,))


class Fused(nn.Module):
    """An adapter is fused for the time of the call."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(8, 8)

    def forward(self, x, t):
        own = self.layer.weight.data
        self.layer.weight.data = own + t
        out = self.layer(x)
        self.layer.weight.data = own
        return out


class Biased(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(8, 8, bias=False)

    def forward(self, x, t):
        self.layer.bias = nn.Parameter(torch.full((8,), t), requires_grad=False)
        out = self.layer(x)
        self.layer.bias = None
        return out


@pytest.mark.parametrize("kind", [Hyper, Fused, Biased])
@pytest.mark.parametrize("recursion", ["direct", "closed_loop"])
def test_weights_that_change_for_the_time_of_a_call_are_refused(kind, recursion):
    model = kind().eval().requires_grad_(False)
    with (
        modulated(model, activations=ms.AbsMax(8), recursion=recursion),
        pytest.raises(ModelChanged, match="weight or bias of layer 'layer'"),
    ):
        model(torch.randn(2, 8), 0.5)


def as_buffer(layer):
    bias = layer.bias.clone()
    del layer.bias
    layer.register_buffer("bias", bias)


BIASES = {
    "pruned": (lambda m: prune.random_unstructured(m, "bias", amount=0.3), lambda m: m.bias_orig.data.add_(3)),
    "buffer": (as_buffer, lambda m: m.bias.add_(3)),
}


@pytest.mark.parametrize(("make_so", "change"), BIASES.values(), ids=list(BIASES))
def test_a_bias_that_is_no_parameter_must_come_out_the_same(make_so, change):
    model, x = nn.Sequential(nn.Linear(8, 8)).requires_grad_(False), torch.randn(4, 8)
    make_so(model[0])
    model(x)
    with modulated(model, activations=ms.AbsMax(8)):
        model(x)
        model(x)
        change(model[0])
        with pytest.raises(ModelChanged, match="the bias of layer '0' changed"):
            model(x)


@pytest.mark.parametrize("change", [{"dilation": (2, 2), "padding": (2, 2)}, {"padding_mode": "circular"}])
def test_settings_of_a_convolution_must_stay(change):
    model, x = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1)).requires_grad_(False), torch.randn(2, 8, 6, 6)
    with modulated(model, activations=ms.AbsMax(8)):
        model(x)
        for name, value in change.items():
            setattr(model[0], name, value)
        with pytest.raises(ModelChanged, match="stride, padding, dilation or groups of layer '0'"):
            model(x)


@pytest.mark.parametrize("weights", [None, ms.AbsMax(8)])
def test_weights_that_hooks_bring_for_a_call_are_taken_as_they_come(weights):
    """As sharding and casting do: nothing lies in the parameter between the calls."""
    plain = nn.Sequential(nn.Linear(8, 8)).requires_grad_(False)
    model = copy.deepcopy(plain)
    own = model[0].weight.data
    model[0].weight.data = torch.empty(0)
    model[0].register_forward_pre_hook(lambda m, _: setattr(m.weight, "data", own.clone()))
    model[0].register_forward_hook(lambda m, *_: setattr(m.weight, "data", torch.empty(0)))
    inputs = [torch.randn(4, 8, generator=torch.Generator().manual_seed(i)) for i in range(3)]
    made = []
    for net in (plain, model):
        with modulated(net, activations=ms.AbsMax(4), weights=weights):
            made.append([net(x) for x in inputs])
    assert all(torch.equal(a, b) for a, b in zip(*made, strict=True))
