"""Runs of the digits model: everything that decides their bytes, and how they are made and stored.

The key of their results depends on this module and on what it imports (``analysis.running.code_key``).
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import modiff_sim as ms
from modiff_sim.nn import record, sample, zoo

from ..running.code_key import source_of
from ..running.workspace import store
from .arms import Arm

if TYPE_CHECKING:
    from .sizes import Effort

MODEL = "digits"
MIDDLE = 32  # images whose middle-block features are kept: the first ones of micro-batch 0
RECORD_BITS = 3  # the bit width at which c and kappa of recorded quantities are measured
LEVELS = (0.0, 0.001, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999, 1.0)


def settings(effort: Effort, source: str) -> dict[str, Any]:
    """Return what decides the bytes of a result, besides arm, micro-batch and versions.

    ``source`` is the hash of the code that makes it (``source_of``).
    """
    return {
        "model": zoo.card(MODEL)["sha256"], "sampler": "ddim", "steps": effort.steps,
        "spacing": effort.spacing, "source": source, "batch": effort.batch,
        "seed": effort.seed, "threads": effort.threads, "dtype": "float32",
    }  # fmt: skip


def key(effort: Effort, arm: Arm, index: int) -> dict[str, Any]:
    """Return the parameters under which a micro-batch of an arm is stored."""
    source = source_of(__name__, names=(arm.recursion,))
    return settings(effort, source) | {"arm": asdict(arm), "micro_batch": index}


def recording_key(effort: Effort) -> dict[str, Any]:
    """Return the parameters under which the recorded distributions are stored."""
    about = settings(effort, source_of(__name__))
    return about | {"batch": effort.n_recorded, "bits": RECORD_BITS, "levels": LEVELS}


def sample_task(effort: Effort, arm: Arm, index: int) -> None:
    """Sample one micro-batch of one arm. Store its images, its audit and, for micro-batch 0, middle-block features."""
    params = key(effort, arm, index)
    if store().has("sample", params):
        return
    torch.set_num_threads(effort.threads)
    model = zoo.load(MODEL)
    features: list[np.ndarray] = []
    hook = model.mid_block.register_forward_hook(lambda _m, _i, out: features.append(out[:MIDDLE].flatten(1).numpy()))
    images = range(index * effort.batch, (index + 1) * effort.batch)
    with hook, arm.on(model) as run:
        made = sample(
            model,
            images=images,
            steps=effort.steps,
            spacing=effort.spacing,
            batch=effort.batch,
            seed=effort.seed,
            run=run,
        )
        audit = run.audit().summary() if run else {"mac_share": 0.0, "call_share": 0.0, "activation_bits": 32.0}
    arrays = {"images": made} | ({"middle": np.stack(features)} if index == 0 else {})
    store().save("sample", params, arrays, rows=[audit])


def record_task(effort: Effort) -> dict[str, np.ndarray]:
    """Return statistics of the layers' inputs and of their differences; see ``experiments.distributions``."""
    torch.set_num_threads(effort.threads)
    model = zoo.load(MODEL)
    with record(model, ms.AbsMax(RECORD_BITS)) as log:
        sample(
            model,
            images=effort.n_recorded,
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
