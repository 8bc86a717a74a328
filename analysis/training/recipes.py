"""How each model is trained: its network, data set and settings. A new model is a new entry here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from .loop import Settings


@dataclass(frozen=True)
class Recipe:
    """How one model is trained.

    ``config`` has the arguments of ``diffusers.UNet2DModel``. ``stored`` is the dtype of the file with the weights; the
    zoo loads them as float32.
    """

    data: str
    config: dict[str, Any]
    settings: Settings
    stored: torch.dtype = torch.float32


def _unet(side: int, image_channels: int, channels: list[int], layers: int, **more: Any) -> dict[str, Any]:
    """Return a U-Net of plain blocks with one attention block in the middle."""
    levels = len(channels)
    return {
        "sample_size": side, "in_channels": image_channels, "out_channels": image_channels,
        "layers_per_block": layers, "block_out_channels": channels,
        "down_block_types": ["DownBlock2D"] * levels, "up_block_types": ["UpBlock2D"] * levels,
    } | more  # fmt: skip


RECIPES = {
    # 0.65 M parameters: 12,800 forwards in 6 s on 2 idle cores
    "digits": Recipe("digits", _unet(8, 1, [32, 64], 1, norm_num_groups=8, attention_head_dim=16), Settings()),
    # 1.06 M parameters, made for one core of a CPU: 0.7 s per step in bfloat16, 7 ms per image and forward in float32
    "fashion32": Recipe(
        "fashion32",
        _unet(32, 1, [32, 64, 64], 1, norm_num_groups=8, attention_head_dim=16),
        Settings(steps=6_000, precision="bfloat16"),
    ),
    # 3.58 M parameters, trained on one core of a CPU, some hours at a time over days: 0.9 steps per second in bfloat16
    "cifar10_small": Recipe(
        "cifar10",
        _unet(32, 3, [64, 96, 128], 1, norm_num_groups=8, attention_head_dim=32),
        Settings(steps=50_000, lr=6e-4, warmup=1_000, ema=0.9995, flips=True, precision="bfloat16"),
        stored=torch.float16,
    ),
    # 14.5 M parameters, for one GPU; attention at 16×16 as in the paper's CIFAR-10 network, which has 35.7 M
    "cifar10": Recipe(
        "cifar10",
        _unet(32, 3, [96, 192, 192], 2, attention_head_dim=32)
        | {
            "down_block_types": ["DownBlock2D", "AttnDownBlock2D", "DownBlock2D"],
            "up_block_types": ["UpBlock2D", "AttnUpBlock2D", "UpBlock2D"],
        },
        Settings(steps=100_000, batch=128, lr=2e-4, warmup=5_000, ema=0.9999, flips=True, precision="bfloat16",
                 device="cuda"),
        stored=torch.float16,
    ),
}  # fmt: skip
