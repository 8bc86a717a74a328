"""Original DDPM checkpoints: the converted model's output equals that of the architecture written out here."""

import math
import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from modiff_sim.nn.models import ddpm_checkpoint

# -- the architecture of Ho et al. (appendix B), as a module whose state dict has the original's keys ------------------


class Residual(nn.Module):
    """Norm, swish, conv, twice; the embedded time enters between; a 1 x 1 shortcut where the channels change."""

    def __init__(self, inner, outer, time):
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(32, inner, 1e-6), nn.GroupNorm(32, outer, 1e-6)
        self.conv1, self.conv2 = nn.Conv2d(inner, outer, 3, 1, 1), nn.Conv2d(outer, outer, 3, 1, 1)
        self.temb_proj = nn.Linear(time, outer)
        if inner != outer:
            self.nin_shortcut = nn.Conv2d(inner, outer, 1)

    def forward(self, x, temb):
        h = self.conv1(F.silu(self.norm1(x))) + self.temb_proj(F.silu(temb))[:, :, None, None]
        h = self.conv2(F.silu(self.norm2(h)))
        return h + (self.nin_shortcut(x) if hasattr(self, "nin_shortcut") else x)


class SelfAttention(nn.Module):
    """One head over all pixels."""

    def __init__(self, channels):
        super().__init__()
        self.norm = nn.GroupNorm(32, channels, 1e-6)
        self.q, self.k, self.v, self.proj_out = (nn.Conv2d(channels, channels, 1) for _ in range(4))

    def forward(self, x):
        h = self.norm(x)
        q, k, v = (layer(h).flatten(2) for layer in (self.q, self.k, self.v))  # (n, channels, pixels)
        weight = torch.softmax(torch.einsum("ncq,nck->nqk", q, k) / math.sqrt(x.shape[1]), -1)
        return x + self.proj_out(torch.einsum("nqk,nck->ncq", weight, v).reshape(x.shape))


class Resize(nn.Module):
    def __init__(self, channels, down):
        super().__init__()
        self.down, self.conv = down, nn.Conv2d(channels, channels, 3, 2 if down else 1, 0 if down else 1)

    def forward(self, x):
        x = F.pad(x, (0, 1, 0, 1)) if self.down else F.interpolate(x, scale_factor=2.0, mode="nearest")
        return self.conv(x)


class Ddpm(nn.Module):
    def __init__(self, ch, mult, blocks, attention, colours=3):
        """attention: the levels that have it."""
        super().__init__()
        self.ch, time, widths = ch, 4 * ch, [ch * m for m in mult]
        self.temb = nn.Module()
        self.temb.dense = nn.ModuleList([nn.Linear(ch, time), nn.Linear(time, time)])
        self.conv_in, self.conv_out = nn.Conv2d(colours, ch, 3, 1, 1), nn.Conv2d(ch, colours, 3, 1, 1)
        self.norm_out = nn.GroupNorm(32, ch * mult[0], 1e-6)

        def level(i, inputs, name, resized):
            level = nn.Module()
            level.block = nn.ModuleList([Residual(inner, widths[i], time) for inner in inputs])
            level.attn = nn.ModuleList([SelfAttention(widths[i]) for _ in inputs if i in attention])
            if resized:
                level.add_module(name, Resize(widths[i], name == "downsample"))
            return level

        last, skips, down = ch, [ch], []
        for i, width in enumerate(widths):
            down.append(level(i, [last, *[width] * (blocks - 1)], "downsample", i < len(mult) - 1))
            skips += [width] * (blocks + (i < len(mult) - 1))
            last = width
        self.mid = nn.Module()
        self.mid.block_1, self.mid.block_2 = Residual(last, last, time), Residual(last, last, time)
        self.mid.attn_1 = SelfAttention(last)
        up = []
        for i in reversed(range(len(mult))):
            inputs = [skips.pop() + (last if j == 0 else widths[i]) for j in range(blocks + 1)]
            up.insert(0, level(i, inputs, "upsample", i > 0))
            last = widths[i]
        self.down, self.up = nn.ModuleList(down), nn.ModuleList(up)

    def forward(self, x, t):
        half = self.ch // 2
        angle = t[:, None] * torch.exp(-math.log(10000) * torch.arange(half, dtype=x.dtype) / (half - 1))
        temb = self.temb.dense[0](torch.cat([angle.sin(), angle.cos()], 1))
        temb = self.temb.dense[1](F.silu(temb))

        def through(level, j, h):
            h = level.block[j](h, temb)
            return level.attn[j](h) if len(level.attn) else h

        skips = [self.conv_in(x)]
        for level in self.down:
            for j in range(len(level.block)):
                skips.append(through(level, j, skips[-1]))
            if hasattr(level, "downsample"):
                skips.append(level.downsample(skips[-1]))
        h = self.mid.block_2(self.mid.attn_1(self.mid.block_1(skips[-1], temb)), temb)
        for level in reversed(self.up):
            for j in range(len(level.block)):
                h = through(level, j, torch.cat([h, skips.pop()], 1))
            if hasattr(level, "upsample"):
                h = level.upsample(h)
        return self.conv_out(F.silu(self.norm_out(h)))


