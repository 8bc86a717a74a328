"""Cells to images to rows: a sweep over micro-batches that can be killed and goes on, then a row per cell and seed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import numpy as np
import torch

from modiff_sim import sweep
from modiff_sim.nn import sample, zoo
from modiff_sim.nn.calibrate import calibrate
from modiff_sim.nn.sample import micro_batches
from modiff_sim.sweep import Output

from .. import metrics
from ..arm_table import CALIBRATION_SEED
from ..arms import Arm
from ..pictures import fingerprint, levels
from ..source import expect, sampling_source
from ..workspace import store
from .cells import Cell, flat
from .layouts import cells_of

NAME = "cells"
CALIBRATION_IMAGES = 16
FEATURES_KEPT = ("fashion32",)  # 12 cells, 1.2 MB; of the 190 cells of digits they would be 15 MB
PICTURES = 16  # images of a cell that are kept to be looked at
#: model -> images per micro-batch, part of what decides the bytes
BATCH = {"digits": 128, "fashion32": 64}


@dataclass(frozen=True)
class Wanted:
    """A cell at so many images from one seed."""

    cell: Cell
    images: int
    seed: int


def wanted(tables: Sequence[str]) -> list[Wanted]:
    """All that these tables ask for, full precision before what it judges."""
    return [Wanted(*each) for each in cells_of(tables)]


def points(model: str, chosen: Iterable[Wanted]) -> list[dict[str, Any]]:
    """The micro-batches that these need, once each: everything that decides their bytes."""
    fixed = {"model": model, "model_sha256": zoo.card(model)["sha256"], "source": sampling_source(),
             "batch": BATCH[model], "threads": 1, "dtype": "float32"}  # fmt: skip
    found: dict[tuple[Cell, int, int], dict[str, Any]] = {}
    for each in chosen:
        for index in micro_batches(range(each.images), BATCH[model]):
            about = {"cell": asdict(each.cell), "seed": each.seed, "micro_batch": index}
            found.setdefault((each.cell, each.seed, index), fixed | about)
    return list(found.values())


def compute(point: Mapping[str, Any]) -> Output:
    """Sample one micro-batch: its images, its audit, and mean and rms of its pixels, by which it can be known again."""
    cell, seed, index = _place(point)
    expect(point, source=sampling_source(), model_sha256=zoo.card(point["model"])["sha256"])
    torch.set_num_threads(point["threads"])
    model = _model(point["model"])
    first = index * point["batch"]

    def calibrated(target: str, bits: int, weights: Any) -> Any:
        return _calibrated(point["model"], cell.full, target, bits, cell.arm.weight_bits)

    with cell.arm.on(model, calibrated) as run:
        made = sample(
            model, images=range(first, first + point["batch"]), batch=point["batch"], seed=seed, run=run,
            steps=cell.steps, sampler=cell.sampler, spacing=cell.spacing,
        )  # fmt: skip
        audit = run.audit().summary() if run else {"mac_share": 0.0, "activation_bits": 32.0, "saturated_share": 0.0}
    row = {k: audit[k] for k in ("mac_share", "activation_bits", "saturated_share")}
    row["gbops"] = audit["bops"] / point["batch"] / 1e9 if run else None
    return Output(row | fingerprint(made), {"images": made})


#: loaded once per process and kept: leaving an arm restores the model bit for bit
_model = cache(zoo.load)


@cache
def _calibrated(name: str, ground: Cell, target: str, bits: int, weight_bits: int) -> Any:
    """Static scales from images of their own, MSE-optimal; once per process."""
    model, arm = _model(name), Arm(weight_bits=weight_bits)

    def run_sampling(resets: Any) -> object:
        return sample(
            model, images=CALIBRATION_IMAGES, batch=CALIBRATION_IMAGES, seed=CALIBRATION_SEED, on_batch=resets,
            steps=ground.steps, sampler=ground.sampler, spacing=ground.spacing,
        )  # fmt: skip

    return calibrate(model, run_sampling, bits=bits, quantizer="mse", target=target, weights=arm.weights)


@dataclass(frozen=True)
class Measured:
    """rows: one per cell and seed. micro_batches: what each is known by.

    pictures, features: by the number of the cell's row of its first seed, uint8 (16, C, H, W) of that seed, and float32
    (images of all seeds, features), which paired bootstraps need; features are kept for ``FEATURES_KEPT`` only.
    """

    rows: list[dict[str, Any]]
    micro_batches: list[dict[str, Any]]
    pictures: dict[str, np.ndarray]
    features: dict[str, np.ndarray]


def measure(
    model: str, chosen: Sequence[Wanted], *, workers: int | None = None, scheduler: str | None = None
) -> Measured:
    """Rows in the order asked for. Interrupted, the same call goes on; workers and interruptions change no byte."""
    needed = points(model, [Wanted(cell, w.images, w.seed) for w in chosen for cell in (w.cell.full, w.cell)])
    audits = sweep.run(
        needed, compute, store(), name=NAME, workers=workers, scheduler=scheduler, label=f"sampling {model}"
    )
    at = {_place(p): (p, audit) for p, audit in zip(needed, audits, strict=True)}
    judge = metrics.Judge(model)

    @cache
    def images(w: Wanted) -> np.ndarray:
        found = (at[w.cell, w.seed, i][0] for i in micro_batches(range(w.images), BATCH[model]))
        return np.concatenate([store().load(NAME, point).arrays["images"] for point in found])[: w.images]

    rows, pictures = [], {}
    features: dict[str, np.ndarray] = {}
    for i, w in enumerate(chosen):
        audit = {k: v for k, v in at[w.cell, w.seed, 0][1].items() if k not in ("mean", "rms")}
        full = None if w.cell == w.cell.full else images(Wanted(w.cell.full, w.images, w.seed))
        about = {"model": model, **flat(w.cell), "seed": w.seed, "images": w.images}
        found = judge(images(w), full)
        del found["first_divergence"]  # of trajectories, which are not kept
        rows.append(about | found | audit)
        if w.seed == chosen[0].seed:
            pictures[str(i)] = levels(images(w)[:PICTURES])
            if model in FEATURES_KEPT:
                all_seeds = [images(o) for o in chosen if (o.cell, o.images) == (w.cell, w.images)]
                features[str(i)] = judge.extractor.features(np.concatenate(all_seeds)).astype(np.float32)
    prints = [
        {"model": model, **flat(cell), "seed": seed, "micro_batch": i, "mean": audit["mean"], "rms": audit["rms"]}
        for (cell, seed, i), (_, audit) in at.items()
    ]
    return Measured(rows, prints, pictures, features)


def _place(point: Mapping[str, Any]) -> tuple[Cell, int, int]:
    about = dict(point["cell"])
    return Cell(**about | {"arm": Arm(**about["arm"])}), point["seed"], point["micro_batch"]
