"""What an experiment can be run on: a model of the zoo, or one of your own in a diffusers folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils import _pytree as pytree

from modiff_sim.diffusion.schedules import Schedule
from modiff_sim.names import meant
from modiff_sim.nn import sample, zoo
from modiff_sim.nn.models.architectures import example_inputs
from modiff_sim.nn.models.schedulers import describe
from modiff_sim.nn.sampling import image_shape
from modiff_sim.sweeps.store import digest_of


@dataclass(frozen=True)
class Subject:
    """A model and what its sampling needs. ``conditions`` are fixed: see ``nn.sample``.

    schedule: that of the scheduler it came with; None without one and for the zoo, which is linear and predicts noise
    about:    sentences for readers of its results: how it is sampled, and which weights were taken
    """

    name: str
    model: nn.Module
    shape: tuple[int, int, int]
    conditions: dict[str, Any] = field(default_factory=dict)
    schedule: Schedule | None = None
    about: tuple[str, ...] = ()

    @property
    def spacing(self) -> str:
        """The default spacing of the timesteps: that of the scheduler, or else the paper's."""
        return "quad" if self.schedule is None else self.schedule.spacing

    def key(self) -> dict[str, Any]:
        """Return what a result depends on besides weights and options of ``sample``; empty without a scheduler."""
        if (s := self.schedule) is None:
            return {}
        return {"schedule": {
            "alpha_bar_sha256": digest_of(s.alpha_bar.tobytes()), "prediction": s.prediction, "final": s.final,
            "offset": s.offset, "defaults": dict(s.defaults), **({"strided": True} if s.strided else {}),
        }}  # fmt: skip

    def sample(self, images: int | Sequence[int], **options: Any) -> np.ndarray:
        """Sample images, float32 (n, C, H, W). Options are those of ``modiff_sim.nn.sampling``."""
        chosen: dict[str, Any] = {
            "shape": self.shape,
            "conditions": self.conditions,
            "schedule": self.schedule,
        } | options
        return sample(self.model, images=images, **chosen)


def subject(name: str, *, seed: int = 0) -> Subject:
    """Return the subject of this name: a model of the zoo, or what ``nn.adapters.load`` takes (folder, hub name, file).

    A conditional model gets one fixed condition, drawn from the seed: random text embeddings, or class 0. Its images do
    not depict anything, but arms can be compared on them all the same.

    Raises ValueError for a scheduler beside the model that cannot be followed, and whatever ``adapters.load`` raises.
    """
    if name in zoo.MODELS:
        model = zoo.load(name)
        return Subject(name, model, image_shape(model))
    if near := meant(name, zoo.MODELS):  # before the hub is asked for it
        raise ValueError(f"no model {name!r} in the zoo{near}")
    from modiff_sim.nn import adapters

    loaded = adapters.load(name)
    model, schedule = loaded.denoiser, loaded.schedule
    by = (
        "no scheduler came with it: it is sampled as predicting noise, with linear betas and 1000 training timesteps"
        if loaded.scheduler is None
        else f"it is sampled by {describe(loaded.scheduler)}"
    )
    return Subject(
        name,
        model,
        image_shape(model),
        _conditions(model, torch.Generator().manual_seed(seed)),
        schedule=schedule,
        about=(by, *loaded.notes),
    )


def _conditions(model: nn.Module, generator: torch.Generator) -> dict[str, Any]:
    """Return one row of every further input that such a model is called with: random numbers, or class 0."""
    _, named = example_inputs(model)
    named.pop("timestep", None)
    dtype = next(model.parameters()).dtype

    def drawn(like: torch.Tensor) -> torch.Tensor:
        if not like.is_floating_point():
            return torch.zeros(like.shape, dtype=like.dtype)
        return torch.randn(like.shape, generator=generator).to(dtype)

    made: dict[str, Any] = pytree.tree_map(drawn, named)
    return made