CIFAR = {"ch": 32, "mult": (1, 2), "blocks": 2, "attention": {1}}
LSUN = {"ch": 32, "mult": (1, 1, 2), "blocks": 1, "attention": {1}, "colours": 2}
PUBLISHED = {"ch": 128, "mult": (1, 2, 2, 2), "blocks": 2, "attention": {1}}


def original(seed=0, **shape):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Ddpm(**shape).double().eval()


def of(model, tmp_path, suffix="ckpt"):
    """The model's checkpoint file."""
    path = tmp_path / f"model.{suffix}"
    if suffix == "safetensors":
        import safetensors.torch

        safetensors.torch.save_file(model.state_dict(), path)
    else:
        torch.save(model.state_dict(), path)
    return path


@pytest.mark.parametrize(("shape", "size"), [(CIFAR, 32), (LSUN, 32)], ids=["cifar", "lsun"])
@pytest.mark.parametrize("suffix", ["ckpt", "safetensors"])
def test_the_converted_model_is_the_original(shape, size, suffix, tmp_path):
    """Every product is a sum of at most a few thousand terms around 1: 1e-10 is 5e5 eps of float64. The timestep's
    sines are the exception: diffusers computes the angles in float32, so t is chosen where those are exact."""
    model = original(**shape)
    converted = ddpm_checkpoint.load(of(model, tmp_path, suffix))
    assert converted.config.sample_size == size
    assert not converted.training
    assert not any(p.requires_grad for p in converted.parameters())
    assert sum(p.numel() for p in converted.parameters()) == sum(p.numel() for p in model.parameters())
    g = torch.Generator().manual_seed(1)
    x = torch.randn(2, shape.get("colours", 3), 16, 16, generator=g, dtype=torch.float64)
    t = torch.zeros(2, dtype=torch.float64)
    with torch.no_grad():
        expected, found = model(x, t), converted(x, t).sample
    assert found.dtype == torch.float64
    assert float(expected.std()) > 0.1
    assert torch.allclose(found, expected, rtol=0, atol=1e-10)


def test_time_enters_as_in_the_original(tmp_path):
    """At t > 0, up to diffusers' float32 angles: t times eps of float32, times the network's slope in time."""
    model = original(**CIFAR)
    converted = ddpm_checkpoint.load(of(model, tmp_path))
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    t = torch.tensor([7, 801])
    with torch.no_grad():
        expected, found = model(x, t.double()), converted(x, t).sample
        elsewhere = model(x, t.double() + 1)
    assert torch.allclose(found, expected, rtol=0, atol=4 * 801 * torch.finfo(torch.float32).eps)
    assert float((elsewhere - expected).abs().max()) > 10 * 4 * 801 * torch.finfo(torch.float32).eps


@pytest.mark.parametrize(
    "other",
    [{"freq_shift": 0}, {"flip_sin_to_cos": True}, {"downsample_padding": 1}, {"norm_eps": 1e-5},
     {"norm_num_groups": 16}, {"attention_head_dim": 8}, {"act_fn": "relu"}],
    ids=lambda other: next(iter(other)),
)  # fmt: skip
def test_what_the_file_does_not_tell_matters(other, tmp_path):
    """Each of the shared conventions changes the output by far more than the tolerances above, so they test it."""
    path = of(original(**CIFAR), tmp_path)
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    with torch.no_grad():
        right, wrong = (ddpm_checkpoint.load(path, config)(x, 801).sample for config in ({}, other))
    assert float((right - wrong).abs().max()) > (1e-6 if "norm_eps" in other else 2e-3)


def test_the_published_cifar10_model_has_its_parameters():
    """35.7 M, the number in the paper (appendix B); nothing is allocated."""
    from diffusers import UNet2DModel

    with torch.device("meta"):
        config, weights = ddpm_checkpoint.convert(Ddpm(**PUBLISHED).state_dict())
        model = UNet2DModel(**config)
    model.load_state_dict(weights, assign=True)
    assert sum(p.numel() for p in model.parameters()) == 35_746_307
    assert config["sample_size"] == 32
    assert config["block_out_channels"] == (128, 256, 256, 256)
    assert config["down_block_types"] == ("DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D")
    assert config["up_block_types"] == ("UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D")


