"""Models of every form: where the timestep goes, what of the answer is the prediction, and what is refused by name."""

from collections import namedtuple
from dataclasses import dataclass, make_dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from models import unet
from torch import nn

import modiff_sim as ms
from modiff_sim.nn import modulated, sample, zoo
from modiff_sim.nn.hooks.calling import caller, likeliest, prediction, unwrapped
from modiff_sim.nn.sampling import denoiser

SETTING = {"images": 2, "batch": 2, "steps": 3, "shape": (1, 4, 4)}


class Base(nn.Module):
    def __init__(self):
        super().__init__()
        self.c = nn.Conv2d(1, 1, 1)
        nn.init.constant_(self.c.weight, 0.5)
        nn.init.zeros_(self.c.bias)
        self.eval()

    def at(self, x, t):
        assert isinstance(t, torch.Tensor)
        assert t.dtype == torch.int64
        assert t.shape == (len(x),)
        return self.c(x) + t[:, None, None, None] / 1000


class Positional(Base):
    def forward(self, x, t):
        return self.at(x, t)


class Unnamed(Base):
    def forward(self, x, when):
        return self.at(x, when)


class Keyword(Base):
    def forward(self, x, *, timesteps):
        return self.at(x, timesteps)


class Between(Base):
    def forward(self, x, y=None, time=None):
        assert y is None
        return self.at(x, time)


class Before(Base):
    def forward(self, t, x):
        return self.at(x, t)


class Anything(Base):
    def forward(self, *args, **named):
        return self.at(*args, **named)


class Labelled(Base):
    def forward(self, x, t, y):
        assert y.shape == (len(x),)
        return self.at(x, t)


class Second(Base):
    def forward(self, x, y, t):
        return self.at(x, t)


class Tuple(Base):
    def forward(self, x, t):
        return self.at(x, t), {"features": x}


class List(Base):
    def forward(self, x, t):
        return [self.at(x, t)]


class Dict(Base):
    def forward(self, x, t):
        return {"features": x[:, :, :1], "eps": self.at(x, t), "loss": None}


@dataclass
class Answer:
    hidden: torch.Tensor
    sample: torch.Tensor


class Dataclass(Base):
    def forward(self, x, t):
        return Answer(x[:1], self.at(x, t))


class Namespace(Base):
    def forward(self, x, t):
        return SimpleNamespace(sample=self.at(x, t))


class Named(Base):
    def forward(self, x, t):
        return namedtuple("Out", "mean pred")(x[:, :, :1], self.at(x, t))


class Variance(Base):
    def forward(self, x, t):
        return torch.cat([self.at(x, t), 9 * x], 1)


class Number(Base):
    def forward(self, x, t: int):
        assert type(t) is int
        return self.at(x, torch.full((len(x),), t))


FORMS = [Positional, Unnamed, Keyword, Between, Before, Anything, Tuple, List, Dict, Dataclass, Namespace, Named,
         Variance, Number]  # fmt: skip


@pytest.fixture(scope="module")
def expected():
    return sample(Positional(), **SETTING)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_images(form, expected):
    assert np.array_equal(sample(form(), **SETTING), expected)


@pytest.mark.parametrize("form", [Labelled, Second])
def test_conditions_go_by_name(form, expected):
    found = sample(form(), conditions={"y": torch.tensor([3])}, **SETTING)
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("form", [Positional, Keyword, Before, Tuple, Dict])
def test_every_form_runs_as_an_arm(form):
    model = form()
    arms = []
    for _ in range(2):
        with modulated(model, activations=ms.AbsMax(4)) as run:
            arms.append(sample(model, **SETTING))
        assert run.audit().model_calls == SETTING["steps"]
    assert np.array_equal(*arms)
    with modulated(model, activations=ms.Identity(), recursion="direct"):
        assert np.array_equal(sample(model, **SETTING), sample(Positional(), **SETTING))


def test_models_inside_others(expected):
    parallel = nn.DataParallel(Keyword())
    assert isinstance(unwrapped(parallel), Keyword)
    compiled = torch.compile(Positional(), backend="eager")
    assert isinstance(unwrapped(compiled), Positional)
    assert np.array_equal(sample(nn.DataParallel(Positional()).eval(), **SETTING), expected)


@pytest.mark.parametrize("name", ["digits"])
def test_a_tensor_changes_no_bytes_of_the_zoo(name):
    """diffusers' models make the same tensor of a number."""
    model, x = zoo.load(name), torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for t in (0, 7, 999):
            assert torch.equal(denoiser(model)(x, t), model(x, t).sample)


