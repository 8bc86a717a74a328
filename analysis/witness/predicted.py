"""The committed rows of what is predicted: relative l2 errors of samples; ``--models`` measures them again.

committed/MODEL/prediction/rows.csv       per recursion, bits and theory the predicted errors, and those measured
committed/MODEL/prediction/manifest.json  sha256 of the weights, samples, seed, versions, source; sha256 of the rows
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from modiff_sim.sweeps.store import StoreError, versions, write_files
from modiff_sim.transfer.prediction import TOLERANCE, cliff

from ..running.measured import rows_manifest
from .measure import SEED, THREADS
from .prediction import BITS, MEASURED, PLANS, RECURSIONS, SAMPLER, THEORIES, source
from .rows import COMMITTED, FILE
from .witnesses import WITNESSES

FOLDER = "prediction"
COLUMNS = ("recursion", "bits", "what")


@dataclass(frozen=True)
class Errors:
    """Relative l2 errors of the samples of one witness: (recursion, bits, what) -> one of each sample.

    ``what`` is a theory, or "measured".
    """

    model: str
    values: Mapping[tuple[str, int, str], np.ndarray]
    manifest: Mapping[str, Any]

    def by_bits(self, recursion: str, what: str) -> dict[int, np.ndarray]:
        """Return bits -> errors, float64. Raises StoreError where this was not measured."""
        found = {bits: e for (name, bits, of), e in self.values.items() if (name, of) == (recursion, what)}
        if not found:
            raise StoreError(f"the rows of {self.model!r} hold no {what!r} of {recursion}: measure them with --models")
        return found

    def medians(self, recursion: str, what: str) -> dict[int, float]:
        """Return bits -> the median of the errors. Raises StoreError as ``by_bits``."""
        return {bits: float(np.median(errors)) for bits, errors in self.by_bits(recursion, what).items()}


def manifest(name: str) -> dict[str, Any]:
    """Return what decides the rows, besides what each row says."""
    known = WITNESSES[name]
    return {
        "model": name, "model_sha256": known.sha256, "from": known.source, "licence": known.licence, "what": known.kind,
        "unit": "relative l2 error of the result", "plan": asdict(PLANS[name]), "seed": SEED, "threads": THREADS,
        "sampler": known.network.SAMPLERS[SAMPLER], "dtype": "float32", "source": source(), "versions": versions(),
    }  # fmt: skip


def save(folder: Path, rows: Sequence[Mapping[str, Any]], about: Mapping[str, Any]) -> None:
    """Write the rows, and the manifest last."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*COLUMNS, *range(max(len(row["samples"]) for row in rows))])
    for row in rows:
        writer.writerow([*(row[c] for c in COLUMNS), *(f"{x:.5g}" for x in row["samples"])])
    write_files(folder / FOLDER, {FILE: out.getvalue()}, about)


@cache
def committed(name: str, folder: Path = COMMITTED) -> Errors:
    """Return the rows of a witness after checking their checksums.

    Raises StoreError for missing or changed files, and for files of another model.
    """
    place = folder / name / FOLDER
    about = rows_manifest(place, WITNESSES[name].sha256, "--models")
    values = {}
    with open(place / FILE, newline="", encoding="utf-8") as file:
        for recursion, bits, what, *samples in list(csv.reader(file))[1:]:
            values[recursion, int(bits), what] = np.array([float(x) for x in samples])
    return Errors(name, values, about)


def text(errors: Errors) -> str:
    """Return the cliffs of one witness as aligned text, with the median errors beside them."""
    plan = errors.manifest["plan"]
    lines = [
        f"{errors.model}: fewest bits that keep the median relative l2 error of a sample within {TOLERANCE} (weights "
        f"not quantized, {SAMPLER} sampler), predicted along {plan['samples']} samples and measured on "
        f"{plan['images']}",
        "",
        f"{'':<14}{'predicted':>10}{'measured':>10}  median errors at {', '.join(map(str, BITS))} bits",
    ]
    for recursion in RECURSIONS:
        medians = [errors.medians(recursion, what) for what in (next(iter(THEORIES)), MEASURED)]
        fewest = [str(cliff(found) or f"> {max(found)}") for found in medians]
        each = "; ".join(" ".join(f"{found[bits]:.2g}" for bits in BITS) for found in medians)
        lines.append(f"{recursion.replace('_', ' '):<14}{fewest[0]:>10}{fewest[1]:>10}  {each}")
    return "\n".join([*lines, "", ""])
