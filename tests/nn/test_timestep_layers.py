"""Layers of the timestep in models of one's own: by their names, and by running the model where names say nothing."""

import pytest
import torch
from models import small
from models import unet as tiny
from torch import nn

import modiff_sim as ms
from modiff_sim.nn import except_, first_layer, last_layer, modulated, time_embedding
from modiff_sim.nn.plans.select import selected

X = torch.zeros(2, 1, 8, 8)
MAKE = {"a layer": lambda: nn.Linear(8, 8), "several": lambda: nn.Sequential(nn.Linear(8, 8), nn.SiLU())}


class Net(nn.Module):
    """A U-Net in small, which registers the embedding of the timestep, under any name, ahead of its convolutions."""

    def __init__(self, name, make=MAKE["a layer"], block="temb_proj"):
        super().__init__()
        self.names = name, block
        setattr(self, name, make())
        self.stem, self.middle, self.out = (nn.Conv2d(i, o, 3, padding=1) for i, o in ((1, 8), (8, 8), (8, 1)))
        setattr(self, block, nn.Linear(8, 8))

    def forward(self, x, t, more=None):
        waves = torch.exp(-torch.arange(4.0)) * t[:, None]
        embedded = getattr(self, self.names[0])(torch.cat([waves.sin(), waves.cos()], 1))
        added = getattr(self, self.names[1])(torch.relu(embedded))[..., None, None]
        return self.out(torch.relu(self.middle(self.stem(x) + added)))


NAMES = ("temb", "time_mlp", "time_emb", "t_embed", "emb", "timestep_embedding", "time_embedding", "time_embed",
         "time_proj", "t_emb",
         "timeEmbedding", "time_mlp1", "noise_level_mlp", "embed", "diffusion_embedding")  # fmt: skip


@pytest.mark.parametrize("make", MAKE)
@pytest.mark.parametrize("name", NAMES)
def test_common_names_are_known_of_a_layer_and_of_what_is_in_a_module(name, make):
    model = Net(name, MAKE[make])
    assert selected(model, first_layer(model)) == ["stem"]
    assert selected(model, last_layer(model)) == ["out"]
    inside = [name] if make == "a layer" else [f"{name}.0"]
    assert selected(model, time_embedding(model)) == [*inside, "temb_proj"]
    assert selected(model, except_(time_embedding(model))) == ["stem", "middle", "out"]


def test_names_of_other_things_are_not_taken_for_the_timestep():
    class Other(nn.Module):
        def __init__(self):
            super().__init__()
            for name in ("time_conv", "time_stack", "patch_embed", "x_embedder", "proj_out", "classifier", "text_emb",
                         "to_q", "temporal", "emb"):  # fmt: skip
                setattr(self, name, nn.Conv2d(1, 1, 1) if name in ("time_conv", "emb") else nn.Linear(1, 1))

    with pytest.warns(UserWarning, match="no layer of Other"):
        assert selected(Other(), time_embedding(Other())) == []
    plain = nn.ModuleDict({"emb": nn.Linear(4, 4), "time_emb": nn.Linear(1, 4), "head": nn.Linear(4, 4)})
    assert selected(plain, time_embedding(plain)) == ["time_emb"]  # without convolutions emb may read the input
    assert selected(plain, first_layer(plain)) == ["emb"]


def test_a_linear_ahead_of_the_first_convolution_is_not_the_first_layer_and_this_is_said():
    model = Net("mystery", block="riddle")
    said = r"takes 'stem', the first convolution of Net, and passes over mystery, which .* first_layer\(model, x\)"
    with pytest.warns(UserWarning, match=said):
        assert selected(model, first_layer(model)) == ["stem"]
    with pytest.warns(UserWarning, match=r"time_embedding keeps none: give an example input, .*, or a pattern"):
        assert repr(time_embedding(model)) == "layers: none"


def test_running_a_model_finds_its_layers_whatever_they_are_called():
    model = Net("mystery", block="riddle").eval()
    assert selected(model, first_layer(model, X)) == ["stem"]
    assert selected(model, last_layer(model, X)) == ["out"]
    assert selected(model, time_embedding(model, X, 20, more=None)) == ["mystery", "riddle"]
    with modulated(model, activations=ms.AbsMax(4), where=except_(time_embedding(model, X))) as run:
        model(X, torch.tensor([3, 3]))
    assert run.audit().excluded == ("mystery", "riddle")


def test_running_agrees_with_names_and_leaves_the_model_as_it_was():
    model = tiny()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for choose in (first_layer, last_layer, time_embedding):
        assert selected(model, choose(model, X)) == selected(model, choose(model))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_a_linear_that_reads_the_image_is_the_first_layer():
    class Patches(nn.Module):
        def __init__(self):
            super().__init__()
            self.entry, self.exit = nn.Linear(8, 8), nn.Conv2d(1, 1, 3, padding=1)

        def forward(self, x, t):
            return self.exit(self.entry(x))

    model = Patches().eval()
    assert selected(model, first_layer(model, X)) == ["entry"]
    assert selected(model, time_embedding(model, X)) == []


@pytest.mark.parametrize(
    ("make", "example", "error", "said"),
    [(lambda: Net("a").train(), X, ValueError, r"model\.eval\(\)"), (lambda: Net("a").eval(), 3, TypeError, "got 3"),
     (lambda: Net("a").eval().to("meta"), X, ValueError, "load its weights first"),
     (lambda: small(), X, RuntimeError, "should be the same")],
)  # fmt: skip
def test_an_example_that_cannot_be_run_is_refused(make, example, error, said):
    with pytest.raises(error, match=said):
        time_embedding(make(), example)


def test_a_model_that_ignores_its_input_has_no_first_layer():
    class Deaf(nn.Module):
        def __init__(self):
            super().__init__()
            self.own = nn.Linear(8, 8)

        def forward(self, x, t):
            return self.own(torch.zeros_like(x))

    with pytest.raises(ValueError, match="no Conv1d, Conv2d or Linear layer of Deaf has an input that changes with x"):
        first_layer(Deaf().eval(), X)
