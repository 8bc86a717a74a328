"""Whole sampling runs on integers and in full precision: images per second, with all that a run does between its steps.

The arms take turns with a run each, from the same noise. What a run begins with, such as the exact first call of
the closed loop, is part of it, and so are the sampler and the checks of every call.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

import modiff_sim as ms
from modiff_sim.nn import deepcache, modulated, sample
from modiff_sim.nn.models.inputs import image_shape

from .sampling import make

FULL = ("full precision", "full precision, channels last")
HEAD = ["model, images at once, steps", "arm", "images per second", "processor time, of full precision"]
W8 = {"weights": ms.AbsMax(8)}
#: arm -> the options of ``modulated``; None for full precision
ARMS: dict[str, dict[str, Any] | None] = {
    **dict.fromkeys(FULL),
    "W8A8 direct, integer": {"activations": ms.AbsMax(8), "recursion": "direct", "engine": "auto", **W8},
    "W8A4 closed loop, integer": {"activations": ms.AbsMax(4), "engine": "auto", **W8},
    "W8A4 closed loop, simulated": {"activations": ms.AbsMax(4), **W8},
    "DeepCache every 2": {"activations": ms.Identity(), "recursion": "direct"},
}


@dataclass(frozen=True)
class Size:
    """A run: the model, how many images are made at once, and in how many steps."""

    model: str
    images: int
    steps: int

    def __str__(self) -> str:
        return f"{self.model}, {self.images}, {self.steps}"


#: the zoo's models, and the paper's CIFAR-10 U-Net with random weights
SIZES = (Size("digits", 128, 20), Size("fashion32", 16, 20), Size("cifar10", 4, 10))


def _entered(arm: str, model: nn.Module, stack: ExitStack) -> nn.Module:
    """The model as this arm has it, for as long as the stack is open."""
    if arm == FULL[1]:
        return model.to(memory_format=torch.channels_last)
    if (options := ARMS[arm]) is not None:
        reuse = deepcache(model, every=2) if arm.startswith("DeepCache") else None
        stack.enter_context(modulated(model, reuse=reuse, **options))
    return model


def turns(size: Size, arms: Sequence[str], count: int) -> np.ndarray:
    """Return seconds by the clock and of the processor, float64 (2, turns, arms); a turn before them is left out."""
    taken = np.empty((2, count + 1, len(arms)))
    with ExitStack() as stack:
        models = [_entered(arm, make(size.model), stack) for arm in arms]
        run = partial(
            sample, images=size.images, batch=size.images, steps=size.steps, shape=image_shape(make(size.model))
        )
        for turn in range(count + 1):
            for i, model in enumerate(models):
                clocks = time.perf_counter(), time.process_time()
                run(model)
                taken[:, turn, i] = time.perf_counter() - clocks[0], time.process_time() - clocks[1]
    return taken[:, 1:]


def to_the_best(seconds: np.ndarray, names: Sequence[str], full: Sequence[str]) -> np.ndarray:
    """Return the median over turns of the ratios to the best of ``full`` within a turn; seconds are (turns, names)."""
    best = min((i for i, name in enumerate(names) if name in full), key=lambda i: np.median(seconds[:, i]))
    return np.asarray(np.median(seconds / seconds[:, [best]], axis=0))


def rows(sizes: Sequence[Size], count: int, arms: Sequence[str] = tuple(ARMS)) -> list[list[str]]:
    """Medians over the turns, and of the ratios to the better full precision within a turn."""
    found = []
    for size in sizes:
        clock, processor = turns(size, arms, count)
        ratios = to_the_best(processor, arms, FULL)
        for arm, seconds, ratio in zip(arms, np.median(clock, axis=0), ratios, strict=True):
            found.append([str(size), arm, f"{size.images / seconds:.3g}", f"{ratio:.2f}"])
    return found