@pytest.mark.parametrize("averaged", [True, False])
def test_a_training_checkpoint_gives_the_moving_average(averaged, tmp_path):
    weights, average = (original(seed, **LSUN).state_dict() for seed in (0, 1))
    path = tmp_path / "ckpt.pth"
    optimizer = {"state": {0: {"step": 3}}, "param_groups": [{"lr": 1e-4}]}
    states = [{f"module.{k}": v for k, v in weights.items()}, optimizer, 12, 345, *([average] if averaged else [])]
    torch.save(states, path)
    expected = (average if averaged else weights)["conv_in.weight"]
    assert torch.equal(ddpm_checkpoint.load(path).conv_in.weight, expected)
    torch.save({"state_dict": weights, "epoch": 3}, path)
    assert torch.equal(ddpm_checkpoint.load(path).conv_in.weight, weights["conv_in.weight"])


def test_what_was_inferred_can_be_overridden(tmp_path):
    path = of(original(**LSUN), tmp_path)
    assert ddpm_checkpoint.load(path, {"sample_size": 64}).config.sample_size == 64
    with pytest.raises(ValueError, match="do not fit together"):
        ddpm_checkpoint.load(path, {"layers_per_block": 3})


def test_a_malicious_pickle_is_refused(tmp_path):
    made = tmp_path / "made"

    class Payload:
        def __reduce__(self):
            return (open, (str(made), "w"))

    inside, bare = tmp_path / "inside.ckpt", tmp_path / "bare.ckpt"
    torch.save({**original(**LSUN).state_dict(), "extra": Payload()}, inside)
    bare.write_bytes(pickle.dumps(Payload(), protocol=2))
    for path in (inside, bare):
        with pytest.raises(ValueError, match=r"is refused.*asks for \S*open\. Unpickling such a file can run code"):
            ddpm_checkpoint.load(path)
        assert not made.exists()
    pickle.loads(bare.read_bytes()).close()  # the payload works: what refused it was the reader
    assert made.exists()


@pytest.mark.parametrize("name", ["x.ckpt", "x.safetensors"])
@pytest.mark.parametrize("content", [b"", b"hello world" * 9, b"\x80\x02}q\x00."])
def test_damaged_files_are_refused(name, content, tmp_path):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"x\.\w+ (is refused|holds no state dict)"):
        ddpm_checkpoint.load(path)


def test_other_layouts_are_refused(tmp_path):
    weights = original(**CIFAR).state_dict()
    with pytest.raises(FileNotFoundError, match="no weight file"):
        ddpm_checkpoint.load(tmp_path / "nowhere.ckpt")
    torch.save([1, "two"], tmp_path / "list.ckpt")
    with pytest.raises(ValueError, match="holds no state dict"):
        ddpm_checkpoint.load(tmp_path / "list.ckpt")
    with pytest.raises(ValueError, match=r"expected conv_in.*got nothing"):
        ddpm_checkpoint.convert({})
    with pytest.raises(ValueError, match=r"expected conv_in.*got input_blocks\.0\.0\.weight"):
        ddpm_checkpoint.convert({"input_blocks.0.0.weight": torch.zeros(1)})
    with pytest.raises(ValueError, match=r"down\.1\.block\.0\.conv_shortcut\.weight do not belong"):
        ddpm_checkpoint.convert({**weights, "down.1.block.0.conv_shortcut.weight": torch.zeros(1)})
    with pytest.raises(ValueError, match=r"down\.0\.block\.0\.conv1\.weight is missing"):
        ddpm_checkpoint.convert({k: v for k, v in weights.items() if not k.startswith("down.0.block.0.conv1")})
    for key, shape in (
        ("conv_in.weight", ()),
        ("conv_out.weight", (3,)),
        ("down.0.block.0.conv1.weight", (0, 3, 3, 3)),
    ):
        with pytest.raises(ValueError, match=f"{key}: a convolution's weight has 4 axes, none empty"):
            ddpm_checkpoint.convert({**weights, key: torch.zeros(shape)})
    torch.save({**weights, "down.0.block.0.conv1.weight": torch.zeros(5, 64, 3, 3)}, tmp_path / "odd.ckpt")
    with pytest.raises(ValueError, match=r"odd\.ckpt: the tensors do not fit together.*divisible"):
        ddpm_checkpoint.load(tmp_path / "odd.ckpt")
    with pytest.raises(ValueError, match="1 x 1 convolutions"):
        ddpm_checkpoint.convert({**weights, "mid.attn_1.q.weight": torch.zeros(64, 64, 3, 3)})
    torch.save({k: v for k, v in weights.items() if k != "mid.block_1.conv1.bias"}, tmp_path / "part.ckpt")
    with pytest.raises(ValueError, match=r"(?s)do not fit together.*Missing key.*mid_block\.resnets\.0\.conv1\.bias"):
        ddpm_checkpoint.load(tmp_path / "part.ckpt")