def test_models_without_a_timestep_are_refused():
    class Level(nn.Module):
        def forward(self, x, sigma):
            return x

    class Labels(nn.Module):
        def forward(self, x, class_labels):
            return x

    for model, why in (
        (nn.Conv2d(1, 1, 1), "Conv2d.forward takes no timestep, it has input"),
        (Labels(), "takes no timestep, it has x, class_labels"),
        (Level(), "takes a noise level, 'sigma'.*wrap the model"),
    ):
        with pytest.raises(ValueError, match=why):
            sample(model.eval(), **SETTING)


def of(signature, timestep, answer="self.at(x, when)"):
    """A model of this signature that takes one of its arguments for the timestep."""
    found = {}
    exec(f"def forward({signature}):\n    when = {timestep}\n    return {answer}", {"torch": torch}, found)
    return type("Model", (Base,), found)()


@pytest.mark.parametrize(("signature", "timestep"), [
    ("self, x, step=0, timestep=0", "timestep"), ("self, x, step, t", "t"), ("self, x, step=None, t=None", "t"),
    ("self, x, timesteps=None, t=None", "timesteps"), ("self, x, t, timestep=None", "t"),
    ("self, x, t_now", "t_now"), ("self, x, current_t", "current_t"), ("self, x, tt", "tt"), ("self, x, k", "k"),
    ("self, x, index", "index"), ("self, x, time_cond", "time_cond"), ("self, x, diffusion_step", "diffusion_step"),
    ("self, x, y=None, step_index=None", "step_index"), ("self, x, noise=None, *, ts", "ts"),
    ("self, x, tau: torch.Tensor, y=None", "tau"), ("self, x, s: 'Tensor'", "s"), ("self, x, *args", "args[0]"),
    ("self, x, t, sigma=None", "t"),
])  # fmt: skip
def test_the_timestep_goes_where_a_name_says_so(signature, timestep, expected):
    conditions = {"step": torch.zeros(1)} if "step, t" in signature else None
    assert np.array_equal(sample(of(signature, timestep), conditions=conditions, **SETTING), expected)


@pytest.mark.parametrize("name", ["sigma_t", "log_snr_t", "snr", "alpha", "alphas_cumprod", "noise", "noise_scale",
                                  "logSNR", "gamma_t", "lambda_s", "level", "input_sigma"])  # fmt: skip
@pytest.mark.parametrize("annotation", ["", ": torch.Tensor", "=None"])
def test_a_noise_level_is_refused_as_one(name, annotation):
    with pytest.raises(ValueError, match=f"Model.forward takes a noise level, {name!r}.*makes the level of t"):
        sample(of(f"self, x, {name}{annotation}", name), **SETTING)


@pytest.mark.parametrize("signature", [
    "self, x, text", "self, x, text: torch.Tensor", "self, x, prompt_embeds=None", "self, x, r", "self, x, t_emb",
    "self, x, tau: torch.Tensor, image", "self, x, time_ids", "self, x, cond=None, *args", "self, x, img: torch.Tensor",
    "self, x, num_steps_count", "self, x, **named", "self, x, cond_t", "self, x, x_t=None", "self, x, tau: str",
])  # fmt: skip
def test_an_argument_that_is_not_named_as_a_timestep_is_refused(signature):
    with pytest.raises(ValueError, match=r"takes no timestep, it has x, .*name it so, or wrap the model"):
        sample(of(signature, "0"), **SETTING)


@pytest.mark.parametrize("answer", [
    "{'x_start': 5 * x, 'model_noise': self.at(x, when)}", "{'logvar': 9 * x, 'noise_hat': self.at(x, when)}",
    "__import__('collections').namedtuple('Out', 'a b')(x, x)", "(None, x, x)", "{'a': torch.cat([x, x], 1), 'b': x}",
])  # fmt: skip
def test_several_entries_of_unknown_names_are_refused(answer):
    with pytest.raises(
        ValueError, match=r"in which 2 entries may be the prediction: (x_start, model|logvar, noise|a, b|.1., .2.)"
    ):
        sample(of("self, x, t", "t", answer), **SETTING)


@pytest.mark.parametrize("answer", [
    "{'x_start': 5 * x, 'eps': self.at(x, when)}", "{'other': x, 'pred': self.at(x, when), 'features': x}",
    "{'noise': 9 * x, 'noise_pred': self.at(x, when)}", "{'aux': x[:, :, :1], 'result': self.at(x, when)}",
])  # fmt: skip
def test_a_known_name_or_the_only_shape_decides(answer, expected):
    assert np.array_equal(sample(of("self, x, t", "t", answer), **SETTING), expected)


