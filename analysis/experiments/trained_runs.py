"""Runs of a trained model: everything that decides their bytes, and how they are made and stored.

The key of their results depends on this module and on what it imports (``analysis.running.code_key``).
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

import modiff_sim as ms
from modiff_sim.diffusion.schedules import Schedule, linear
from modiff_sim.nn import record, zoo
from modiff_sim.sweeps.files import digest_of

from ..running.code_key import source_of
from ..running.workspace import store
from ..sampling.micro_batch import model_of, weights_sha256
from .arms import Arm

if TYPE_CHECKING:
    from .sizes import Effort

MIDDLE = 32  # images whose middle-block features are kept: the first ones of micro-batch 0
RECORD_BITS = 3  # at which c and kappa of recorded quantities are measured, unless others are chosen
LEVELS = (0.0, 0.001, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999, 1.0)


def settings(effort: Effort, source: str) -> dict[str, Any]:
    """Return what decides the bytes of a result, besides arm, micro-batch and versions.

    ``source`` is the hash of the code that makes it (``source_of``).
    """
    return {
        **identity(effort.model), "sampler": "ddim", "steps": effort.steps,
        "spacing": effort.spacing, "source": source, "batch": effort.batch,
        "seed": effort.seed, "threads": effort.threads, "dtype": "float32",
    }  # fmt: skip


@cache
def identity(name: str) -> dict[str, Any]:
    """Return what tells a model from others: the sha256 of its weights, its class, options, shape and schedule."""
    if name in zoo.MODELS:
        return {"model": zoo.card(name)["sha256"]}
    found = model_of(name)
    options = digest_of(str(sorted(dict(getattr(found.model, "config", {})).items())).encode())
    about = {"class": type(found.model).__name__, "options": options, "shape": found.shape}
    return {"model": weights_sha256(found.model), **about, **found.key()}


def middle_of(name: str) -> nn.Module:
    """Return the middle block of a U-Net of diffusers. Raises ValueError where the model of this name has none."""
    model = model_of(name).model
    found = getattr(model, "mid_block", None)
    if not isinstance(found, nn.Module):
        raise ValueError(f"{name}: {type(model).__name__} has no middle block (mid_block), as U-Nets of diffusers have")
    return found


def visited(effort: Effort) -> Schedule:
    """Return the noise levels that sampling visits."""
    own = None if effort.model in zoo.MODELS else model_of(effort.model).schedule
    return (own or linear()).spaced(effort.steps, spacing=effort.spacing)


def key(effort: Effort, arm: Arm, index: int) -> dict[str, Any]:
    """Return the parameters under which a micro-batch of an arm is stored."""
    source = source_of(__name__, names=(arm.recursion,))
    return settings(effort, source) | {"arm": asdict(arm), "micro_batch": index}


def recording_key(effort: Effort) -> dict[str, Any]:
    """Return the parameters under which the recorded distributions are stored."""
    about = settings(effort, source_of(__name__))
    return about | {"batch": effort.n_recorded, "bits": effort.width(RECORD_BITS), "levels": LEVELS}


def sample_task(effort: Effort, arm: Arm, index: int) -> None:
    """Sample one micro-batch of one arm. Store its images, its audit and, for micro-batch 0, middle-block features."""
    params = key(effort, arm, index)
    if store().has("sample", params):
        return
    torch.set_num_threads(effort.threads)
    subject, features = model_of(effort.model), []
    images = range(index * effort.batch, (index + 1) * effort.batch)

    def keep(_module: nn.Module, _inputs: Any, out: torch.Tensor) -> None:
        features.append(out[:MIDDLE].flatten(1).numpy().copy())  # a copy: the model may reuse the tensor's memory

    with ExitStack() as stack:
        if index == 0 and isinstance(getattr(subject.model, "mid_block", None), nn.Module):
            stack.enter_context(middle_of(effort.model).register_forward_hook(keep))
        run = stack.enter_context(arm.on(subject.model))
        made = subject.sample(
            images,
            steps=effort.steps,
            spacing=effort.spacing,
            batch=effort.batch,
            seed=effort.seed,
            run=run,
        )
        audit = run.audit().summary() if run else {"mac_share": 0.0, "call_share": 0.0, "activation_bits": 32.0}
    arrays = {"images": made} | ({"middle": np.stack(features)} if features else {})
    store().save("sample", params, arrays, rows=[audit])


def record_task(effort: Effort) -> dict[str, np.ndarray]:
    """Return statistics of the layers' inputs and of their differences; see ``trained.distributions``."""
    torch.set_num_threads(effort.threads)
    subject = model_of(effort.model)
    with record(subject.model, ms.AbsMax(effort.width(RECORD_BITS))) as log:
        subject.sample(
            effort.n_recorded,
            steps=effort.steps,
            spacing=effort.spacing,
            batch=effort.n_recorded,
            seed=effort.seed,
            on_batch=[log.reset],
            progress="recording distributions",
        )
    arrays: dict[str, np.ndarray] = {"layers": np.array(log.layers)}
    for q in ("a", "d", "r"):
        for value in ("absmax", "variance", "kurtosis", "norm"):
            arrays[f"{value}_{q}"] = log.table(q, value)
        for value in ("c", "kappa"):
            arrays[f"{value}_{q}"] = log.table(q, value)
            arrays[f"{value}_max_{q}"] = log.table(q, value, reduce=np.max)
        quantiles = np.full((len(log.layers), log.calls, len(LEVELS)), np.nan)
        for i, name in enumerate(log.layers):
            for call in range(log.calls):
                if (entry := log.stats.get((name, call, q))) is not None:
                    quantiles[i, call] = entry.values.quantiles(LEVELS)
        arrays[f"quantiles_{q}"] = quantiles
    return arrays
