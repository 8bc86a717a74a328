"""Small models for the tests of the torch path; random weights, nothing to download."""

from types import SimpleNamespace

import torch
from torch import nn


class Small(nn.Module):
    """Conv2d, in-place ReLU, Conv2d with stride and circular padding, Linear; the Linear is used twice."""

    def __init__(self, dtype=torch.float64):
        super().__init__()
        self.first = nn.Conv2d(2, 4, 3, padding=1, dtype=dtype)
        self.act = nn.ReLU(inplace=True)
        self.second = nn.Conv2d(4, 6, 3, stride=2, padding=1, padding_mode="circular", groups=2, dtype=dtype)
        self.head = nn.Linear(6, 6, dtype=dtype)

    def forward(self, x, t: int = 0):
        x = self.second(self.act(self.first(x)))
        x = x.mean((-2, -1))
        return self.head(torch.tanh(self.head(x)) + t)


def small(seed=0, dtype=torch.float64):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Small(dtype).eval()


class Denoiser(nn.Module):
    """Two Conv2d and a Linear between them, with what sampling asks of a model: its image is 1×8×8."""

    def __init__(self):
        super().__init__()
        self.config = SimpleNamespace(sample_size=8, in_channels=1)
        self.first, self.middle, self.last = nn.Conv2d(1, 4, 3, padding=1), nn.Linear(8, 8), nn.Conv2d(4, 1, 1)

    def forward(self, x, timestep: int):
        return self.last(torch.tanh(self.middle(self.first(x)) + timestep / 1000))


