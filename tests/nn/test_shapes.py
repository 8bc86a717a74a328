"""Shapes and MACs found on the meta device, against torch's own FLOP counter and against real calls."""

import json
import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from models import FAMILIES, family, family_calls, small, unet
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from modiff_sim import AbsMax
from modiff_sim.nn import architectures, layer_shapes, model_shapes, modulated


def flops(model, *inputs, **named):
    """FLOPs by torch: (convolutions and products with two-dimensional weights, batched products).

    It knows nothing of the CPU's fused kernels for attention, so they are switched off.
    """
    torch.backends.mha.set_fastpath_enabled(False)
    with FlopCounterMode(display=False) as counter, torch.no_grad(), sdpa_kernel([SDPBackend.MATH]):
        model(*inputs, **named)
    torch.backends.mha.set_fastpath_enabled(True)
    found = {str(op): n for op, n in counter.get_flop_counts()["Global"].items()}
    batched = sum(n for op, n in found.items() if "bmm" in op or "scaled_dot_product" in op)
    return sum(found.values()) - batched, batched


def meta(model):
    return model.to("meta")


def agree(shapes, counted):
    assert (2 * shapes.macs, 2 * shapes.attention_macs) == counted
    assert shapes.product_macs() == shapes.attention_macs


# -- equality with torch.utils.flop_counter ---------------------------------------------------------------------------


def test_small_models_computed_for_real():
    x = torch.zeros(3, 2, 8, 8, dtype=torch.float64)
    agree(model_shapes(small(), x, 0), flops(small(), x, 0))
    x = torch.zeros(2, 1, 8, 8)
    agree(model_shapes(unet(), x, 3), flops(unet(), x, 3))


@pytest.mark.parametrize("name", FAMILIES)
def test_families_of_diffusers(name):
    model, call = family(name), next(family_calls(name))
    agree(model_shapes(model, **call), flops(model, **call))


@pytest.mark.parametrize("name", ["cifar10", pytest.param("dit-xl-2", marks=pytest.mark.slow), "sd15"])
def test_known_models_at_full_size(name):
    model = architectures.build(name)
    inputs, named = architectures.example_inputs(model)
    agree(architectures.shapes_of(name), flops(model, *inputs, **named))


@settings(max_examples=30)
@given(
    st.sampled_from([1, 2]),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 2),
    st.integers(0, 2),
    st.integers(1, 3),
)
def test_any_convolution(axes, groups, kernel, stride, dilation, padding, batch):
    cls = {1: nn.Conv1d, 2: nn.Conv2d}[axes]
    conv = meta(cls(2 * groups, 3 * groups, kernel, stride, padding, dilation, groups))
    x = torch.empty(batch, 2 * groups, *[7] * axes, device="meta")
    agree(model_shapes(conv, x), flops(conv, x))


@settings(max_examples=20)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=3), st.integers(1, 5), st.booleans())
def test_any_linear_layer(rows, width, bias):
    linear = meta(nn.Linear(width, 3, bias=bias))
    x = torch.empty(*rows, width, device="meta")
    agree(model_shapes(linear, x), flops(linear, x))


# -- roles of products ------------------------------------------------------------------------------------------------


class Attend(nn.Module):
    """Attention written in one of the usual ways; q (2, 5, 4), k (2, 7, 4), v (2, 7, 3)."""

    def __init__(self, how):
        super().__init__()
        self.how = how

    def forward(self, q, k, v):
        if self.how == "fused":
            return F.scaled_dot_product_attention(q[:, None], k[:, None], v[:, None])
        if self.how == "einsum":
            w = torch.einsum("blc,bsc->bls", q, k) * 0.5
            return torch.einsum("bls,bsc->blc", w.softmax(-1), v)
        if self.how == "baddbmm":
            w = torch.baddbmm(torch.zeros(2, 5, 7, device=q.device), q, k.transpose(1, 2), beta=0, alpha=0.5)
            return torch.bmm(w.float().softmax(-1).to(q.dtype), v)
        if self.how == "masked":
            w = (q / 2) @ k.mT + torch.zeros(5, 7, device=q.device)
            return F.dropout(w.softmax(-1), 0.1, self.training) @ v
        w = v.mT @ k.unsqueeze(-1).flatten(2)  # linear attention: no softmax
        return q @ w.mT


