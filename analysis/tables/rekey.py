"""Committed rows under new code: the first micro-batch of every cell is sampled again and compared.

The key of a stored micro-batch contains a hash of the code that made it (``analysis.running.code_key``). Where that
code changed and the numbers did not, the rows need not be measured again: ``python -m analysis.tables --rekey`` shows
that they would be the same, and notes the old and the new hash in the manifest. Where a number did change, it says
which.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from modiff_sim.sweeps import sweep
from modiff_sim.sweeps.store import StoreError, verify_one, write_files

from ..running.workspace import store
from .cells import Cell, from_flat
from .measure import NAME
from .rows import COMMITTED, committed, manifest
from .sampling import BATCH, Wanted, compute, points, source

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
    same_conditions(model, found.manifest)
    before, now = found.manifest["source"], source()
    if before == now:
        return 0, 0.0
    first = first_micro_batches(model, found.measured.micro_batches, {cell for cell, _, _ in found.measured.places()})
    largest = sampled_again(model, first, workers=workers, scheduler=scheduler)
    history = [*found.manifest.get("rekeyed", ()), note(before, len(first), largest)]
    if problems := verify_one(folder / model):  # sampling takes a while
        raise StoreError(f"rows of {model!r} changed meanwhile: {'; '.join(problems)}")
    write_files(folder / model, {}, {**found.manifest, "source": now, "rekeyed": history})
    committed.cache_clear()
    return len(first), largest


def same_conditions(model: str, before: Mapping[str, Any]) -> None:
    """Raise StoreError where rows with this manifest were made under other conditions than this code's."""
    ours = manifest(model)
    if other := [name for name in DECIDE if _but_ours(before[name]) != _but_ours(ours[name])]:
        raise StoreError(
            f"rows of {model!r}: made with other {' and '.join(other)}, so that not only the source has changed; "
            "measure them again with --rerun"
        )


def sampled_again(
    model: str, first: Mapping[Cell, Mapping[str, Any]], *, workers: int | None, scheduler: str | None
) -> float:
    """Sample the first micro-batch of these cells and return the largest difference of a mean or rms pixel.

    Raises StoreError where one is larger than ``CLOSE``.
    """
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
    return max(apart.values(), default=0.0)


def note(before: str, cells: int, largest: float) -> dict[str, Any]:
    """Return what a manifest says of rows of an earlier source that this one gives as well."""
    return {
        "from": before, "to": source(), "micro_batches": cells, "largest_difference": float(f"{largest:.2g}"),
    }  # fmt: skip


def _but_ours(value: Any) -> Any:
    """Return versions without that of this project, whose code itself is compared."""
    return {k: v for k, v in value.items() if k != "modiff-sim"} if isinstance(value, Mapping) else value


def first_micro_batches(
    model: str, micro_batches: list[dict[str, Any]], cells: Collection[Cell]
) -> dict[Cell, Mapping[str, Any]]:
    """Return cell -> its first micro-batch in the committed file, of these cells.

    Raises StoreError where there is none of a cell: its rows cannot be compared with anything.
    """
    found: dict[Cell, Mapping[str, Any]] = {}
    for row in micro_batches:
        if row["micro_batch"] == 0 and (cell := from_flat(row)) in cells:
            found.setdefault(cell, row)
    if missing := sorted(cell.label for cell in cells if cell not in found):
        raise StoreError(
            f"rows of {model!r}: no first micro-batch is kept of {'; '.join(missing)}, so that nothing can be "
            "compared; measure them again with --rerun"
        )
    return found
