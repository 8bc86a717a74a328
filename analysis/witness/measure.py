"""From arms to samples to rows: a resumable sweep over micro-batches, then a value of each sample."""

from __future__ import annotations

from dataclasses import asdict
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from modiff_sim.sweeps import sweep

from ..running.workspace import store
from .arms import Arm, baseline, full
from .plan import PLANS
from .sampling import compute, source
from .witnesses import WITNESSES, load

NAME, SEED, THREADS = "witness", 0, 1


def points(name: str) -> list[dict[str, Any]]:
    """Return the micro-batches of a witness, all arms of the first one first, with what decides their bytes."""
    plan = PLANS[name]
    fixed = {"model": name, "model_sha256": WITNESSES[name].sha256, "batch": plan.batch, "threads": THREADS,
             "dtype": "float32", "seed": SEED, "source": source()}  # fmt: skip
    return [
        fixed | {"arm": asdict(arm), "micro_batch": index}
        for index in range(plan.samples // plan.batch)
        for arm in plan.arms
    ]


def measure(name: str, folder: Path, *, workers: int | None = None) -> tuple[list[dict[str, Any]], np.ndarray]:
    """Return the rows of a witness, and the first samples in full precision under each sampler.

    A row is an arm's value of every sample, in the order of the samples. If it is interrupted, the same call goes on.
    """
    load(name, folder)  # a wrong file is refused before anything is begun
    needed, plan, network = points(name), PLANS[name], WITNESSES[name].network
    audits = sweep.run(needed, partial(compute, folder), store(), name=NAME, workers=workers, label=f"sampling {name}")
    share = {Arm(**point["arm"]): audit["mac_share"] for point, audit in zip(needed, audits, strict=True)}

    @cache
    def arrays(arm: Arm) -> dict[str, np.ndarray]:
        found = [store().load(NAME, point).arrays for point in needed if Arm(**point["arm"]) == arm]
        return {key: np.concatenate([each[key] for each in found]) for key in found[0]}

    rows = []
    for arm in plan.arms:
        values = {
            f"to_{what}": network.decibels(arrays(arm)["values"], arrays(to)["values"], range(plan.samples))
            for what, to in (("full", full(arm.sampler)), ("baseline", baseline(arm.sampler)))
            if arm != to and arm.weight_bits < 32
        } | {key: value for key, value in arrays(arm).items() if key != "values"}
        rows += [{**asdict(arm), "mac_share": share[arm], "value": key, "samples": v} for key, v in values.items()]
    first = range(min(16, plan.samples))
    pictures = [arrays(arm)["values"][: len(first)] for arm in plan.arms if arm.weight_bits == 32]
    if hasattr(network, "shown"):  # what was given is not drawn by the network, and is left grey
        pictures = [np.where(network.shown(first), np.float32(0.0), drawn) for drawn in pictures]
    return rows, np.concatenate(pictures)