@pytest.mark.parametrize("real", [False, True])
@pytest.mark.parametrize("how", ["fused", "einsum", "baddbmm", "masked"])
def test_q_k_and_softmax_v_are_told_apart(how, real):
    q, k, v = torch.zeros(2, 5, 4), torch.zeros(2, 7, 4), torch.zeros(2, 7, 3)
    if how == "fused":
        v = torch.zeros(2, 7, 4)  # kernels want one width
    found = model_shapes(Attend(how).eval(), q, k, v, real=real)
    assert [(p.role, p.name, p.macs) for p in found.products] == [
        ("qk", "(root)", 2 * 5 * 7 * 4),
        ("softmax_v", "(root)", 2 * 5 * 7 * v.shape[-1]),
    ]


def test_products_without_a_softmax_are_something_else():
    found = model_shapes(Attend("linear"), torch.zeros(2, 5, 4), torch.zeros(2, 7, 4), torch.zeros(2, 7, 3))
    assert [p.role for p in found.products] == ["other", "other"]


class Unseen(nn.Module):
    """Linear operators that are no Conv or Linear layer."""

    def __init__(self):
        super().__init__()
        self.kernel = nn.Parameter(torch.ones(2, 4, 6))
        self.up = nn.ConvTranspose2d(6, 4, 3, stride=2, groups=2)
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, x):
        x = x @ self.kernel.chunk(2)[0].squeeze(0).to(x.dtype)
        x = self.up(x.mT[..., None]).mean(-1).mT
        return self.attention(x, x, x, need_weights=False)[0]


@pytest.mark.parametrize("real", [False, True])
def test_weights_that_no_layer_holds_are_named(real):
    model, x = Unseen().eval(), torch.zeros(2, 5, 4)
    found = model_shapes(model, x, real=real)
    roles = [(p.name, p.role) for p in found.products]
    assert roles[:2] == [("(root)", "weight"), ("up", "weight")]
    assert {name for name, _ in roles[2:]} == {"attention"}
    assert [role for _, role in roles[2:]].count("qk") == [role for _, role in roles[2:]].count("softmax_v") == 1
    assert not found.layers
    assert 2 * found.product_macs() == sum(flops(Unseen().eval(), x))


# -- layers -----------------------------------------------------------------------------------------------------------


def test_rows_say_what_a_call_sees():
    rows = layer_shapes(small(), torch.zeros(3, 2, 8, 8, dtype=torch.float64))
    assert [(r.name, r.kind, r.input, r.output, r.weight) for r in rows] == [
        ("first", "Conv2d", (3, 2, 8, 8), (3, 4, 8, 8), (4, 2, 3, 3)),
        ("second", "Conv2d", (3, 4, 8, 8), (3, 6, 4, 4), (6, 2, 3, 3)),
        ("head", "Linear", (3, 6), (3, 6), (6, 6)),
        ("head#1", "Linear", (3, 6), (3, 6), (6, 6)),
    ]
    assert [r.macs for r in rows] == [3 * 4 * 64 * 18, 3 * 6 * 16 * 18, 108, 108]
    assert [r.module for r in rows] == ["first", "second", "head", "head"]


def test_layers_that_share_an_input_are_found():
    rows = {r.name: r for r in model_shapes(unet(), torch.zeros(1, 1, 8, 8), 0).layers}
    attention = "mid_block.attentions.0"
    assert rows[f"{attention}.to_k"].same_input == rows[f"{attention}.to_v"].same_input == f"{attention}.to_q"
    assert rows[f"{attention}.to_q"].same_input == rows[f"{attention}.to_out.0"].same_input == ""


