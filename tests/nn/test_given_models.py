"""What is given as a model: a pipeline in its place, and names of layers that cannot be quantized."""

import pytest
import torch
from models import ddim_pipeline
from torch import nn

import modiff_sim as ms
from modiff_sim import nn as torch_path
from modiff_sim.nn.measure.sqnr import sqnr_table
from modiff_sim.nn.models.shapes import model_shapes
from modiff_sim.nn.plans.reuse import matching

X, T = torch.zeros(1, 1, 8, 8), torch.tensor([3])

#: every entrance that takes a model
ENTRANCES = {
    "modulated": lambda model: torch_path.modulated(model, activations="absmax:4").__enter__(),
    "modulated by layer": lambda model: torch_path.modulated(model, activations={"*": "absmax:4"}).__enter__(),
    "record": lambda model: torch_path.record(model, "absmax:4"),
    "transfer": lambda model: torch_path.transfer(model, X, T),
    "probed": lambda model: torch_path.probed(model, timesteps=[3]),
    "sample": lambda model: torch_path.sample(model, images=1, steps=2, batch=1),
    "calibrate": lambda model: torch_path.calibrate(model, lambda resets: None, bits=4),
    "adaround": lambda model: torch_path.adaround(model, "absmax:4", [(X, T)]),
    "quantize_weights": lambda model: torch_path.quantize_weights(model, "absmax:4"),
    "sqnr_table": lambda model: sqnr_table(model, ms.AbsMax(4)),
    "first_layer": torch_path.first_layer,
    "last_layer": torch_path.last_layer,
    "time_embedding": torch_path.time_embedding,
    "with_layers": lambda model: torch_path.with_layers(model, ms.AbsMax(4), ("conv_in", ms.AbsMax(8))),
    "skip_splits": torch_path.skip_splits,
    "skip_splits by running": lambda model: torch_path.skip_splits(model, X, T),
    "with_splits": lambda model: torch_path.with_splits(ms.AbsMax(4), model),
    "deepcache": torch_path.deepcache,
    "matching": lambda model: matching(model, "*", every=2),
    "model_shapes": lambda model: model_shapes(model, X, T),
    "layer_shapes": lambda model: torch_path.layer_shapes(model, X, T),
    "count_products": lambda model: torch_path.count_products(model, X, T),
}


@pytest.fixture(scope="module")
def pipeline():
    return ddim_pipeline()


@pytest.mark.parametrize("name", ENTRANCES)
def test_a_pipeline_in_place_of_a_model_is_told_what_to_pass(name, pipeline):
    said = (
        r"the model must be a torch\.nn\.Module, got DDIMPipeline: pass its network \(pipeline\.unet\); "
        "for a whole pipeline use"
    )
    with pytest.raises(TypeError, match=said):
        ENTRANCES[name](pipeline)


@pytest.mark.parametrize(("given", "said"), [(nn.Linear, "got the class Linear: make one"), ("x", "got str 'x'")])
def test_what_is_no_model_is_named(given, said):
    with pytest.raises(TypeError, match=said):
        torch_path.record(given, "absmax:4")


def test_what_adapters_load_is_told_to_have_a_denoiser(pipeline, tmp_path):
    pipeline.unet.save_pretrained(tmp_path)
    with pytest.raises(TypeError, match=r"got Loaded: pass its \.denoiser"):
        torch_path.record(torch_path.adapters.load(str(tmp_path)), "absmax:4")


class Upwards(nn.Module):
    """A convolution, and a transposed one, which nothing here quantizes."""

    def __init__(self):
        super().__init__()
        self.first, self.up = nn.Conv2d(1, 1, 3, padding=1), nn.ConvTranspose2d(1, 1, 1)

    def forward(self, x):
        return self.up(self.first(x))


def test_a_layer_that_cannot_be_quantized_is_known_wherever_it_is_named():
    model, why = Upwards().eval(), r"up \(ConvTranspose2d\) is none of Conv1d, Conv2d, Linear, and is left as it is"
    with torch_path.record(model, "absmax:4") as log:
        model(X)
    for draw in (lambda: log.plot.violins(["first", "up"]), lambda: log.plot.sizes(layer="up")):
        with pytest.raises(ValueError, match=f"layer 'up' is not recorded: {why}"):
            draw()
    with pytest.raises(ValueError, match="unknown layer 'frist'; known: first; did you mean 'first'"):
        log.plot.violins(["frist"])
    four = {"activations": "absmax:4"}
    for options in (four | {"where": "u*"}, {"activations": {"up": "absmax:4", "*": "absmax:8"}},
                    four | {"weights": {"up": "absmax:4"}}):  # fmt: skip
        with pytest.raises(ValueError, match=why), torch_path.modulated(model, **options):
            pass


def test_an_option_that_a_modulated_pipeline_does_not_take(pipeline):
    with pytest.raises(TypeError, match=r"modulated_pipeline takes no activation=; did you mean 'activations'"):
        torch_path.modulated_pipeline(pipeline, activation="absmax:4")
