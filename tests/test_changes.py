"""A model that is changed while it is modulated is refused, at the next call or at a reset."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

import modiff_sim as ms
from modiff_sim.nn import modulated
from modiff_sim.nn.changes import ModelChanged


def make(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Conv1d(5, 5, 3, padding=1)).eval().requires_grad_(False)


def average(model):
    for mine, theirs in zip(model.parameters(), make(1).parameters(), strict=True):
        mine.data.copy_(theirs.data)  # torch's counter of writes does not see this


def one_entry(model):
    model[2].weight.data.view(-1)[37] += 1  # seen at the reset


CHANGES = {
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
