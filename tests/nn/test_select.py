"""Which layers are first, last and time embedding, asked of the models' behaviour; patterns; concatenated inputs."""

import pytest
import torch
from models import small
from models import unet as tiny
from torch import nn

import modiff_sim as ms
from modiff_sim.nn import (
    except_,
    first_layer,
    last_layer,
    modulated,
    skip_splits,
    time_embedding,
    with_layers,
    with_splits,
)
from modiff_sim.nn.layers import find
from modiff_sim.nn.plans.select import both, only, selected


def unet():
    from diffusers import UNet2DModel

    return UNet2DModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        layers_per_block=1,
        block_out_channels=(8, 16, 24),
        norm_num_groups=4,
        attention_head_dim=8,
        down_block_types=("DownBlock2D", "AttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
        class_embed_type="timestep",
        resnet_time_scale_shift="scale_shift",
        num_class_embeds=10,
    )


def conditional():
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        layers_per_block=1,
        block_out_channels=(8, 16),
        norm_num_groups=4,
        cross_attention_dim=12,
        attention_head_dim=4,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    )


def dit():
    from diffusers import DiTTransformer2DModel

    return DiTTransformer2DModel(
        num_attention_heads=2,
        attention_head_dim=4,
        in_channels=4,
        out_channels=8,
        num_layers=2,
        sample_size=8,
        patch_size=2,
        num_embeds_ada_norm=10,
        norm_num_groups=4,
    )


#: model -> arguments of a call besides x, by time step
MODELS = {
    unet: lambda t: {"timestep": t, "class_labels": torch.tensor([t, t])},
    conditional: lambda t: {"timestep": t, "encoder_hidden_states": torch.ones(2, 3, 12)},
    dit: lambda t: {"timestep": torch.tensor([t, t]), "class_labels": torch.tensor([1, 2])},
}


def built(make):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make().eval()


def inputs_of(model, x, named):
    """Layer -> a copy of its input in one call."""
    seen = {}
    hooks = [
        module.register_forward_pre_hook(lambda _m, inputs, name=name: seen.__setitem__(name, inputs[0].clone()))
        for name, module in find(model, None).items()
    ]
    with torch.inference_mode():
        model(x, **named)
    for hook in hooks:
        hook.remove()
    return seen


@pytest.mark.parametrize("make", MODELS)
def test_time_embedding_is_what_depends_on_the_time_alone(make):
    model, named = built(make), MODELS[make]
    g = torch.Generator().manual_seed(0)
    x, y = (torch.randn(2, 4, 8, 8, generator=g) for _ in range(2))
    base, later, other = (inputs_of(model, a, named(t)) for a, t in ((x, 5), (x, 900), (y, 5)))
    assert list(find(model, None)) == [name for name in find(model, None) if name in base]  # all were called
    expected = [n for n in base if torch.equal(base[n], other[n]) and not torch.equal(base[n], later[n])]
    assert set(selected(model, time_embedding(model))) == set(expected)
    assert len(expected) >= 4


@pytest.mark.parametrize("make", MODELS)
def test_first_reads_the_input_and_last_gives_the_output(make):
    model, named = built(make), MODELS[make]
    x = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    (first,), (last,) = selected(model, first_layer(model)), selected(model, last_layer(model))
    assert torch.equal(inputs_of(model, x, named(5))[first], x)
    outputs = []
    model.get_submodule(last).register_forward_hook(lambda _m, _i, out: outputs.append(out))
    with torch.inference_mode():
        sample = model(x, **named(5)).sample
    assert sorted(outputs[0].flatten().tolist()) == sorted(sample.flatten().tolist())  # a DiT unpatches it


def test_patterns_and_predicates_combine():
    model = tiny()
    everything = selected(model, None)
    ends = only(first_layer(model), last_layer(model))
    assert selected(model, ends) == ["conv_in", "conv_out"]
    assert selected(model, except_(ends)) == [n for n in everything if n not in ("conv_in", "conv_out")]
    assert selected(model, only("up_blocks.*", "conv_?n")) == [
        n for n in everything if n[:3] == "up_" or n == "conv_in"
    ]
    time = [n for n in everything if n.startswith("time_embedding") or n.endswith("time_emb_proj")]
    assert selected(model, time_embedding(model)) == time
    assert selected(model, both("up_blocks.*", time_embedding(model))) == [n for n in time if n.startswith("up")]
    convs = both(lambda name, module: isinstance(module, nn.Conv2d), except_("*.conv1"))
    assert set(selected(model, convs)) == {
        n for n, m in find(model, None).items() if isinstance(m, nn.Conv2d) and not n.endswith("conv1")
    }
    with pytest.warns(UserWarning, match="no layer of Small is known by its name as one of the timestep"):
        assert selected(small(), time_embedding(small())) == []
    assert selected(small(), only(first_layer(small()), last_layer(small()))) == ["first", "head"]
    with modulated(model, activations=ms.AbsMax(4), where=except_(ends)) as run:
        assert set(run.audit().excluded) == {"conv_in", "conv_out"}


