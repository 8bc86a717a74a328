"""From cells to images to rows: a resumable sweep over micro-batches, then a row per cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from modiff_sim.metrics import METRICS
from modiff_sim.nn.sampling import micro_batches
from modiff_sim.sweeps import sweep

from .. import metrics
from ..running.workspace import store
from ..sampling.pictures import levels
from .cells import Cell, flat, from_flat
from .layouts import cells_of
from .sampling import BATCH, Wanted, compute, place_of, points

NAME = "cells"
PICTURES = 16  # images of a cell that are kept to be shown


def wanted(tables: Sequence[str]) -> list[Wanted]:
    """Return everything that these tables need, with what others are compared with first."""
    return [Wanted(*each) for each in cells_of(tables)]


@dataclass(frozen=True)
class MeasuredRows:
    """What was measured: ``rows``, one per cell, and ``micro_batches``, by which each can be recognised.

    ``pictures`` and ``left_out`` are keyed by the number of the row. Pictures are uint8 (16, C, H, W). ``left_out`` are
    the values without each micro-batch, float64 (metrics, micro-batches), in the order of "names": pairs of arms need
    them, since images of equal number come from the same noise.
    """

    rows: list[dict[str, Any]]
    micro_batches: list[dict[str, Any]]
    pictures: dict[str, np.ndarray]
    left_out: dict[str, np.ndarray]

    def places(self) -> dict[tuple[Cell, int, int], int]:
        """(cell, images, seed) -> number of its row."""
        return {(from_flat(row), row["images"], row["seed"]): i for i, row in enumerate(self.rows)}


def measure(
    model: str,
    chosen: Sequence[Wanted],
    *,
    judge: metrics.Judge | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
) -> MeasuredRows:
    """Return the rows in the order of ``chosen``, by default in the features of the classifier of the data set.

    If it is interrupted, the same call goes on. Workers and interruptions do not change the bytes.
    """
    judge = judge or metrics.Judge(model)
    needed = points(model, [Wanted(cell, w.images, w.seed) for w in chosen for cell in (w.cell.full, w.cell)])
    audits = sweep.run(
        needed, compute, store(), name=NAME, workers=workers, scheduler=scheduler, label=f"sampling {model}"
    )
    at = {place_of(p): (p, audit) for p, audit in zip(needed, audits, strict=True)}
    names = [name for name, metric in METRICS.items() if metric.over != "trajectories"]

    @cache
    def images(w: Wanted) -> np.ndarray:
        found = (at[w.cell, w.seed, i][0] for i in micro_batches(range(w.images), BATCH[model]))
        return np.concatenate([store().load(NAME, point).arrays["images"] for point in found])[: w.images]

    rows, pictures = [], {}
    left_out: dict[str, np.ndarray] = {"names": np.array(names)}
    for i, w in enumerate(chosen):
        audit = {k: v for k, v in at[w.cell, w.seed, 0][1].items() if k not in ("mean", "rms")}
        made = images(w)
        full = None if w.cell == w.cell.full else images(Wanted(w.cell.full, w.images, w.seed))
        groups = len(micro_batches(range(w.images), BATCH[model]))
        found = judge.jackknife(made, full, groups=groups)
        about = {"model": model, **flat(w.cell), "seed": w.seed, "images": w.images}
        rows.append(about | {name: found[name].value if name in found else None for name in names} | audit)
        absent = np.full(groups, np.nan)
        left_out[str(i)] = np.array([found[name].left_out if name in found else absent for name in names])
        pictures[str(i)] = levels(made[:PICTURES])
    prints = [
        {"model": model, **flat(cell), "seed": seed, "micro_batch": i, "mean": audit["mean"], "rms": audit["rms"]}
        for (cell, seed, i), (_, audit) in at.items()
    ]
    return MeasuredRows(rows, prints, pictures, left_out)
