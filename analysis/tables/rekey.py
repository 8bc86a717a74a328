"""Committed rows under new code: the first micro-batch of every cell is sampled again and compared.

The key of a stored micro-batch contains a hash of the code that made it (``analysis.running.code_key``). Where that
code changed and the numbers did not, the rows need not be measured again: ``python -m analysis.tables --rekey`` shows
that they would be the same, and notes the old and the new hash in the manifest. Where a number did change, it says
which.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modiff_sim.sweeps import sweep
from modiff_sim.sweeps.store import StoreError, verify_one, write_files

from ..running.workspace import store
from .cells import Cell, from_flat
from .measure import NAME
from .rows import COMMITTED, committed, manifest
from .sampling import BATCH, Wanted, compute, points

# mean and rms pixel are committed with 8 digits, and the same arithmetic on the same kind of CPU gives the same bytes
CLOSE = 1e-6
DECIDE = ("model", "model_sha256", "batch", "threads", "dtype", "versions")  # in a manifest, besides the source


def rekey(
    model: str, folder: Path = COMMITTED, *, workers: int | None = None, scheduler: str | None = None
) -> tuple[int, float]:
    """Note this code as one that gives the committed rows. Returns the number of cells and the largest difference.

    It can be interrupted and goes on, as a sweep does. It raises StoreError, and changes nothing, where a micro-batch
    differs by more than ``CLOSE`` in its mean or rms pixel, or where weights, versions or sizes are not those of the
    rows.
    """
    found = committed(model, folder)
    ours = manifest(model)
    if other := [name for name in DECIDE if _but_ours(found.manifest[name]) != _but_ours(ours[name])]:
        raise StoreError(
            f"rows of {model!r}: made with other {' and '.join(other)}, so that not only the source has changed; "
            "measure them again with --rerun"
        )
    if found.manifest["source"] == ours["source"]:
        return 0, 0.0
    first = _first(found.measured.micro_batches)
    wanted = [Wanted(cell, BATCH[model], row["seed"]) for cell, row in first.items()]
    rows = sweep.run(
        points(model, wanted),
        compute,
        store(),
        name=NAME,
        workers=workers,
        scheduler=scheduler,
        label=f"sampling {model} again",
    )
    apart = {
        cell: max(abs(now[k] - row[k]) for k in ("mean", "rms"))
        for (cell, row), now in zip(first.items(), rows, strict=True)
    }
    if changed := [f"{cell.label} by {by:.2g}" for cell, by in apart.items() if not by <= CLOSE]:
        raise StoreError(
            f"rows of {model!r}: {len(changed)} of {len(apart)} cells give other images than the committed ones: "
            f"{'; '.join(changed)}. If that is intended, measure the rows again with --rerun"
        )
    largest = max(apart.values())
    note = {
        "from": found.manifest["source"], "to": ours["source"], "micro_batches": len(apart),
        "largest_difference": float(f"{largest:.2g}"),
    }  # fmt: skip
    history = [*found.manifest.get("rekeyed", ()), note]
    if problems := verify_one(folder / model):  # sampling takes a while
        raise StoreError(f"rows of {model!r} changed meanwhile: {'; '.join(problems)}")
    write_files(folder / model, {}, {**found.manifest, "source": ours["source"], "rekeyed": history})
    committed.cache_clear()
    return len(apart), largest


def _but_ours(value: Any) -> Any:
    """Return versions without that of this project, whose code itself is compared."""
    return {k: v for k, v in value.items() if k != "modiff-sim"} if isinstance(value, Mapping) else value


def _first(micro_batches: list[dict[str, Any]]) -> dict[Cell, Mapping[str, Any]]:
    """Return cell -> its first micro-batch in the committed file."""
    found: dict[Cell, Mapping[str, Any]] = {}
    for row in micro_batches:
        if row["micro_batch"] == 0:
            found.setdefault(from_flat(row), row)
    return found