def test_some_layers_get_other_bits():
    model = tiny()
    plan = with_layers(
        model,
        ms.AbsMax(4),
        (first_layer(model), ms.AbsMax(8)),
        ("conv_*", ms.AbsMax(6)),
        (time_embedding(model), ms.AbsMax(5)),
    )
    x = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    with modulated(model, activations=plan, recursion="direct") as run:
        model(x, 5)
    bits = {row["layer"]: row["activation_bits"] for row in run.audit().rows()}
    assert (bits["conv_in"], bits["conv_out"], bits["mid_block.resnets.0.conv1"]) == (8, 6, 4)
    assert {bits[name] for name in selected(model, time_embedding(model))} == {5}


def test_bad_input():
    model = small()
    for make in (only, except_):
        with pytest.raises(ValueError, match=r"'frist' fits none of the 3 layers of Small; did you mean 'first'\?"):
            make("frist", model=model)
        with pytest.raises(ValueError, match="at least one"):
            make()
        with pytest.raises(TypeError, match="a pattern of layers' names or a function"):
            make(3)
    with pytest.raises(ValueError, match="fits none"):
        with_layers(model, ms.AbsMax(4), ("frist", ms.AbsMax(8)))
    with pytest.raises(ValueError, match="keeps no layer of Small"):
        with_layers(model, ms.AbsMax(4), (lambda name, module: False, ms.AbsMax(8)))
    with pytest.raises(ValueError, match="has no Conv1d"):
        first_layer(nn.ReLU())
    with pytest.raises(ValueError, match=r"skip_splits\(model, x, t\)"):
        skip_splits(model)


# -- concatenated inputs -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [unet, conditional])
def test_splits_by_structure_equal_those_by_running_it(make):
    model, named = built(make), MODELS[make](5)
    x = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    cuts = skip_splits(model)
    assert cuts == skip_splits(model, x, **named)
    assert len(cuts) == 2 * sum(len(block.resnets) for block in model.up_blocks)
    assert {name.rpartition(".")[2] for name in cuts} == {"conv1", "conv_shortcut"}
    assert cuts == skip_splits(
        model.to("meta"),
        x.to("meta"),
        **{k: v.to("meta") if isinstance(v, torch.Tensor) else v for k, v in named.items()},
    )


@pytest.mark.parametrize("make", [unet, conditional])
def test_splits_are_where_the_model_concatenates(make, monkeypatch):
    """conv_shortcut reads the very concatenation; conv1 reads norm and silu of it, channel by channel."""
    model, named, joined, seen = built(make), MODELS[make](5), [], {}
    cat = torch.cat

    def watched(tensors, dim=0):
        out = cat(tensors, dim)
        if dim == 1 and out.ndim == 4:
            joined.append((out, tensors[0].shape[1]))
        return out

    monkeypatch.setattr(torch, "cat", watched)
    for name, cut in skip_splits(model).items():
        if name.endswith("conv_shortcut"):
            module = model.get_submodule(name)
            module.register_forward_pre_hook(
                lambda _m, inputs, name=name, cut=cut: seen.update({name: (inputs[0], cut)})
            )
    with torch.inference_mode():
        model(torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0)), **named)
    assert len(seen) == len(joined) >= 4
    for (a, cut), (out, width) in zip(seen.values(), joined, strict=True):
        assert torch.equal(a, out)
        assert cut == width


def test_tracing_ends_where_channels_are_mixed():
    class Joined(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.act = nn.GroupNorm(1, 5), nn.ReLU(inplace=True)
            self.cut = nn.Conv2d(5, 5, 1)
            self.behind = nn.Conv2d(5, 5, 1)
            self.turned = nn.Conv2d(5, 5, 1)
            self.vector = nn.Linear(5, 5)

        def forward(self, x, y):
            joined = torch.cat([x, y], dim=-3)
            out = self.behind(self.cut(self.act(self.norm(joined)) * 2.0))
            pooled = torch.cat([x.mean((2, 3)), y.mean((2, 3))], 1)
            return out + self.turned(joined.flip(1)) + self.vector(pooled)[..., None, None]

    assert skip_splits(Joined(), torch.ones(1, 2, 4, 4), torch.ones(1, 3, 4, 4)) == {"cut": 2}


def test_a_plan_with_splits():
    model = built(unet)
    cuts = skip_splits(model)
    plan = with_splits(ms.AbsMax(4), model)
    name = "up_blocks.2.resnets.1.conv1"
    assert plan.quantizer(name, 3) == plan.quantizer(f"{name}#1", 0) == ms.Split(ms.AbsMax(4), at=(8,))
    assert plan.quantizer(name, 3) is plan.quantizer(name, 4)
    assert plan.quantizer("conv_in", 3) == ms.AbsMax(4)
    assert with_splits(plan, cuts).quantizer(name, 0) == plan.quantizer(name, 0)  # not split twice
    assert with_splits(ms.Zero(), cuts).quantizer(name, 0) == ms.Zero()
    g = torch.Generator().manual_seed(0)
    with modulated(model, activations=plan, recursion="direct") as run:
        model(torch.randn(2, 4, 8, 8, generator=g), **MODELS[unet](5))
    blocks = {layer.name: layer.blocks for layer in run.audit().layers}
    assert blocks[name] == 4
    assert blocks["conv_in"] == 2
