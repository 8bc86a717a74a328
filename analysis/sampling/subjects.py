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

from modiff_sim.diffusion.schedules import Schedule
from modiff_sim.nn import sample, zoo
from modiff_sim.nn.models.architectures import example_inputs
from modiff_sim.nn.models.schedulers import describe
from modiff_sim.nn.sampling import image_shape
from modiff_sim.sweeps.store import digest_of

from ..metrics import EXTRACTORS


@dataclass(frozen=True)
class Subject:
    """A model and what sampling it needs. ``conditions`` are fixed: see ``nn.sample``.

    judged:   whether Fréchet distances to training images exist for it (the zoo's models with a classifier).
    schedule: what the scheduler that it came with says; None where none did, and for the zoo: linear, predicting noise.
    about:    sentences for whoever reads its results: what it is sampled by, which weights were taken.
    """

    name: str
    model: nn.Module
    shape: tuple[int, int, int]
    conditions: dict[str, Any] = field(default_factory=dict)
    judged: bool = False
    schedule: Schedule | None = None
    about: tuple[str, ...] = ()

    @property
    def spacing(self) -> str:
        """Of the timesteps, where nobody chooses another: the scheduler's, else the paper's."""
        return "quad" if self.schedule is None else self.schedule.spacing

    def key(self) -> dict[str, Any]:
        """What a stored result depends on besides weights and options of ``sample``; empty without a scheduler."""
        if (s := self.schedule) is None:
            return {}
        return {"schedule": {
            "alpha_bar_sha256": digest_of(s.alpha_bar.tobytes()), "prediction": s.prediction, "final": s.final,
            "offset": s.offset, "defaults": dict(s.defaults), **({"strided": True} if s.strided else {}),
        }}  # fmt: skip

    def sample(self, images: int | Sequence[int], **options: Any) -> np.ndarray:
        """Images, float32 (n, C, H, W); options as of ``modiff_sim.nn.sampling``."""
        chosen: dict[str, Any] = {
            "shape": self.shape,
            "conditions": self.conditions,
            "schedule": self.schedule,
        } | options
        return sample(self.model, images=images, **chosen)


def subject(name: str, *, seed: int = 0) -> Subject:
    """The subject of this name: a model of the zoo, else whatever ``nn.adapters.load`` takes (folder, hub name, file).

    A conditional model gets one fixed condition, drawn from the seed: random text embeddings, class 0. What comes out
    is no picture, and differences between arms still are what they are.

    Raises ValueError for a scheduler beside the model that cannot be followed, and as ``adapters.load``.
    """
    if name in zoo.MODELS:
        model = zoo.load(name)
        return Subject(name, model, image_shape(model), judged=name in EXTRACTORS)
    if close := difflib.get_close_matches(name, zoo.MODELS, n=1):  # before a hub is asked for it
        raise ValueError(f"no model {name!r} in the zoo; did you mean {close[0]!r}?")
    from modiff_sim.nn import adapters

    loaded = adapters.load(name)
    model, schedule = loaded.denoiser, loaded.schedule
    by = (
        "no scheduler came with it: sampled as a model that predicts noise, linear betas, 1000 training timesteps"
        if loaded.scheduler is None
        else f"sampled by {describe(loaded.scheduler)}"
    )
    return Subject(
        name, model, image_shape(model), _conditions(model, torch.Generator().manual_seed(seed)), schedule=schedule,
        about=(by, *loaded.notes),
    )  # fmt: skip


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
