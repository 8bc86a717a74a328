"""The SQNR at the output for weights that are made anew at every call, and for layers that share one weight."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

import modiff_sim as ms
from modiff_sim.nn import modulated, sqnr_table
from modiff_sim.nn.measure.sqnr import output_sqnr

pytestmark = pytest.mark.filterwarnings("ignore:.*weight_norm. is deprecated:FutureWarning")

Q = ms.AbsMax(4)
CALLS = [(torch.randn(n, 8, generator=torch.Generator().manual_seed(n)),) for n in (2, 2, 5)]


class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b = nn.Linear(8, 16), nn.Linear(16, 8)
        self.eval()

    def forward(self, x):
        return self.b(torch.tanh(self.a(x)))


REMADE = {
    "weight norm, hook": nn.utils.weight_norm,
    "weight norm, parametrization": parametrizations.weight_norm,
    "spectral norm, hook": nn.utils.spectral_norm,
    "spectral norm, parametrization": parametrizations.spectral_norm,
    "pruned": lambda layer: prune.l1_unstructured(layer, "weight", 0.3),
}


def by_hand(exact, rough, calls=CALLS):
    """dB, of two models that are called with the same inputs."""
    with torch.no_grad():
        pairs = [(exact(*inputs).double(), rough(*inputs).double()) for inputs in calls]
    signal, noise = sum((e**2).sum() for e, _ in pairs), sum(((e - r) ** 2).sum() for e, r in pairs)
    return 10 * math.log10(signal / noise)


def overwritten(weights, biases):
    """A plain model with these weights, quantized, and these biases."""
    plain = Plain()
    for layer, weight, bias in zip((plain.a, plain.b), weights, biases, strict=True):
        layer.weight.data, layer.bias.data = Q(weight.detach().clone()), bias.detach().clone()
    return plain


@pytest.mark.parametrize("kind", REMADE)
def test_weights_that_are_made_anew_are_quantized_too(kind):
    model = Plain()
    with torch.no_grad():
        model.a.weight *= torch.linspace(0.5, 2, 16)[:, None]
    REMADE[kind](model.a)
    model.eval().requires_grad_(False)(torch.ones(1, 8))
    before = copy.deepcopy(model.state_dict())
    expected = by_hand(model, overwritten((model.a.weight, model.b.weight), (model.a.bias, model.b.bias)))
    assert output_sqnr(model, Q, CALLS) == pytest.approx(expected, abs=1e-4)
    assert sqnr_table(model, Q, CALLS).output_db == pytest.approx(expected, abs=1e-4)
    half = overwritten((model.a.weight, model.b.weight), (model.a.bias, model.b.bias))
    half.b.weight.data = model.b.weight.detach().clone()
    found = output_sqnr(model, Q, CALLS, where=lambda name, _: name == "a")
    assert found == pytest.approx(by_hand(model, half), abs=1e-4)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


class Tied(nn.Module):
    def __init__(self, *, tied=True):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b = nn.Linear(8, 8), nn.Linear(8, 8)
        self.b.weight = self.a.weight if tied else nn.Parameter(self.a.weight.detach().clone())
        self.requires_grad_(False)

    def forward(self, x):
        return self.b(torch.tanh(self.a(x)))


@pytest.mark.parametrize("kept", ["a", "b", "ab"])
def test_layers_that_share_a_weight_are_quantized_where_asked(kept):
    rough = Tied(tied=False)
    for name in kept:
        layer = getattr(rough, name)
        layer.weight.data = Q(layer.weight.data)
    found = output_sqnr(Tied(), Q, CALLS, where=None if kept == "ab" else lambda name, _: name == kept)
    assert found == pytest.approx(by_hand(Tied(), rough), abs=1e-4)


class Language(nn.Module):
    """The output layer's weight is the embedding's, which stays in full precision."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embedding, self.out = nn.Embedding(10, 8), nn.Linear(8, 10, bias=False)
        self.out.weight = self.embedding.weight
        self.requires_grad_(False)

    def forward(self, i):
        return self.out(torch.tanh(self.embedding(i)))


def test_an_embedding_that_shares_its_weight_stays_exact():
    rough, calls = Language(), [(torch.arange(10)[None],)]
    rough.out.weight = nn.Parameter(Q(rough.embedding.weight.data), requires_grad=False)
    assert output_sqnr(Language(), Q, calls) == pytest.approx(by_hand(Language(), rough, calls), abs=1e-4)


def test_a_row_is_of_the_weight_that_a_call_uses():
    """Spectral norm writes it at the first call; before, the attribute holds the weight that is not normed."""
    model = Plain()
    model.a.weight.data *= 3
    nn.utils.spectral_norm(model.a).eval().requires_grad_(False)
    fixed = ms.Static(8, scale=0.01, granularity=ms.PerBatch())  # its error depends on the size of what it rounds
    row = sqnr_table(model, fixed, CALLS).rows()[0]
    with torch.no_grad():
        model(*CALLS[0])
    made, rough = model.a.weight.double(), fixed(model.a.weight).double()
    assert row["sqnr_db"] == pytest.approx(10 * math.log10((made**2).sum() / ((made - rough) ** 2).sum()), abs=1e-3)


def test_what_is_modulated_is_refused():
    model = Tied()
    with (
        modulated(model, activations=Q),
        pytest.raises(RuntimeError, match=r"is modulated already .* leave that context first"),
    ):
        output_sqnr(model, Q, CALLS)
    assert output_sqnr(model, Q, iter(CALLS)) == output_sqnr(model, Q, CALLS)  # inputs that can be read once
