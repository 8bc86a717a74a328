"""The committed rows: one per cell and seed, measured once, with a manifest; ``--rerun`` measures them again.

committed/MODEL/rows.csv           the measurements
committed/MODEL/micro_batches.csv  mean and rms pixel of every micro-batch, with which a short run is compared
committed/MODEL/pictures.npz       16 images of every cell from the first seed, uint8, by the number of the row
committed/MODEL/features.npz       features of all images of every cell, by the same number; 32×32 model only
committed/MODEL/manifest.json      model, classifier, seeds, batch, versions, source; sha256 of the files
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from modiff_sim.nn import zoo
from modiff_sim.sweeps.store import StoreError, npz_bytes, verify_one, versions, write_files

from .. import metrics
from .cells import Cell, from_flat
from .measure import MeasuredRows
from .sampling import BATCH, source

COMMITTED = Path(__file__).parent / "committed"
FILES = ("rows.csv", "micro_batches.csv", "pictures.npz", "features.npz")
TEXT = frozenset({"model", "recursion", "scale", "warmup", "refresh", "sampler", "spacing"})


@dataclass(frozen=True)
class Rows:
    """What was measured on one model, as read from its files."""

    measured: MeasuredRows
    manifest: Mapping[str, Any]

    def pictures(self, cell: Cell) -> np.ndarray | None:
        """Return pictures uint8 (16, C, H, W), or None where the cell was not measured."""
        return self._of(self.measured.pictures, cell)

    def features(self, cell: Cell) -> np.ndarray | None:
        """Return features float32 (images of all seeds, features), or None where they were not kept."""
        return self._of(self.measured.features, cell)

    def _of(self, kept: Mapping[str, np.ndarray], cell: Cell) -> np.ndarray | None:
        return next((kept[k] for k in kept if from_flat(self.measured.rows[int(k)]) == cell), None)

    def values(self, cell: Cell, images: int, seeds: Sequence[int], value: str) -> np.ndarray | None:
        """Return one number per seed, float64, or None where the cell was not measured.

        Raises StoreError where the rows were measured without this value, as with a metric that is newer than they are.
        """
        if self.measured.rows and value not in self.measured.rows[0]:
            model = self.measured.rows[0]["model"]
            raise StoreError(f"the rows of {model!r} hold no {value!r}: measure them with --rerun")
        found = {r["seed"]: r[value] for r in self.measured.rows if r["images"] == images and from_flat(r) == cell}
        if not set(seeds) <= set(found):
            return None
        return np.array([np.nan if found[s] is None else found[s] for s in seeds], np.float64)


def manifest(model: str) -> dict[str, Any]:
    """Return what decides the rows, besides what each row says."""
    return {
        "model": model, "model_sha256": zoo.card(model)["sha256"], "features": metrics.EXTRACTORS[model].name,
        "batch": BATCH[model], "threads": 1, "dtype": "float32", "source": source(), "versions": versions(),
    }  # fmt: skip


def save(folder: Path, found: MeasuredRows, about: Mapping[str, Any]) -> None:
    """Write the files, with the manifest last."""
    contents = (_csv(found.rows), _csv(found.micro_batches), npz_bytes(found.pictures), npz_bytes(found.features))
    write_files(folder, dict(zip(FILES, contents, strict=True)), about)


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    columns = list(dict.fromkeys(k for row in rows for k in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({k: f"{v:.8g}" if isinstance(v, float) else v for k, v in row.items()})
    return out.getvalue()


def _parsed(name: str, text: str) -> Any:
    if name in TEXT:
        return text
    if text == "":
        return None
    try:
        return int(text)
    except ValueError:
        return float(text)


@cache
def committed(model: str, folder: Path = COMMITTED) -> Rows:
    """Return the rows of a model after checking their checksums.

    Raises StoreError for missing or changed files, and for files of another model.
    """
    place = folder / model
    if problems := verify_one(place):
        raise StoreError(f"rows of {model!r}: {'; '.join(problems)}: measure them with --rerun")
    about = json.loads((place / "manifest.json").read_text(encoding="utf-8"))
    if about["model_sha256"] != zoo.card(model)["sha256"]:
        raise StoreError(f"{place}: measured on other weights of {model}; measure the rows again with --rerun")
    tables = (_read(place / name) for name in FILES[:2])
    return Rows(MeasuredRows(*tables, *(_arrays(place / name) for name in FILES[2:])), about)


def _arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _read(path: Path) -> list[dict[str, Any]]:
    with open(path, newline="", encoding="utf-8") as file:
        return [{k: _parsed(k, v) for k, v in row.items()} for row in csv.DictReader(file)]
