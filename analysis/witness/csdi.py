"""CSDI (Tashiro et al., NeurIPS 2021): imputation of 35 × 48 series of intensive care, by a transformer per axis.

From github.com/ermongroup/CSDI (MIT), trained on PhysioNet 2012: 50 steps, quadratic β from 1e-4 to 0.5, predicting ε.
Each residual block attends over time and over features between 1×1 convolutions. Samples are on axis 0 everywhere, so
that one scale per sample is one for all of a series.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from modiff_sim.diffusion.schedules import Schedule
from modiff_sim.nn import image_noise, sample

FEATURES = 35
#: the first 12 of its 48 hours, of which it takes any number: 4.3 times as many samples in the same time
HOURS = 12
SHAPE = (1, FEATURES, HOURS)
#: name -> options of ``sample``; the stochastic one is its own
SAMPLERS: dict[str, dict[str, Any]] = {
    "deterministic": {"sampler": "ddim", "eta": 0.0, "steps": 50},
    "stochastic": {"sampler": "ddpm", "variance": "fixed_small", "steps": 50},
}
SHOWN = 0.2  # the share of values that are known, about that of its data set
#: seeds of the series that are drawn, and of what is shown of them
SERIES_SEED, SHOWN_SEED = 1_000_003, 1_000_033
TIME_PATH = ("diffusion_embedding.*", "*.diffusion_projection")
STEPS, BLOCKS, CHANNELS, HEADS, EMBEDDING, OF_FEATURE = 50, 4, 64, 8, 128, 16


def _angles(positions: Tensor, frequencies: Tensor) -> Tensor:
    return positions[:, None] * frequencies[None, :]


class StepEmbedding(nn.Module):
    """The embedding of the timestep, (n,) -> (n, 128)."""

    table: Tensor

    def __init__(self) -> None:
        super().__init__()
        half = EMBEDDING // 2
        angles = _angles(torch.arange(STEPS), 10.0 ** (torch.arange(half) / (half - 1) * 4.0))
        self.register_buffer("table", torch.cat([angles.sin(), angles.cos()], dim=1), persistent=False)
        self.projection1 = nn.Linear(EMBEDDING, EMBEDDING)
        self.projection2 = nn.Linear(EMBEDDING, EMBEDDING)

    def forward(self, t: Tensor) -> Tensor:
        """Return a row per timestep."""
        silu = nn.functional.silu
        return silu(self.projection2(silu(self.projection1(self.table[t]))))


class SelfAttention(nn.Module):
    """Attention over the last axis but one of (n, rows, tokens, channels)."""

    def __init__(self) -> None:
        super().__init__()
        self.in_proj, self.out_proj = nn.Linear(CHANNELS, 3 * CHANNELS), nn.Linear(CHANNELS, CHANNELS)

    def forward(self, x: Tensor) -> Tensor:
        """Return the attended tokens, like x."""
        q, k, v = (part.unflatten(-1, (HEADS, -1)).transpose(-2, -3) for part in self.in_proj(x).chunk(3, dim=-1))
        weights = (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(dim=-1)
        return self.out_proj((weights @ v).transpose(-2, -3).flatten(-2))


class Transformer(nn.Module):
    """A transformer's encoder layer, with the normalization behind each sum."""

    def __init__(self) -> None:
        super().__init__()
        self.self_attn = SelfAttention()
        self.linear1, self.linear2 = nn.Linear(CHANNELS, CHANNELS), nn.Linear(CHANNELS, CHANNELS)
        self.norm1, self.norm2 = nn.LayerNorm(CHANNELS), nn.LayerNorm(CHANNELS)

    def forward(self, x: Tensor) -> Tensor:
        """Return tokens like x."""
        x = self.norm1(x + self.self_attn(x))
        return self.norm2(x + self.linear2(nn.functional.gelu(self.linear1(x))))


