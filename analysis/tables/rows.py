"""The committed rows: one per cell, measured once, with a manifest; ``--rerun`` measures them again.

committed/MODEL/rows.csv           the measurements
committed/MODEL/micro_batches.csv  mean and rms pixel of every micro-batch, with which a short run is compared
committed/MODEL/pictures.npz       16 images of every cell, uint8, by the number of the row
committed/MODEL/left_out.npz       the values of every cell without each of its micro-batches, by the same number
committed/MODEL/manifest.json      model, classifier, seeds, batch, versions, source; sha256 of the files

outside/MODEL/ holds rows of the same images in the features of a classifier of other people, without pictures.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

from modiff_sim.metrics import Jackknife
from modiff_sim.nn import zoo
from modiff_sim.sweeps.store import StoreError, npz_bytes, versions, write_files

from .. import metrics
from ..running.measured import rows_manifest
from .cells import Cell
from .measure import MeasuredRows
from .sampling import BATCH, source

COMMITTED = Path(__file__).parent / "committed"
OUTSIDE = Path(__file__).parent / "outside"  # rows of the same images, judged by classifiers of other people
FILES = ("rows.csv", "micro_batches.csv", "pictures.npz", "left_out.npz")
TEXT = frozenset({"model", "recursion", "scale", "warmup", "refresh", "layers", "sampler", "spacing"})


@dataclass(frozen=True)
class Rows:
    """What was measured on one model, as read from its files."""

    measured: MeasuredRows
    manifest: Mapping[str, Any]

    @cached_property
    def _places(self) -> dict[tuple[Cell, int, int], int]:
        """(cell, images, seed) -> number of its row."""
        return self.measured.places()

    def pictures(self, cell: Cell) -> np.ndarray | None:
        """Return pictures uint8 (16, C, H, W), or None where there are none of the cell."""
        found = (self.measured.pictures.get(str(i)) for (each, _, _), i in self._places.items() if each == cell)
        return next(found, None)

    def value(self, cell: Cell, images: int, seed: int, value: str) -> float | None:
        """Return the value of all images, NaN where it is not defined, or None where the cell was not measured.

        Raises StoreError where the rows were measured without this value, as with a metric that is newer than they are.
        """
        if self.measured.rows and value not in self.measured.rows[0]:
            model = self.measured.rows[0]["model"]
            raise StoreError(f"the rows of {model!r} hold no {value!r}: measure them with --rerun")
        if (place := self._places.get((cell, images, seed))) is None:
            return None
        found = self.measured.rows[place][value]
        return np.nan if found is None else float(found)

    def jackknife(self, cell: Cell, images: int, seed: int, value: str) -> Jackknife | None:
        """Return a metric with its values without each micro-batch, or None where the cell was not measured.

        Raises StoreError as ``value``, and for what is no metric.
        """
        if (whole := self.value(cell, images, seed, value)) is None:
            return None
        names = self.measured.left_out["names"].tolist()
        if value not in names:
            raise StoreError(f"{value!r} is no metric of images: it has no interval")
        return Jackknife(whole, self.measured.left_out[str(self._places[cell, images, seed])][names.index(value)])


def manifest(model: str, judge: metrics.Judge | None = None) -> dict[str, Any]:
    """Return what decides the rows, besides what each row says."""
    extractor = judge.extractor if judge else metrics.EXTRACTORS[zoo.data_set(model)]
    return {
        "model": model, "model_sha256": zoo.card(model)["sha256"], "features": extractor.name,
        "batch": BATCH[model], "threads": 1, "dtype": "float32", "source": source(), "versions": versions(),
    }  # fmt: skip


def save(folder: Path, found: MeasuredRows, about: Mapping[str, Any]) -> None:
    """Write the files, with the manifest last."""
    contents = (_csv(found.rows), _csv(found.micro_batches), npz_bytes(found.pictures), npz_bytes(found.left_out))
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
    about = rows_manifest(place, zoo.card(model)["sha256"], "--rerun")
    tables = (_read(place / name) for name in FILES[:2])
    return Rows(MeasuredRows(*tables, *(_arrays(place / name) for name in FILES[2:])), about)


def _arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _read(path: Path) -> list[dict[str, Any]]:
    with open(path, newline="", encoding="utf-8") as file:
        return [{k: _parsed(k, v) for k, v in row.items()} for row in csv.DictReader(file)]
