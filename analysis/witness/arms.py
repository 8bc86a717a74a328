"""The arms of the witnesses: recursion, bits and which layers, always with one scale per sample."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import nn

import modiff_sim as ms
from modiff_sim.nn import Run, except_, modulated, with_layers

#: which layers have quantized activations; all have quantized weights
LAYERS = ("all", "no time path", "convolutions")


@dataclass(frozen=True)
class Arm:
    """One arm under a sampler of the witness. ``bits`` and ``weight_bits`` of 32 are full precision."""

    sampler: str
    recursion: str = "direct"
    bits: int = 32
    layers: str = "all"
    weight_bits: int = 8

    @property
    def label(self) -> str:
        """The arm as the paper writes it, with what is not the default."""
        name = f"W{self.weight_bits}A{self.bits}" if self.weight_bits < 32 else "full precision"
        name += f" {self.recursion.replace('_', ' ')}" if self.bits < 32 else ""
        return f"{name}, {self.sampler}" + ("" if self.layers == "all" else f", {self.layers}")

    @contextmanager
    def on(self, network: nn.Module, time_path: tuple[str, ...]) -> Iterator[Run | None]:
        """Run the network as this arm within the context. Full precision does not change it and yields None."""
        if self.weight_bits == 32:
            yield None
            return
        weights = ms.AbsMax(self.weight_bits, granularity=ms.PerChannel(0))
        with modulated(
            network, activations=self._activations(network, time_path), weights=weights, recursion=self.recursion
        ) as run:
            yield run

    def _activations(self, network: nn.Module, time_path: tuple[str, ...]) -> Any:
        if self.bits == 32:
            return ms.Identity()
        chosen = ms.AbsMax(self.bits, granularity=ms.PerSample())
        if self.layers == "all":
            return chosen
        kept = _is_convolution if self.layers == "convolutions" else except_(*time_path, model=network)
        return with_layers(network, ms.Identity(), (kept, chosen))


def _is_convolution(name: str, module: nn.Module) -> bool:
    return isinstance(module, nn.Conv1d | nn.Conv2d)


def full(sampler: str) -> Arm:
    """Return full precision."""
    return Arm(sampler, weight_bits=32)


def baseline(sampler: str) -> Arm:
    """Return activations in full precision with the same 8-bit weights, which the others are compared with."""
    return Arm(sampler)
