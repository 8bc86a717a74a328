"""Pulfer's DDPM of clothes (1×28×28): a U-Net with LayerNorm over whole maps and transposed convolutions.

From github.com/BrianPulfer/PapersReimplementations (MIT), trained on Fashion-MNIST: 1000 steps, linear β from 1e-4 to
0.02, predicting ε. The predicted clean image has to be clipped to ±1, or full precision itself blows up at η = 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from modiff_sim.diffusion.schedules import Schedule, linear
from modiff_sim.metrics import psnr

SHAPE = (1, 28, 28)
#: name -> options of ``sample``, both with 50 of the 1000 steps
SAMPLERS: dict[str, dict[str, Any]] = {
    "deterministic": {"sampler": "ddim", "eta": 0.0, "clip": 1.0, "steps": 50},
    "stochastic": {"sampler": "ddim", "eta": 1.0, "clip": 1.0, "steps": 50},
}
TIME_PATH = ("te*",)  # patterns of its layers: two per resolution
STEPS, EMBEDDING = 1000, 100
#: channels on 28×28, 14×14 and 7×7
WIDTHS = (10, 20, 40)


class Block(nn.Module):
    """Two 3×3 convolutions behind a normalization of each whole map stack; the last block of all leaves it out."""

    def __init__(self, inside: int, outside: int, size: int, *, normalized: bool = True) -> None:
        super().__init__()
        self.ln = nn.LayerNorm((inside, size, size))
        self.conv1 = nn.Conv2d(inside, outside, 3, padding=1)
        self.conv2 = nn.Conv2d(outside, outside, 3, padding=1)
        self.normalized = normalized

    def forward(self, x: Tensor) -> Tensor:
        """Return the maps (n, outside, size, size)."""
        silu = nn.functional.silu
        x = self.ln(x) if self.normalized else x
        return silu(self.conv2(silu(self.conv1(x))))


def _blocks(size: int, *channels: int, last_normalized: bool = True) -> nn.Sequential:
    pairs = list(pairwise(channels))
    made = [Block(a, b, size, normalized=last_normalized or i + 1 < len(pairs)) for i, (a, b) in enumerate(pairs)]
    return nn.Sequential(*made)


def _of_time(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(EMBEDDING, channels), nn.SiLU(), nn.Linear(channels, channels))


class Network(nn.Module):
    """The U-Net: (x, t) -> ε̂. The names of its parts are those of the file."""

    def __init__(self) -> None:
        super().__init__()
        w1, w2, w3 = WIDTHS
        self.time_embed = nn.Embedding(STEPS, EMBEDDING)
        self.te1, self.b1 = _of_time(1), _blocks(28, 1, w1, w1, w1)
        self.down1 = nn.Conv2d(w1, w1, 4, 2, 1)
        self.te2, self.b2 = _of_time(w1), _blocks(14, w1, w2, w2, w2)
        self.down2 = nn.Conv2d(w2, w2, 4, 2, 1)
        self.te3, self.b3 = _of_time(w2), _blocks(7, w2, w3, w3, w3)
        self.down3 = nn.Sequential(nn.Conv2d(w3, w3, 2), nn.SiLU(), nn.Conv2d(w3, w3, 4, 2, 1))
        self.te_mid, self.b_mid = _of_time(w3), _blocks(3, w3, w2, w2, w3)
        self.up1 = nn.Sequential(
            nn.ConvTranspose2d(w3, w3, 4, 2, 1), nn.SiLU(), nn.ConvTranspose2d(w3, w3, 2)
        )  # fmt: skip
        self.te4, self.b4 = _of_time(2 * w3), _blocks(7, 2 * w3, w3, w2, w2)
        self.up2 = nn.ConvTranspose2d(w2, w2, 4, 2, 1)
        self.te5, self.b5 = _of_time(2 * w2), _blocks(14, 2 * w2, w2, w1, w1)
        self.up3 = nn.ConvTranspose2d(w1, w1, 4, 2, 1)
        self.te_out, self.b_out = _of_time(2 * w1), _blocks(28, 2 * w1, w1, w1, w1, last_normalized=False)
        self.conv_out = nn.Conv2d(w1, 1, 3, padding=1)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """Return the predicted noise, like x (n, 1, 28, 28); t are int64 timesteps (n,)."""
        time = self.time_embed(t)

        def at(layers: nn.Module) -> Tensor:
            return layers(time)[:, :, None, None]

        fine = self.b1(x + at(self.te1))
        middle = self.b2(self.down1(fine) + at(self.te2))
        coarse = self.b3(self.down2(middle) + at(self.te3))
        x = self.up1(self.b_mid(self.down3(coarse) + at(self.te_mid)))
        x = self.up2(self.b4(torch.cat([coarse, x], 1) + at(self.te4)))
        x = self.up3(self.b5(torch.cat([middle, x], 1) + at(self.te5)))
        return self.conv_out(self.b_out(torch.cat([fine, x], 1) + at(self.te_out)))


def renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of the file under the names of ``Network``, which is one part of what was saved."""
    return {name.removeprefix("network."): value for name, value in state.items()}


def schedule() -> Schedule:
    """Return the noise levels of its training."""
    return linear(STEPS, 1e-4, 0.02)


def conditions(network: nn.Module, indices: range) -> dict[str, Tensor]:
    """Return no further arguments: nothing is given besides noise."""
    return {}


def decibels(x: np.ndarray, reference: np.ndarray, indices: range) -> np.ndarray:
    """Return the PSNR of each image to its reference, float64 (n,)."""
    return psnr(x, reference)
