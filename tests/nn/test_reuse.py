"""Branches used again: against a U-Net's forward written out by hand, and caches made of plain hooks."""

import pytest
import torch
from calls import infos
from models import small, unet, walk
from torch import nn

import modiff_sim as ms
from modiff_sim import Threshold
from modiff_sim import recursion as rec
from modiff_sim.nn import ByCall, Reuse, deepcache, modulated, sample, zoo
from modiff_sim.nn.plans.reuse import matching

FULL = {"activations": ms.Identity(), "recursion": "direct"}


def three_levels():
    """Three levels, two resnets each, attention in the middle level."""
    from diffusers import UNet2DModel

    with torch.random.fork_rng():
        torch.manual_seed(3)
        return UNet2DModel(
            sample_size=8,
            in_channels=1,
            out_channels=1,
            layers_per_block=2,
            block_out_channels=(8, 8, 16),
            norm_num_groups=4,
            attention_head_dim=8,
            down_block_types=("DownBlock2D", "AttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
        ).eval()


def conditioned():
    from diffusers import UNet2DConditionModel

    with torch.random.fork_rng():
        torch.manual_seed(4)
        return UNet2DConditionModel(
            sample_size=8,
            in_channels=2,
            out_channels=2,
            layers_per_block=1,
            block_out_channels=(8, 16),
            norm_num_groups=4,
            attention_head_dim=8,
            cross_attention_dim=12,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        ).eval()


MODELS = {"unet": (unet, {}), "three_levels": (three_levels, {}), "conditioned": (conditioned, {"text": True})}


def inputs_of(model, steps):
    shape = (model.config.in_channels, 8, 8)
    return list(walk(steps, batch=2, shape=shape, dtype=torch.float32, step=0.3))


def extra(model):
    if not hasattr(model.config, "cross_attention_dim"):
        return {}
    generator = torch.Generator().manual_seed(9)
    return {"encoder_hidden_states": torch.randn(2, 5, model.config.cross_attention_dim, generator=generator)}


@torch.no_grad()
def by_hand(model, x, t, skips, fresh, cache, text=None):
    """A diffusers U-Net's forward written out, resnet by resnet; unless fresh, the deep part is cache["deep"]."""

    def attended(block, j, h):
        layers = getattr(block, "attentions", None)
        if not layers:
            return h
        return layers[j](h) if text is None else layers[j](h, encoder_hidden_states=text, return_dict=False)[0]

    emb = model.time_embedding(model.time_proj(torch.full((len(x),), t)).to(x.dtype))
    h = model.conv_in(x)
    kept = [h]
    for block in model.down_blocks:
        for j, resnet in enumerate(block.resnets):
            if fresh or len(kept) < skips:
                h = attended(block, j, resnet(h, emb))
                kept.append(h)
        for lower in block.downsamplers or ():
            if fresh or len(kept) < skips:
                h = lower(h)
                kept.append(h)
    left = 1 + sum(len(b.resnets) + bool(b.downsamplers) for b in model.down_blocks)
    if fresh:
        mid = model.mid_block
        h = mid.resnets[0](h, emb)
        for j, resnet in enumerate(mid.resnets[1:]):
            h = resnet(attended(mid, j, h), emb)
    for block in model.up_blocks:
        for j, resnet in enumerate(block.resnets):
            left -= 1
            if left == skips - 1:
                if fresh:
                    cache["deep"] = h.clone()
                h = cache["deep"]
            if fresh or left < skips:
                h = attended(block, j, resnet(torch.cat([h, kept[left]], dim=1), emb))
        for upper in block.upsamplers or ():
            if fresh or left < skips:
                h = upper(h)
    return model.conv_out(model.conv_act(model.conv_norm_out(h)))


def macs_counted(model):
    """Hooks that add up the MACs of convolutions and linear layers; returns (the sum in a list, the hooks)."""
    done = [0]

    def add(module, _inputs, out):
        done[0] += out.numel() * module.weight[0].numel()

    layers = [m for m in model.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    return done, [m.register_forward_hook(add) for m in layers]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("every", [2, (3, 4)])  # the second in the middle only
def test_deepcache_equals_the_forward_written_out(name, every):
    """Outputs bit for bit at every number of skip connections, and the MACs left out to the last one."""
    model = MODELS[name][0]()
    inputs, options = inputs_of(model, 4 if every == 2 else 5), extra(model)
    total = 1 + sum(len(b.resnets) + bool(b.downsamplers) for b in model.down_blocks)
    computed = {0, 2, 4} if every == 2 else {0, 3, 4}
    for skips in range(1, total) if every == 2 else [total // 2]:
        cache, expected, executed = {}, [], []
        for call, x in enumerate(inputs):
            done, hooks = macs_counted(model)
            expected.append(by_hand(model, x, 5, skips, call in computed, cache, options.get("encoder_hidden_states")))
            executed.append(done[0])
            for hook in hooks:
                hook.remove()
        with modulated(model, **FULL, reuse=deepcache(model, every=every, skips=skips)) as run:
            got = [model(x, 5, **options).sample for x in inputs]
        assert all(torch.equal(a, b) for a, b in zip(got, expected, strict=True)), skips
        audit = run.audit().summary()
        assert audit["macs"] == len(inputs) * executed[0]
        assert audit["skipped_macs"] == audit["macs"] - sum(executed) > 0
    with torch.no_grad():
        plain = [model(x, 5, **options).sample for x in inputs]
    assert not torch.allclose(got[1], plain[1])  # the cache is no accident: without it outputs differ


@pytest.mark.parametrize("depth", [1, 2])
def test_depth_counts_down_blocks(depth):
    model = three_levels()
    assert deepcache(model, depth) == deepcache(model, skips={1: 3, 2: 6}[depth])
    named = {
        1: (
            "down_blocks.0.downsamplers.0", "down_blocks.1", "down_blocks.2", "mid_block", "up_blocks.0", "up_blocks.1",
        ),
        2: ("down_blocks.1.downsamplers.0", "down_blocks.2", "mid_block", "up_blocks.0"),
    }  # fmt: skip
    assert deepcache(model, depth).modules == named[depth]


def test_the_shallowest_leaves_the_ends():
    model = three_levels()
    found = deepcache(model, skips=1, every=4)
    assert found.every == 4
    assert found.modules[:3] == ("down_blocks.0", "down_blocks.1", "down_blocks.2")
    assert found.modules[-2:] == ("up_blocks.2.resnets.0", "up_blocks.2.resnets.1")


def test_every_call_computed_is_the_model():
    model = unet()
    inputs = inputs_of(model, 4)
    with torch.no_grad():
        plain = [model(x, 5).sample for x in inputs]
    with modulated(model, **FULL, reuse=deepcache(model, every=1)) as run:
        assert all(torch.equal(model(x, 5).sample, y) for x, y in zip(inputs, plain, strict=True))
    assert run.audit().summary()["skipped_macs"] == 0


def test_with_quantized_layers_the_shallow_ones_go_on():
    """Layers outside the branch are called at every call, those inside only when it is computed."""
    model = unet()
    with modulated(model, activations=ms.AbsMax(4), reuse=deepcache(model, every=3)) as run:
        calls = []
        run.observers.append(lambda name, call, a, state: calls.append((name, call)))
        for x in inputs_of(model, 7):
            model(x, 5)
    assert [call for name, call in calls if name == "conv_in"] == list(range(7))
    assert [call for name, call in calls if name == "mid_block.resnets.0.conv1"] == [0, 1, 2]  # at calls 0, 3, 6


def test_what_is_no_unet_is_refused():
    from diffusers import Transformer2DModel

    dit = Transformer2DModel(
        num_attention_heads=2,
        attention_head_dim=4,
        in_channels=2,
        num_layers=2,
        sample_size=8,
        patch_size=2,
        norm_type="ada_norm_zero",
        num_embeds_ada_norm=10,
    )
    for model in (dit, small()):
        with pytest.raises(ValueError, match="not laid out like a diffusers U-Net"):
            deepcache(model)
    with pytest.raises(TypeError, match=r"must be a torch\.nn\.Module"):
        deepcache(object())
    for depth in (0, 2, True):
        with pytest.raises(ValueError, match="depth is 1 to 1"):
            deepcache(unet(), depth)
    for skips in (0, 4, 1.0):
        with pytest.raises(ValueError, match="skips is 1 to 3 of 4"):
            deepcache(unet(), skips=skips)
    found = matching(
        dit, "transformer_blocks.*.attn1", "transformer_blocks.*.ff", "transformer_blocks.*.ff.net.0", every=2
    )
    assert found.modules == tuple(f"transformer_blocks.{i}.{part}" for i in (0, 1) for part in ("attn1", "ff"))
    with pytest.raises(ValueError, match=r"called like 'blocks\.\*'"):
        matching(dit, "blocks.*", every=2)


@pytest.mark.parametrize(
    ("modules", "every", "message"),
    [
        ((), 2, "needs the names"),
        ("mid_block", 2, "needs the names"),
        (("a", "a.b"), 2, "holds"),
        (("a", "a"), 2, "twice"),
        (("a",), 0, "k >= 1"),
        (("a",), "always", "refresh must be"),
    ],
)
def test_bad_reuse_is_refused(modules, every, message):
    with pytest.raises(ValueError, match=message):
        Reuse(modules, every)


def test_a_name_that_the_model_does_not_have():
    with pytest.raises(ValueError, match="nowhere"), modulated(unet(), **FULL, reuse=Reuse(("nowhere",), 2)):
        pass


# -- whole layers cached: 0 bits ----------------------------------------


@torch.no_grad()
def hook_cached(model, inputs, every, *args):
    """Outputs with every linear layer's output kept by a plain forward hook and replaced between updates."""
    outputs, call = {}, [0]

    def keep(name, out):
        if call[0] % every == 0:
            outputs[name] = out.clone()
        return outputs[name].clone()

    hooks = [
        module.register_forward_hook(lambda m, i, out, name=name: keep(name, out))
        for name, module in model.named_modules()
        if isinstance(module, (nn.Conv2d, nn.Linear))
    ]
    made = []
    for x in inputs:
        made.append(model(x, *args).sample)
        call[0] += 1
    for hook in hooks:
        hook.remove()
    return made


@pytest.mark.parametrize("every", [2, 3, 5])
@pytest.mark.parametrize("recursion", ["closed_loop", "open_loop"])
def test_zero_bits_with_a_refresh_are_a_cache_made_of_hooks(every, recursion):
    model = unet()
    inputs = inputs_of(model, 11)
    expected = hook_cached(model, inputs, every, 5)
    with modulated(model, activations=ms.Zero(), recursion=recursion, refresh=every) as run:
        got = [model(x, 5).sample for x in inputs]
    assert all(torch.equal(a, b) for a, b in zip(got, expected, strict=True))
    summary = run.audit().summary()
    reused = sum(call % every != 0 for call in range(11))
    assert summary["skipped_macs"] * 11 == summary["macs"] * reused
    assert summary["activation_bits"] == pytest.approx(32 * (11 - reused) / 11)


def test_a_schedule_of_zero_and_few_bits():
    """Every second call reused, the others at 4 bits: call by call the recursion with that call's quantizer."""
    plan = ByCall(lambda call: ms.Zero() if call % 2 else ms.AbsMax(4))
    layer = nn.Linear(6, 4, dtype=torch.float64)
    inputs = list(walk(6, shape=(6,)))
    with modulated(layer, activations=plan) as run:
        got = [layer(x) for x in inputs]
    hat, expected = inputs[0], []
    with torch.no_grad():
        for call, x in enumerate(inputs):
            if call and call % 2 == 0:
                hat = hat + ms.AbsMax(4)(x - hat)
            expected.append(layer(hat))
    for a, b in zip(got, expected, strict=True):
        assert torch.allclose(a, b, rtol=0, atol=1e-14 * 6 * 10)  # sums in another order
    assert torch.equal(got[1], got[0])
    assert torch.equal(got[3], got[2])
    audit = run.audit().summary()
    assert audit["skipped_macs"] * 6 == audit["macs"] * 3
    assert audit["activation_bits"] == pytest.approx((32 + 0 + 4 + 0 + 4 + 0) / 6)


def test_a_threshold_that_a_layer_does_not_reach():
    """Per layer: conv_in skips everything, the others nothing; the audit counts what was skipped."""
    model = unet()
    inputs = inputs_of(model, 4)
    with modulated(model, activations=ms.AbsMax(4), skip={"conv_in": Threshold(100.0)}) as run:
        got = [model(x, 5).sample for x in inputs]
    rows = {row["layer"]: row for row in run.audit().rows()}
    assert rows["conv_in"]["skipped_macs"] == rows["conv_in"]["macs"] * 3 / 4
    assert sum(row["skipped_macs"] for row in rows.values()) == rows["conv_in"]["skipped_macs"]
    assert torch.isfinite(got[-1]).all()


@pytest.mark.parametrize("Q", [ms.AbsMax(3), ms.Identity(), ms.Zero()], ids=str)
@pytest.mark.parametrize("recursion", ["closed_loop", "open_loop"])
def test_a_threshold_equals_the_recursion_and_is_counted(Q, recursion):
    """Samples that move at different speeds: each is skipped by itself; the audit counts them, Identity's as well."""
    layer = nn.Linear(6, 4, dtype=torch.float64)
    speed = torch.tensor([0.001, 0.3, 3.0], dtype=torch.float64).reshape(3, 1)
    start, skip = next(walk(1, shape=(6,))), Threshold(0.2, "l2")
    inputs = [start + speed * x for x in walk(8, shape=(6,), step=1.0, seed=1)]
    with torch.no_grad():
        linear = lambda a: nn.functional.linear(a, layer.weight)  # noqa: E731
        calls = infos(rec.run(recursion, inputs, Q, linear, affine=layer, skip=skip))
    with modulated(layer, activations=Q, recursion=recursion, skip=skip) as run:
        assert all(torch.equal(layer(x), s.output) for x, s in zip(inputs, calls, strict=True))
    kept = [s.kept.flatten() for s in calls[1:]]
    assert not any(k[0] for k in kept)  # the still sample never, the fastest at every call
    assert all(k[2] for k in kept)
    audit = run.audit().summary()
    skipped = sum(int((~k).sum()) for k in kept) if Q.bits else 3 * 7  # at 0 bits nothing is computed at all
    assert audit["skipped_macs"] == 24 * skipped
    assert audit["macs"] == 24 * 3 * 8
    full = 3 + (0 if Q.has_codes else 3 * 7 - skipped)
    spent = 32 * full + (Q.bits * (3 * 7 - skipped) if Q.has_codes else 0)
    assert audit["activation_bits"] == pytest.approx(spent / (3 * 8))


def test_on_the_trained_model():
    model = zoo.load("digits")
    with modulated(model, **FULL, reuse=deepcache(model, every=2)) as run:
        made = sample(model, images=2, steps=6, batch=2, run=run)
    assert abs(made).max() < 3
    assert run.audit().summary()["skipped_macs"] > 0


def test_a_layer_can_be_the_branch_itself():
    model, inputs = small(), list(walk(4))
    names = []
    with modulated(model, activations=ms.AbsMax(4), reuse=Reuse(("first",), 2)) as run:
        run.observers.append(lambda name, *_: names.append(name))
        for x in inputs:
            model(x)
        row = run.audit().rows()[0]
    assert names.count("first") == 2
    assert "first#1" not in names
    assert row["calls"] == 4
    assert row["skipped_macs"] * 2 == row["macs"]
    assert "forward" not in vars(model.first)
    with modulated(model, activations=ms.AbsMax(4)):  # it was given back
        model(inputs[0])


class Wrapped:
    def __init__(self, value):
        self.value = value


class Opaque(nn.Module):
    """Its inner module's output hides a tensor, into which the model writes."""

    class Inner(nn.Linear):
        def forward(self, x):
            return Wrapped(torch.nn.functional.linear(x, self.weight))

    def __init__(self):
        super().__init__()
        self.inner, self.last = self.Inner(8, 8), nn.Linear(8, 8)

    def forward(self, x):
        out = self.inner(x)
        out.value += 1
        return self.last(out.value)


def test_an_output_that_cannot_be_copied_is_refused():
    with (
        modulated(model := Opaque().eval(), **FULL, reuse=Reuse(("inner",), 2)),
        pytest.raises(TypeError, match="branch 'inner' returns a Wrapped"),
    ):
        model(torch.ones(1, 8))


def test_products_in_a_reused_branch_are_counted_like_its_layers():
    """Six calls, two computed: rows of layers and products inside the branch agree on calls and on what was skipped."""
    from modiff_sim.nn import Attention

    model, eight = unet(), ms.AbsMax(8)
    attention = Attention(q=eight, k=eight, v=eight, softmax=ms.MinMax(8), recursion="direct")
    with modulated(model, activations=ms.AbsMax(4), attention=attention, reuse=deepcache(model, every=3)) as run:
        for i, x in enumerate(walk(6, shape=(1, 8, 8), dtype=torch.float32)):
            model(x, 900 - i)
    rows = {r["layer"]: r for r in run.audit().rows()}
    products = [name for name, r in rows.items() if r["kind"] in ("qk", "sv")]
    assert len(products) >= 2
    for name in (*products, products[0].rpartition(".")[0] + ".to_q"):
        assert rows[name]["calls"] == 6, name
        assert rows[name]["skipped_macs"] == rows[name]["macs"] * 4 // 6, name
