"""The original DDPM checkpoints as diffusers' UNet2DModel: CIFAR-10's ``ema_diffusion_cifar10_model``, LSUN, CelebA-HQ.

    model = ddpm_checkpoint.load("ema_diffusion_cifar10_model.ckpt")     # eval mode, no gradients
    config, weights = ddpm_checkpoint.convert(state_dict)

The layout is that of the PyTorch port of Ho et al. (arXiv 2006.11239, appendix B): ``temb.dense.0``, ``conv_in``,
``down.<level>.block.<j>``, ``down.<level>.attn.<j>``, ``mid.block_1``, ``mid.attn_1``, ``up.<level>...``, ``norm_out``,
``conv_out``. Levels count from full resolution in both halves, where diffusers counts its up blocks from the bottom.
The architecture is inferred from the keys and shapes. The rest is the same in all published models: 32 groups with
eps 1e-6, one attention head, the strided convolution padded below and right only, the timestep's sines before its
cosines, with frequencies down to exactly 1e-4. The image size is not in the keys and shapes either. It is inferred from
the published models' attention at 16 x 16, and only matters for ``model.config.sample_size``.

Only tensors are read from a file: safetensors, or torch's format with ``weights_only=True``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .checkpoints import read, shown

if TYPE_CHECKING:
    from diffusers import UNet2DModel

__all__ = ["convert", "load", "read"]

ATTENTION_AT = 16  # resolution at which every published model attends
RESNET = {"norm1": "norm1", "conv1": "conv1", "temb_proj": "time_emb_proj", "norm2": "norm2", "conv2": "conv2",
          "nin_shortcut": "conv_shortcut"}  # fmt: skip
ATTENTION = {"norm": "group_norm", "q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0"}
OUTSIDE = {"temb.dense.0": "time_embedding.linear_1", "temb.dense.1": "time_embedding.linear_2", "conv_in": "conv_in",
           "norm_out": "conv_norm_out", "conv_out": "conv_out"}  # fmt: skip
MIDDLE = {"block_1": "resnets.0", "attn_1": "attentions.0", "block_2": "resnets.1"}


def convert(
    state_dict: Mapping[str, Tensor], config: Mapping[str, Any] | None = None
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Arguments of UNet2DModel and its state dict, from a state dict in the original layout; tensors keep their dtype.

    ``config`` overrides what was inferred (such as ``sample_size``).

    Raises ValueError for keys that do not belong to the layout, naming them, and for shapes that do not fit it.
    """
    weights = dict(state_dict)
    levels = _levels(weights)
    # the tensors from which the architecture is inferred
    for key in ("conv_in.weight", "conv_out.weight", *(f"down.{i}.block.0.conv1.weight" for i in range(levels))):
        if key in weights and (weights[key].ndim != 4 or 0 in weights[key].shape):
            raise ValueError(f"{key}: a convolution's weight has 4 axes, none empty; got {tuple(weights[key].shape)}")
    found = _config(weights, levels)
    names = dict(_names(levels, found["layers_per_block"]))
    unknown = [k for k in weights if k.rpartition(".")[0] not in names]
    if unknown:
        raise ValueError(f"not a checkpoint in the original DDPM layout: {shown(unknown, 4)} do not belong to it")
    out = {}
    for key, value in weights.items():
        module, _, what = key.rpartition(".")
        if ".attentions." in names[module] and value.ndim == 4:  # a 1 x 1 convolution is a Linear layer
            if tuple(value.shape[2:]) != (1, 1):
                raise ValueError(f"{key}: attention's projections are 1 x 1 convolutions, got {tuple(value.shape)}")
            value = value[:, :, 0, 0]
        out[f"{names[module]}.{what}"] = value
    return {**found, **(config or {})}, out


def load(path: str | Path, config: Mapping[str, Any] | None = None) -> UNet2DModel:
    """The model of a checkpoint file, in the file's dtype, on the CPU, in eval mode, without gradients.

    ``model(x, t).sample`` predicts the noise in x (n, C, H, W) at timestep t. Of a training checkpoint, which holds the
    weights and their moving average, the moving average is taken (``nn.models.checkpoints``, which logs it). ``config``
    is as for ``convert``.

    Raises FileNotFoundError, and ValueError with the file's keys for a file that holds more than tensors (a pickle that
    could run code is refused unread), that is not in the layout, or whose tensors do not fit together.
    """
    return loaded(path, config)[0]


