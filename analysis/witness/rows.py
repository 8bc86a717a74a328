"""The committed rows: one per arm and value, with a number of each sample; ``--models`` measures them again.

committed/MODEL/rows.csv       the measurements
committed/MODEL/manifest.json  sha256 of the weights, their source, samples, seed, versions, source; sha256 of the rows
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from modiff_sim.sweeps.store import StoreError, versions, write_files

from ..running.measured import rows_manifest
from .arms import Arm
from .measure import SEED, THREADS
from .plan import PLANS
from .sampling import source
from .witnesses import WITNESSES

COMMITTED = Path(__file__).parent / "committed"
FILE = "rows.csv"
#: value -> what it is, for tables
VALUES = {
    "to_full": "to full precision",
    "to_baseline": "to W8A32",
    "ratio": "median over layers and calls of max|a_t| / max|a_t - a_(t+1)|",
    "tenfold": "share of layers and calls at which it is above 10",
}


@dataclass(frozen=True)
class Rows:
    """What was measured on one witness: (arm, value) -> a number of each sample."""

    model: str
    values: Mapping[tuple[Arm, str], np.ndarray]
    shares: Mapping[Arm, float]
    manifest: Mapping[str, Any]

    def of(self, arm: Arm, value: str) -> np.ndarray:
        """Return a number of each sample, float64. Raises StoreError where this was not measured."""
        if (arm, value) not in self.values:
            raise StoreError(f"the rows of {self.model!r} hold no {value!r} of {arm.label}: measure them with --models")
        return self.values[arm, value]


def manifest(name: str) -> dict[str, Any]:
    """Return what decides the rows, besides what each row says."""
    known, plan = WITNESSES[name], PLANS[name]
    return {
        "model": name, "model_sha256": known.sha256, "from": known.source, "licence": known.licence, "what": known.kind,
        "unit": known.unit, "samples": plan.samples, "batch": plan.batch, "seed": SEED, "threads": THREADS,
        "samplers": known.network.SAMPLERS, "dtype": "float32", "source": source(), "versions": versions(),
    }  # fmt: skip


def save(folder: Path, rows: Sequence[Mapping[str, Any]], about: Mapping[str, Any]) -> None:
    """Write the rows, and the manifest last."""
    out = io.StringIO()
    columns = [*(field.name for field in fields(Arm)), "mac_share", "value"]
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*columns, *range(len(rows[0]["samples"]))])
    for row in rows:
        writer.writerow([*(row[c] for c in columns[:-2]), f"{row['mac_share']:.4f}", row["value"],
                         *(f"{x:.5g}" for x in row["samples"])])  # fmt: skip
    write_files(folder, {FILE: out.getvalue()}, about)


@cache
def committed(name: str, folder: Path = COMMITTED) -> Rows:
    """Return the rows of a witness after checking their checksums.

    Raises StoreError for missing or changed files, and for files of another model.
    """
    place = folder / name
    about = rows_manifest(place, WITNESSES[name].sha256, "--models")
    values, shares = {}, {}
    with open(place / FILE, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            given: dict[str, Any] = {field.name: row.pop(field.name) for field in fields(Arm)}
            arm = Arm(**given | {k: int(given[k]) for k in ("bits", "weight_bits")})
            shares[arm], value = float(row.pop("mac_share")), row.pop("value")
            values[arm, value] = np.array([float(x) for x in row.values()])
    return Rows(name, values, shares, about)


def difference(rows: Rows, better: Arm, than: Arm, value: str = "to_baseline") -> np.ndarray:
    """Return by how much the first arm is above the second, sample by sample."""
    return rows.of(better, value) - rows.of(than, value)
