"""What an experiment can be run on: a model of the zoo, or one of yours in a diffusers folder."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils import _pytree as pytree

from modiff_sim.nn import sample, zoo
from modiff_sim.nn.architectures import example_inputs
from modiff_sim.nn.sample import image_shape

from .metrics import EXTRACTORS


@dataclass(frozen=True)
class Subject:
    """A model and what sampling it needs. ``conditions`` are fixed: see ``nn.sample``.

    judged: whether Fréchet distances to training images exist for it (the zoo's models with a classifier).
    """

    name: str
    model: nn.Module
    shape: tuple[int, int, int]
    conditions: dict[str, Any] = field(default_factory=dict)
    judged: bool = False

    def sample(self, images: int | Sequence[int], **options: Any) -> np.ndarray:
        """Images, float32 (n, C, H, W); options as of ``modiff_sim.nn.sample``."""
        chosen: dict[str, Any] = {"shape": self.shape, "conditions": self.conditions} | options
        return sample(self.model, images=images, **chosen)


def subject(name: str, *, seed: int = 0) -> Subject:
    """The subject of this name: a model of the zoo, else whatever ``nn.adapters.load`` takes (folder, hub name, file).

    A conditional model gets one fixed condition, drawn from the seed: random text embeddings, class 0. What comes out
    is no picture, and differences between arms still are what they are.
    """
    if name in zoo.MODELS:
        model = zoo.load(name)
        return Subject(name, model, image_shape(model), judged=name in EXTRACTORS)
    if close := difflib.get_close_matches(name, zoo.MODELS, n=1):  # before a hub is asked for it
        raise ValueError(f"no model {name!r} in the zoo; did you mean {close[0]!r}?")
    from modiff_sim.nn import adapters

    model = adapters.load(name).denoiser
    return Subject(name, model, image_shape(model), _conditions(model, torch.Generator().manual_seed(seed)))


def _conditions(model: nn.Module, generator: torch.Generator) -> dict[str, Any]:
    """One row of every further input that such a model is called with: random numbers, class 0."""
    _, named = example_inputs(model)
    named.pop("timestep", None)
    dtype = next(model.parameters()).dtype

    def drawn(like: torch.Tensor) -> torch.Tensor:
        if not like.is_floating_point():
            return torch.zeros(like.shape, dtype=like.dtype)
        return torch.randn(like.shape, generator=generator).to(dtype)

    made: dict[str, Any] = pytree.tree_map(drawn, named)
    return made