def loaded(path: str | Path, config: Mapping[str, Any] | None = None) -> tuple[UNet2DModel, str]:
    """The model of ``load``, and which of the weights in the file it has, in words (``checkpoints.Read.said``)."""
    from diffusers import UNet2DModel

    held = read(path)
    keys = f"; its keys: {shown(held)}"
    try:
        found, weights = convert(_bare(held), config)
    except ValueError as error:
        raise ValueError(f"{path}: {error}{keys}") from None
    with torch.device("meta"):  # no random initial weights are drawn
        try:
            model: Any = UNet2DModel(**found)
        except (ValueError, ZeroDivisionError) as error:
            raise ValueError(f"{path}: the tensors do not fit together: {error}{keys}") from None
    try:
        model.load_state_dict(weights, assign=True)
    except RuntimeError as error:
        raise ValueError(f"{path}: the tensors do not fit together: {error}{keys}") from None
    return model.eval().requires_grad_(False), held.said


def _bare(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights without a prefix that all names share, such as ``model.``.

    Names have such a prefix where the network was part of another module.
    """
    heads = {key.removesuffix("conv_in.weight") for key in weights if f".{key}".endswith(".conv_in.weight")}
    head = heads.pop() if len(heads) == 1 else ""
    if not all(key.startswith(head) for key in weights):
        return dict(weights)
    return {key.removeprefix(head): value for key, value in weights.items()}


def _levels(weights: Mapping[str, Tensor]) -> int:
    found = {int(m[1]) for key in weights if (m := re.match(r"(?:down|up)\.(\d+)\.", key))}
    if "conv_in.weight" not in weights or "temb.dense.0.weight" not in weights or found != set(range(len(found))):
        raise ValueError(
            "not a checkpoint in the original DDPM layout: expected conv_in, temb.dense.0 and down.<level>.block.<j>, "
            f"got {shown(weights, 4) or 'nothing'}"
        )
    return len(found)


def _config(weights: Mapping[str, Tensor], levels: int) -> dict[str, Any]:
    """The arguments of UNet2DModel."""
    channels = []
    for i in range(levels):
        if (first := weights.get(f"down.{i}.block.0.conv1.weight")) is None:
            raise ValueError(f"not a checkpoint in the original DDPM layout: down.{i}.block.0.conv1.weight is missing")
        channels.append(first.shape[0])
    blocks = {int(m[1]) for key in weights if (m := re.match(r"down\.0\.block\.(\d+)\.", key))}
    attends = [f"down.{i}.attn.0.q.weight" in weights for i in range(levels)]
    kinds = [("AttnDownBlock2D", "AttnUpBlock2D") if a else ("DownBlock2D", "UpBlock2D") for a in attends]
    size = ATTENTION_AT << attends.index(True) if any(attends) else None
    return {
        "sample_size": size,
        "in_channels": weights["conv_in.weight"].shape[1],
        "out_channels": weights["conv_out.weight"].shape[0] if "conv_out.weight" in weights else 3,
        "layers_per_block": len(blocks),
        "block_out_channels": tuple(channels),
        "down_block_types": tuple(down for down, _ in kinds),
        "up_block_types": tuple(up for _, up in reversed(kinds)),
        "attention_head_dim": None,  # one head of all channels
        "norm_num_groups": 32,
        "norm_eps": 1e-6,
        "act_fn": "silu",
        "downsample_padding": 0,  # diffusers then pads below and right
        "flip_sin_to_cos": False,
        "freq_shift": 1,
    }


def _names(levels: int, layers: int) -> Iterator[tuple[str, str]]:
    """Yield (module of the original, module of diffusers) for all modules that may occur."""
    yield from OUTSIDE.items()
    for name, ours in MIDDLE.items():
        for part, new in (RESNET if "block" in name else ATTENTION).items():
            yield f"mid.{name}.{part}", f"mid_block.{ours}.{new}"
    for i in range(levels):
        for half, base, count in (
            ("down", f"down_blocks.{i}", layers),
            ("up", f"up_blocks.{levels - 1 - i}", layers + 1),
        ):
            for j in range(count):
                for part, new in RESNET.items():
                    yield f"{half}.{i}.block.{j}.{part}", f"{base}.resnets.{j}.{new}"
                for part, new in ATTENTION.items():
                    yield f"{half}.{i}.attn.{j}.{part}", f"{base}.attentions.{j}.{new}"
            yield f"{half}.{i}.{half}sample.conv", f"{base}.{half}samplers.0.conv"
