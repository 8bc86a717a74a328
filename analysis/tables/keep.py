"""Rows that were measured again, put among the committed ones: ``python -m analysis.tables TABLE --rerun --keep``.

A table takes an hour and all of them a day, so that they are measured one by one, perhaps in several sittings. All rows
of a model must be what one code gives: where the code has changed since the others were measured, the first micro-batch
of each of their cells is sampled again and compared (``rekey``).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from modiff_sim.sweeps.store import StoreError

from .cells import Cell, from_flat
from .layouts import TABLES, cells_of
from .measure import MeasuredRows
from .rekey import first_micro_batches, note, same_conditions, sampled_again
from .rows import COMMITTED, committed, manifest, save


def keep(
    model: str,
    found: MeasuredRows,
    folder: Path = COMMITTED,
    *,
    workers: int | None = None,
    scheduler: str | None = None,
) -> tuple[int, int]:
    """Put rows in place of those of the same cells, and drop what no table shows any more.

    Returns the number of rows that are new, and of those that were there before. It raises StoreError, and changes
    nothing, where the rows that stay were made with other weights, versions or sizes, or give other images now.
    """
    about: dict[str, Any] = manifest(model)
    new, old = found.places(), {}
    if (folder / model).exists():
        before = committed(model, folder)
        same_conditions(model, before.manifest)
        about = {**before.manifest, **about}
        old = {place: i for place, i in before.measured.places().items() if place not in new}
    shown = cells_of([name for name, table in TABLES.items() if table.model == model])
    kept = [place for place in shown if place in old]
    prints = list(found.micro_batches)
    if kept:
        left = {cell for cell, _, _ in kept}
        others = [row for row in before.measured.micro_batches if from_flat(row) in left]
        if before.manifest["source"] != about["source"]:
            measured_now = {from_flat(row) for row in found.micro_batches}
            first = first_micro_batches(model, others, left - measured_now)
            largest = sampled_again(model, first, workers=workers, scheduler=scheduler)
            about["rekeyed"] = [*about.get("rekeyed", ()), note(before.manifest["source"], len(first), largest)]
        there = {_print(row) for row in prints}
        prints += [row for row in others if _print(row) not in there]
        if before.measured.left_out["names"].tolist() != found.left_out["names"].tolist():
            raise StoreError(f"rows of {model!r} hold other metrics: measure all of them again with --rerun")
    together = MeasuredRows([], prints, {}, {"names": found.left_out["names"]})
    for place in (place for place in shown if place in new or place in old):
        measured, i = (found, new[place]) if place in new else (before.measured, old[place])
        number = str(len(together.rows))
        together.rows.append(measured.rows[i])
        together.pictures[number] = measured.pictures[str(i)]
        together.left_out[number] = np.asarray(measured.left_out[str(i)])
    save(folder / model, together, about)
    committed.cache_clear()
    return len(together.rows) - len(kept), len(kept)


def _print(row: dict[str, Any]) -> tuple[Cell, int, int]:
    return from_flat(row), row["seed"], row["micro_batch"]
