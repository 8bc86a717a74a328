"""Looking at a model on the meta device leaves it as it was, whatever its hooks and its forward write."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

from modiff_sim import AbsMax
from modiff_sim.nn import layer_shapes, model_shapes, modulated
from modiff_sim.nn.models.memory import live_bytes, needs

pytestmark = pytest.mark.filterwarnings("ignore:.*weight_norm. is deprecated:FutureWarning")

KINDS = {
    "plain": lambda layer: layer,
    "weight norm, hook": nn.utils.weight_norm,
    "weight norm, parametrization": parametrizations.weight_norm,
    "spectral norm, hook": nn.utils.spectral_norm,
    "pruned": lambda layer: prune.l1_unstructured(layer, "weight", 0.3),
}
LOOKS = {
    "layer_shapes": layer_shapes,
    "model_shapes": model_shapes,
    "live_bytes": live_bytes,
    "needs": lambda model, x: needs(model, x, weights=True, states=True),
}


class Model(nn.Module):
    def __init__(self, kind):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b = nn.Linear(8, 8), nn.Linear(8, 8)
        with torch.no_grad():  # torch copies no module whose made weight has a gradient
            KINDS[kind](self.a)
        self.table, self.tables, self.seen, self.calls = None, {}, [], 0
        self.register_buffer("running", torch.zeros(8))

    def forward(self, x):
        y = self.b(self.a(x).relu())
        self.table, self.tables["y"], self.calls = y, y, self.calls + 1
        self.seen.append(y)
        self.running = self.running + y.mean(0)
        return y


def of(model):
    """All that may have been written: tensors by what they are and what they hold."""
    entries = {(m, k): v for m in model.modules() for k, v in vars(m).items()}
    held = {
        (m, k, part): t
        for m in model.modules()
        for part in ("_parameters", "_buffers")
        for k, t in vars(m)[part].items()
    }
    values = {k: v.detach().clone() for k, v in {**entries, **held}.items() if isinstance(v, torch.Tensor)}
    return {**entries, **held}, values, (dict(model.tables), list(model.seen))


def assert_same(now, before):
    assert now[0].keys() == before[0].keys()
    assert all(v is before[0][k] for k, v in now[0].items())
    assert all(torch.equal(v, before[1][k]) for k, v in now[1].items())
    assert now[2] == before[2]


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("look", LOOKS)
def test_the_model_stays_as_it_was(look, kind, training):
    model = Model(kind).requires_grad_(False)
    model.train(training)
    x = torch.ones(2, 8)
    before = of(model)
    LOOKS[look](model, x)
    assert_same(of(model), before)
    with pytest.raises(RuntimeError, match="Model does not run on the meta device"):
        LOOKS[look](model, torch.ones(3, 3))
    assert_same(of(model), before)
    other = copy.deepcopy(model.eval())
    with modulated(model, activations=AbsMax(4), recursion="direct") as run, torch.no_grad():
        model(x)
        assert run.audit().mac_share == 1
    with torch.no_grad():
        assert torch.equal(model(x), other(x))


class Looks(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 3)

    def forward(self, x):
        return self.linear(x) if x.sum().item() == 0 else x


@pytest.mark.parametrize("look", ["live_bytes", "needs"])
def test_a_model_that_looks_at_values_has_no_prediction(look):
    with pytest.raises(
        RuntimeError, match=r"^Looks does not run on the meta device \(.*\): .* choose its batch yourself"
    ):
        LOOKS[look](Looks(), torch.zeros(2, 3))


@pytest.mark.parametrize("look", LOOKS)
def test_a_model_that_is_modulated_is_refused(look):
    model = Model("plain").requires_grad_(False)
    with modulated(model, activations=AbsMax(4)), pytest.raises(RuntimeError, match="outside of that context"):
        LOOKS[look](model, torch.ones(2, 8))
    with pytest.raises(TypeError, match=r"must be a torch\.nn\.Module"):
        LOOKS[look]("model", torch.ones(2, 8))