def test_the_likeliest_of_several_unknown_names_is_none():
    x = torch.zeros(2, 3)
    assert likeliest({"a": x, "b": torch.zeros(4)}) is x
    assert likeliest({"a": torch.zeros(2, 3), "eps": x}) is x
    with pytest.raises(ValueError, match="2 entries may be the prediction: a, b"):
        likeliest({"a": x, "b": x})


def test_a_model_that_wants_the_timestep_otherwise_is_told_what_it_got():
    class Branches(Base):
        def forward(self, x, t):
            return x if t > 500 else 0 * x

    with pytest.raises(RuntimeError) as caught:
        sample(Branches(), **SETTING)
    assert "int64 (2,)" in caught.value.__notes__[0]


@pytest.mark.parametrize(("answer", "shown"), [
    (None, "NoneType without a prediction .*it holds: no tensor"),
    ((), "tuple without"), ("eps", "str without"),
    ({"a": torch.zeros(2, 3)}, r"dict without.*it holds: a \(2, 3\)"),
    (torch.zeros(2, 3, 4, 4), r"Tensor without.*itself \(2, 3, 4, 4\)"),
    (make_dataclass("Out", ["z"])(torch.zeros(1)), r"Out without.*z \(1,\)"),
    (torch.distributions.Normal(0.0, 1.0), "Normal without"),
])  # fmt: skip
def test_an_answer_without_a_prediction_says_what_it_holds(answer, shown):
    with pytest.raises(ValueError, match=shown):
        prediction(answer, torch.zeros(2, 1, 4, 4))


def test_one_number_per_sample_keeps_its_shape():
    assert prediction(torch.zeros(5), torch.zeros(5)).shape == (5,)
    assert caller(Before())(torch.zeros(2, 1, 4, 4), 3).shape == (2, 1, 4, 4)


# values and places --------------------------------------------------------------------------------------------------


def fourier():
    from diffusers import UNet2DModel

    with torch.random.fork_rng():
        torch.manual_seed(0)
        return UNet2DModel(
            sample_size=8,
            in_channels=1,
            out_channels=1,
            layers_per_block=1,
            block_out_channels=(8, 8),
            norm_num_groups=4,
            time_embedding_type="fourier",
            down_block_types=("DownBlock2D",) * 2,
            up_block_types=("UpBlock2D",) * 2,
        ).eval()


def test_a_fourier_embedding_at_0_is_named():
    model, options = fourier(), {"images": 1, "batch": 1, "steps": 3}
    with pytest.raises(
        ValueError, match=r"micro-batch 0: .*NaN or Inf.*UNet2DModel at call 2, t = 0.*Fourier.*trailing"
    ):
        sample(model, **options)
    assert np.isfinite(sample(model, spacing="trailing", **options)).all()


def test_which_call_is_not_finite():
    class Late(Base):
        def forward(self, x, t):
            return self.at(x, t) * (float("inf") if int(t[0]) == 333 else 1.0)

    with pytest.raises(ValueError, match=r"Late at call 1, t = 333, from a finite input in torch.float32: look at its"):
        sample(Late(), clip=1.0, **SETTING)  # clipping would make finite images of it


def test_a_model_on_the_meta_device():
    with torch.device("meta"):
        model = unet()
    with pytest.raises(ValueError, match=r"UNet2DModel is on the meta device.*such as .*: load its weights first"):
        sample(model, images=1, steps=1, batch=1)


def test_weights_that_are_fetched_at_the_call_are_no_meta_model(expected):
    """As accelerate's offloading has them: on the meta device between the calls."""
    model = Positional()
    weight = model.c.weight.detach().clone()
    model.c.weight = nn.Parameter(weight.to("meta"))
    model.c._hf_hook = SimpleNamespace(execution_device="cpu")

    def fetch(module, args):
        module.weight = nn.Parameter(weight)

    def drop(module, args, out):
        module.weight = nn.Parameter(weight.to("meta"))

    model.c.register_forward_pre_hook(fetch)
    model.c.register_forward_hook(drop)
    assert np.array_equal(sample(model, **SETTING), expected)


def test_what_is_no_model():
    with pytest.raises(TypeError, match=r"must be a torch\.nn\.Module, got str 'digits'"):
        sample("digits", images=1)