class ResidualBlock(nn.Module):
    """Attention over hours, attention over features, and a gate that is told what is known."""

    def __init__(self) -> None:
        super().__init__()
        self.diffusion_projection = nn.Linear(EMBEDDING, CHANNELS)
        self.cond_projection = nn.Conv1d(EMBEDDING + OF_FEATURE + 1, 2 * CHANNELS, 1)
        self.mid_projection = nn.Conv1d(CHANNELS, 2 * CHANNELS, 1)
        self.output_projection = nn.Conv1d(CHANNELS, 2 * CHANNELS, 1)
        self.time_layer, self.feature_layer = Transformer(), Transformer()

    def forward(self, x: Tensor, side: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
        """Return the new x and what skips the later blocks, both (n, 64, 35·hours)."""
        y = (x + self.diffusion_projection(step)[:, :, None]).unflatten(2, (FEATURES, -1))
        y = self.time_layer(y.permute(0, 2, 3, 1))  # (n, features, hours, channels)
        y = self.feature_layer(y.transpose(1, 2)).permute(0, 3, 2, 1).flatten(2)
        gate, value = (self.mid_projection(y) + self.cond_projection(side)).chunk(2, dim=1)
        residual, skip = self.output_projection(torch.sigmoid(gate) * torch.tanh(value)).chunk(2, dim=1)
        return (x + residual) / math.sqrt(2.0), skip


class Network(nn.Module):
    """The network: (x, t, known values, where they are known) -> ε̂. The names of its parts are those of the file."""

    def __init__(self) -> None:
        super().__init__()
        self.embed_layer = nn.Embedding(FEATURES, OF_FEATURE)
        self.diffusion_embedding = StepEmbedding()
        self.input_projection = nn.Conv1d(2, CHANNELS, 1)
        self.output_projection1, self.output_projection2 = nn.Conv1d(CHANNELS, CHANNELS, 1), nn.Conv1d(CHANNELS, 1, 1)
        self.residual_layers = nn.ModuleList(ResidualBlock() for _ in range(BLOCKS))

    def forward(self, x: Tensor, t: Tensor, known: Tensor, shown: Tensor) -> Tensor:
        """Return the predicted noise, like x (n, 1, 35, hours).

        ``known`` are values like x, of which only those count where ``shown``, float and like x, is 1 rather than 0.
        """
        relu, side, step = nn.functional.relu, self._side(shown), self.diffusion_embedding(t)
        both = torch.cat([shown * known, (1.0 - shown) * x], dim=1).flatten(2)
        y = relu(self.input_projection(both))
        skips = []
        for block in self.residual_layers:
            y, skip = block(y, side, step)
            skips.append(skip)
        y = relu(self.output_projection1(torch.stack(skips).sum(dim=0) / math.sqrt(BLOCKS)))
        return self.output_projection2(y).view_as(x)

    def _side(self, shown: Tensor) -> Tensor:
        """Return what does not change between calls, (n, 145, 35·hours): hour, feature, and whether it is known."""
        n, _, features, hours = shown.shape
        even = torch.arange(0, EMBEDDING, 2, device=shown.device)
        angles = _angles(torch.arange(hours, device=shown.device), 10000.0 ** (-even / EMBEDDING))
        hour = torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1).T[None, :, None, :]
        feature = self.embed_layer.weight.T[None, :, :, None]
        parts = [hour.expand(n, -1, features, -1), feature.expand(n, -1, -1, hours), shown]
        return torch.cat(parts, dim=1).flatten(2)


def renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of the file under the names of ``Network``, whose projection to q, k, v is a linear layer."""

    def ours(name: str) -> str:
        return name.removeprefix("diffmodel.").replace("_layer.layers.0.", "_layer.").replace("in_proj_", "in_proj.")

    return {ours(name): value for name, value in state.items()}


def schedule() -> Schedule:
    """Return the noise levels of its training."""
    beta = np.linspace(math.sqrt(1e-4), math.sqrt(0.5), STEPS) ** 2
    return Schedule(alpha_bar=np.cumprod(1.0 - beta), timesteps=np.arange(STEPS)[::-1])


def shown(indices: range) -> np.ndarray:
    """Return which values of these series are known, bool (n, 1, 35, hours)."""
    return np.stack([image_noise(SHOWN_SEED, i).random(SHAPE) < SHOWN for i in indices])


def conditions(network: nn.Module, indices: range) -> dict[str, Tensor]:
    """Return series, and what is shown of them. They are drawn from the network itself, as its data are not here."""
    none = torch.zeros(1, *SHAPE)
    drawn = sample(
        network,
        images=indices,
        batch=len(indices),
        shape=SHAPE,
        schedule=schedule(),
        seed=SERIES_SEED,
        conditions={"known": none, "shown": none},
        **SAMPLERS["stochastic"],
    )
    return {"known": torch.from_numpy(drawn), "shown": torch.from_numpy(shown(indices).astype(np.float32))}


def decibels(x: np.ndarray, reference: np.ndarray, indices: range) -> np.ndarray:
    """Return the signal-to-noise ratio of the imputed values of each series, float64 (n,) in dB; inf for equal ones."""
    hidden = ~shown(indices)
    signal, noise = (np.where(hidden, z, 0.0).astype(np.float64) for z in (reference, x - reference))
    power, off = (np.square(z).sum(axis=(1, 2, 3)) for z in (signal, noise))
    out = np.full(len(x), np.inf)
    np.log10(power / np.where(off > 0, off, 1.0), out=out, where=off > 0)
    return 10.0 * out
