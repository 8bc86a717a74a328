"""From cells to images to rows: a resumable sweep over micro-batches, then a row per cell and seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from modiff_sim.nn.sampling import micro_batches
from modiff_sim.sweeps import sweep

from .. import metrics
from ..running.workspace import store
from ..sampling.pictures import levels
from .cells import flat
from .layouts import cells_of
from .sampling import BATCH, Wanted, compute, place_of, points

NAME = "cells"
FEATURES_KEPT = ("fashion32",)  # 12 cells, 1.2 MB; for the 190 cells of digits they would be 15 MB
PICTURES = 16  # images of a cell that are kept to be shown


def wanted(tables: Sequence[str]) -> list[Wanted]:
    """Return everything that these tables need, with full precision before what is compared with it."""
    return [Wanted(*each) for each in cells_of(tables)]


@dataclass(frozen=True)
class MeasuredRows:
    """What was measured: ``rows``, one per cell and seed, and ``micro_batches``, by which each can be recognised.

    ``pictures`` and ``features`` are keyed by the number of the cell's row of its first seed. Pictures are uint8 (16,
    C, H, W) of that seed. Features are float32 (images of all seeds, features), which paired bootstraps need, and are
    only kept for ``FEATURES_KEPT``.
    """

    rows: list[dict[str, Any]]
    micro_batches: list[dict[str, Any]]
    pictures: dict[str, np.ndarray]
    features: dict[str, np.ndarray]


def measure(
    model: str, chosen: Sequence[Wanted], *, workers: int | None = None, scheduler: str | None = None
) -> MeasuredRows:
    """Return the rows in the order of ``chosen``.

    If it is interrupted, the same call goes on. Workers and interruptions do not change the bytes.
    """
    needed = points(model, [Wanted(cell, w.images, w.seed) for w in chosen for cell in (w.cell.full, w.cell)])
    audits = sweep.run(
        needed, compute, store(), name=NAME, workers=workers, scheduler=scheduler, label=f"sampling {model}"
    )
    at = {place_of(p): (p, audit) for p, audit in zip(needed, audits, strict=True)}
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
        del found["first_divergence"]  # needs trajectories, which are not kept
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
    return MeasuredRows(rows, prints, pictures, features)