def denoiser(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Denoiser().eval()


def made(name, config, seed):
    """A model of diffusers by the name of its class, in eval mode."""
    import diffusers

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return getattr(diffusers, name)(**config).eval()


def unet(seed=0, size=8):
    """A tiny diffusers UNet2DModel with attention in the middle."""
    return made("UNet2DModel", _PLAIN | {"sample_size": size, "block_out_channels": (8, 16), "attention_head_dim": 8,
                                         "down_block_types": 2 * ("DownBlock2D",),
                                         "up_block_types": 2 * ("UpBlock2D",)}, seed)  # fmt: skip


def shallow(seed=0):
    """A UNet2DModel of one resolution with attention in the middle: the fewest layers that have all of its kinds."""
    return made("UNet2DModel", _PLAIN, seed)


def shallow_condition(seed=0):
    """The same with cross attention in the middle, and 4 channels."""
    return made("UNet2DConditionModel", _PLAIN | {"in_channels": 4, "out_channels": 4, "cross_attention_dim": 6}, seed)


def walk(steps, batch=3, shape=(2, 8, 8), seed=0, dtype=torch.float64, step=0.1):
    """A slowly changing sequence of inputs."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(batch, *shape, generator=g, dtype=dtype)
    for _ in range(steps):
        yield x
        x = x + step * torch.randn(batch, *shape, generator=g, dtype=dtype)


_UNET = {
    "sample_size": 8, "layers_per_block": 1, "block_out_channels": (8, 16), "norm_num_groups": 4,
    "attention_head_dim": 4,
}  # fmt: skip
_PLAIN = _UNET | {
    "in_channels": 1, "out_channels": 1, "block_out_channels": (8,), "down_block_types": ("DownBlock2D",),
    "up_block_types": ("UpBlock2D",),
}  # fmt: skip
_HEADS = {"num_attention_heads": 2, "attention_head_dim": 4, "num_layers": 1}

#: name -> (class of diffusers, its config, the name of what is denoised, its shape, conditions: shape or labels)
FAMILIES = {
    "unet": ("UNet2DModel", {
        **_UNET, "in_channels": 1, "out_channels": 1, "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
        "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
    }, "sample", (1, 8, 8), {}),
    "unet_condition": ("UNet2DConditionModel", {
        **_UNET, "in_channels": 4, "out_channels": 4, "cross_attention_dim": 6,
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    }, "sample", (4, 8, 8), {"encoder_hidden_states": (3, 6)}),
    "dit": ("DiTTransformer2DModel", {
        **_HEADS, "sample_size": 8, "patch_size": 2, "in_channels": 4, "out_channels": 8, "norm_num_groups": 4,
    }, "hidden_states", (4, 8, 8), {"class_labels": None}),
    "transformer": ("Transformer2DModel", {
        **_HEADS, "in_channels": 8, "norm_num_groups": 4, "cross_attention_dim": 6,
    }, "hidden_states", (8, 8, 8), {"encoder_hidden_states": (3, 6)}),
    "pixart": ("PixArtTransformer2DModel", {
        **_HEADS, "sample_size": 8, "patch_size": 2, "in_channels": 4, "out_channels": 8, "norm_num_groups": 4,
        "cross_attention_dim": 8, "caption_channels": 6,
    }, "hidden_states", (4, 8, 8), {"encoder_hidden_states": (3, 6)}),
    "sd3": ("SD3Transformer2DModel", {
        **_HEADS, "sample_size": 8, "patch_size": 2, "in_channels": 4, "out_channels": 4, "joint_attention_dim": 6,
        "caption_projection_dim": 8, "pooled_projection_dim": 6,
    }, "hidden_states", (4, 8, 8), {"encoder_hidden_states": (3, 6), "pooled_projections": (6,)}),
    "flux": ("FluxTransformer2DModel", {
        "num_attention_heads": 2, "attention_head_dim": 16, "num_layers": 1, "num_single_layers": 1, "patch_size": 1,
        "in_channels": 4, "joint_attention_dim": 6, "pooled_projection_dim": 6, "axes_dims_rope": (4, 4, 8),
    }, "hidden_states", (16, 4), {"encoder_hidden_states": (3, 6), "pooled_projections": (6,)}),
}  # fmt: skip


def family(name, seed=0):
    """A tiny random-weight model of one of the families of diffusers, float32."""
    cls, config, *_ = FAMILIES[name]
    return made(cls, config, seed)


def family_calls(name, steps=3, batch=2, seed=0, dtype=torch.float32):
    """Keyword arguments of consecutive calls: the input changes slowly, the conditions do not."""
    _, _, moving, shape, conditions = FAMILIES[name]
    g = torch.Generator().manual_seed(seed + 1)
    given = {
        key: torch.tensor([1, 1000] * batch)[:batch]
        if size is None
        else torch.randn(batch, *size, generator=g).to(dtype)
        for key, size in conditions.items()
    }
    if name == "flux":  # positions of the patches and of the text
        given |= {"img_ids": torch.zeros(16, 3, dtype=dtype), "txt_ids": torch.zeros(3, 3, dtype=dtype)}
    for i, x in enumerate(walk(steps, batch, shape, seed, dtype)):
        time = (
            torch.full((batch,), 0.9 - 0.01 * i, dtype=dtype)
            if name == "flux"
            else torch.tensor([900 - 10 * i] * batch)
        )
        timestep = {} if name == "transformer" else {"timestep": time}
        yield {moving: x, **given, **timestep, "return_dict": False}


def vae():
    """A tiny autoencoder of 4 latent channels; halves the size."""
    from diffusers import AutoencoderKL

    with torch.random.fork_rng():
        torch.manual_seed(0)
        return AutoencoderKL(
            block_out_channels=(4, 4),
            norm_num_groups=2,
            latent_channels=4,
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            sample_size=8,
        ).eval()


def quiet(pipeline):
    """Without its progress bar."""
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def ddim_pipeline():
    """A pipeline around one U-Net, unconditional."""
    from diffusers import DDIMPipeline, DDIMScheduler

    return quiet(DDIMPipeline(family("unet"), DDIMScheduler()))


class Several:
    """What a pipeline is, as far as it is asked."""

    def __init__(self, **components):
        self.components = components