def test_the_model_stays_as_it_was():
    model, x = unet(), torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    before = {name: (p, p.clone()) for name, p in model.named_parameters()}
    with torch.no_grad():
        expected = model(x, 3).sample
    with torch.inference_mode():
        found = model_shapes(model, x, 3)
    assert found == model_shapes(model, x.to("meta"), timestep=3)
    real = model_shapes(model, x, 3, real=True)
    assert real.layers == found.layers
    assert real.attention_macs == found.attention_macs
    with pytest.raises(RuntimeError, match="does not run on the meta device"):
        model_shapes(model, torch.zeros(1, 2, 8, 8), 3)
    assert all(p is before[n][0] and torch.equal(p, before[n][1]) for n, p in model.named_parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    with torch.no_grad():
        assert torch.equal(model(x, 3).sample, expected)


class Held(nn.Module):
    """A tensor that is neither parameter nor buffer, and a look at values."""

    def __init__(self):
        super().__init__()
        self.linear, self.table = nn.Linear(3, 3), torch.ones(3)

    def forward(self, x):
        return self.linear(x * self.table) if bool(x.sum() == 0) else x


def test_what_cannot_be_done_says_so():
    with pytest.raises(RuntimeError, match=r"Held does not run on the meta device .* real=True"):
        model_shapes(Held(), torch.zeros(2, 3))
    assert model_shapes(Held(), torch.zeros(2, 3), real=True).macs == 18
    with pytest.raises(TypeError, match=r"must be a torch\.nn\.Module"):
        model_shapes("unet", torch.zeros(1))
    model = small()
    with (
        modulated(model, activations=AbsMax(8)),
        pytest.raises(RuntimeError, match="outside of that context"),
    ):
        model_shapes(model, torch.zeros(1, 2, 8, 8, dtype=torch.float64))


# -- known models and folders -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", architectures.ARCHITECTURES)
def test_parameter_counts_are_the_published_ones(name):
    model = architectures.build(name)
    assert sum(math.prod(p.shape) for p in model.parameters()) == architectures.architecture(name).parameters
    assert {p.device.type for p in model.parameters()} == {"meta"}


def test_a_folder_is_planned_from_its_config_alone(tmp_path):
    known = architectures.architecture("cifar10")
    config = {"_class_name": known.cls, "_diffusers_version": "0.30.0", **known.config}
    (tmp_path / "pipeline" / "unet").mkdir(parents=True)
    (tmp_path / "pipeline" / "unet" / "config.json").write_text(json.dumps(config), encoding="utf-8")
    for folder in (tmp_path / "pipeline", tmp_path / "pipeline" / "unet"):
        assert architectures.shapes_of_folder(folder) == architectures.shapes_of("cifar10")


@pytest.mark.parametrize("name", ["unet", "unet_condition", "dit"])
def test_inputs_are_made_from_the_config(name):
    model = family(name)
    inputs, named = architectures.example_inputs(model, batch=2)
    given = model_shapes(model, *inputs, **named)
    own = next(family_calls(name))
    assert [x.weight for x in given.layers] == [x.weight for x in model_shapes(model, **own).layers]
    assert given.layers[0].input[0] == 2


def test_folders_that_cannot_be_planned(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no config\.json"):
        architectures.shapes_of_folder(tmp_path)
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ValueError, match="no _class_name"):
        architectures.shapes_of_folder(tmp_path)
    (tmp_path / "config.json").write_text('{"_class_name": "AutoencoderKL"}', encoding="utf-8")
    with pytest.raises(ValueError, match="AutoencoderKL are not known here; known: UNet2DModel"):
        architectures.shapes_of_folder(tmp_path)
    with pytest.raises(ValueError, match="unknown model 'sd3'; known: digits, cifar10"):
        architectures.build("sd3")
