"""The arms of the experiments: recursion, bits of activations and weights, scales.

``python -m analysis.experiments.arms --model digits`` prints the table of all arms on one model (``arm_table``).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import nn

import modiff_sim as ms
from modiff_sim.names import one_of
from modiff_sim.nn import Plan, Run, except_, modulated, presets, time_embedding, with_layers
from modiff_sim.nn.layers import Where
from modiff_sim.nn.plans.plan import as_plan

from ..running import interrupts

RECURSIONS = ("direct", "open_loop", "closed_loop")  # the paper's
BITS = (8, 6, 4, 3, 2)
CALIBRATION_SEED = 1_000_003  # seed of the images for calibration, on which no arm is judged
#: what shares a scale -> what the paper calls it
SCALES = {
    "sample": "dynamic, one scale per sample (LTQ with --act_tensor)",
    "batch": "dynamic, one scale per micro-batch (the official code's default)",
    "channel": "dynamic, one scale per sample and channel of a convolution, per sample of a linear layer (LCQ)",
    "static": "static, one scale per layer, MSE calibrated (Q-Diff)",
}
#: the calls, out of 100, at which the state starts anew in full precision
REFRESHES: dict[str, Any] = {"never": "never", "feb_2025": presets.FEB_2025_CALLS, "every call": 1}
#: which layers have quantized activations; the weights of all layers are quantized, whichever these are
LAYERS = {
    "all": "every convolution and linear layer (the official code)",
    "no time path": "all but the layers that see nothing but the timestep",
    "convolutions": "convolutions alone",
}
#: how the first call is done, besides a number: how often the first input is fed
WARMUPS = {
    "exact": "in full precision where there is a state; direct quantization has none and treats every call alike",
    "quantized": "quantized like every other call",
    "exact for all": "in full precision, for direct quantization too",
}

#: (target, bits, weights) -> activations with static scales that are calibrated on the model that is about to run
Calibrate = Callable[[str, int, Any], Any]


@dataclass(frozen=True)
class Arm:
    """One arm. ``bits`` and ``weight_bits`` of 32 are full precision. Weights have one scale per output channel.

    ``scale`` is one of ``SCALES``, ``warmup`` one of ``WARMUPS`` or how often the first input is fed, ``refresh`` one
    of ``REFRESHES``, and ``layers`` one of ``LAYERS``. Direct quantization has no state: a refresh is for it a call in
    full precision, and the only warm-up that it knows is "exact for all".
    """

    recursion: str = "direct"
    bits: int = 32
    weight_bits: int = 32
    scale: str = "sample"
    warmup: str | int = "exact"
    refresh: str = "never"
    layers: str = "all"

    def __post_init__(self) -> None:
        chosen = [("scale", self.scale, SCALES), ("refresh", self.refresh, REFRESHES), ("layers", self.layers, LAYERS)]
        if not isinstance(self.warmup, int):
            chosen.append(("warmup", self.warmup, WARMUPS))
        for what, given, known in chosen:
            one_of(what, given, known)

    @property
    def label(self) -> str:
        """The arm as the paper writes it, such as W8A4, with the recursion and whatever is not the default."""
        if self.bits == self.weight_bits == 32:
            return "full precision"
        name = f"W{self.weight_bits}A{self.bits}"
        if self.bits == 32:
            return name
        more = [] if self.scale == "sample" else [f"{self.scale} scales"]
        more += [] if self.layers == "all" else [self.layers]
        more += [] if self.warmup == "exact" else [f"warm-up {self.warmup}"]
        more += [] if self.refresh == "never" else [f"refresh {self.refresh}"]
        return ", ".join([f"{name} {self.recursion.replace('_', ' ')}", *more])

    @property
    def activations(self) -> ms.Quantizer:
        """The dynamic quantizer with one scale per sample, or per micro-batch."""
        shared = ms.PerBatch() if self.scale == "batch" else ms.PerSample()
        return {0: ms.Zero(), 32: ms.Identity()}.get(self.bits) or ms.AbsMax(self.bits, granularity=shared)

    @property
    def weights(self) -> ms.Quantizer | None:
        """The quantizer of the weights, None for full precision."""
        return None if self.weight_bits == 32 else ms.AbsMax(self.weight_bits, granularity=ms.PerChannel(0))

    def options(self, model: nn.Module, calibrate: Calibrate | None = None) -> dict[str, Any]:
        """Return the options of ``modulated``. Raises ValueError for static scales without ``calibrate``."""
        activations: Any = self.activations
        quantized = self.bits not in (0, 32)
        if quantized and self.scale == "channel":
            per_channel = ms.AbsMax(self.bits, granularity=ms.PerChannel((0, 1)))
            activations = with_layers(model, activations, (_is_convolution, per_channel))
        if quantized and self.scale == "static":
            if calibrate is None:
                raise ValueError(f"{self.label}: static scales have to be calibrated; pass calibrate=")
            # residual scales come from differences of the full-precision model, as in the official code
            target = "input" if self.recursion == "direct" else "difference"
            activations = calibrate(target, self.bits, self.weights)
        if quantized and self.layers != "all":
            activations = with_layers(model, activations, (self._left_out(model), ms.Identity()))
        warmup = self.warmup
        if warmup == "exact for all":
            warmup = "exact"
            activations = _ExactFirst(as_plan(activations)) if self.recursion == "direct" else activations
        return {
            "activations": activations, "weights": self.weights, "recursion": self.recursion, "warmup": warmup,
            "refresh": REFRESHES[self.refresh],
        }  # fmt: skip

    def _left_out(self, model: nn.Module) -> Where:
        """Which layers keep their activations in full precision."""
        return time_embedding(model) if self.layers == "no time path" else except_(_is_convolution)

    @contextmanager
    def on(self, model: Any, calibrate: Calibrate | None = None) -> Iterator[Run | None]:
        """Run the model as this arm within the context. The full-precision arm does not change it and yields None."""
        if self == FULL:
            yield None
            return
        with modulated(model, **self.options(model, calibrate)) as run:
            yield run


@dataclass(frozen=True)
class _ExactFirst:
    """The plan whose first call is in full precision."""

    later: Plan

    def quantizer(self, name: str, call: int) -> ms.Quantizer:
        return self.later.quantizer(name, call) if call else ms.Identity()


def _is_convolution(name: str, module: nn.Module) -> bool:
    return isinstance(module, nn.Conv1d | nn.Conv2d)


FULL = Arm()


if __name__ == "__main__":
    sys.exit(interrupts.begin("analysis.experiments.arm_table"))
