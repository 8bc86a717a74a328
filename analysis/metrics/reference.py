"""Statistics of real images, computed once: what samples are compared with, saved with all that decides them.

references/NAME/statistics.npz   mean and root of the covariance over all n images; features of some of them
references/NAME/manifest.json    n, extractor, sha256 of the data set, versions, sha256 of the file
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from modiff_sim.store import StoreError, npz_bytes, verify_one, versions, write_files

from .. import datasets
from ._arrays import Floats
from .extractors import EXTRACTORS, Extractor
from .frechet import Moments, moments

FOLDER = Path(__file__).parent / "references"
KEPT = 4096  # images whose features are kept, for kernel distance, precision and recall


@dataclass(frozen=True)
class Reference:
    """Real images in an extractor's features: moments of all ``n``, features float64 of the first ``KEPT``."""

    name: str
    n: int
    extractor: Extractor
    data_sha256: str
    moments: Moments
    features: Floats


def compute(data: datasets.Images) -> Reference:
    """From a data set; its first ``KEPT`` images are kept as features (data sets come shuffled or unordered)."""
    extractor = EXTRACTORS[data.name]
    features = extractor.features(data.images)
    kept = features[:KEPT].astype(np.float32).astype(np.float64)
    return Reference(data.name, len(data), extractor, data.sha256, moments(features), kept)


def save(reference: Reference, folder: Path = FOLDER) -> None:
    mean, root = reference.moments
    arrays = {"mean": mean, "root": root, "features": reference.features.astype(np.float32)}
    about = {
        "name": reference.name, "n": reference.n, "kept": len(reference.features), "features": reference.extractor.name,
        "data_sha256": reference.data_sha256, "versions": versions(),
    }  # fmt: skip
    write_files(folder / reference.name, {"statistics.npz": npz_bytes(arrays)}, about)


@cache
def load(name: str, folder: Path = FOLDER) -> Reference:
    """The reference of a data set. Digits are computed from scikit-learn's images, others read from their file.

    Raises:
        StoreError: no file, a damaged one, or one of another classifier's features.
    """
    if name == "digits":
        return compute(datasets.load("digits"))
    place = folder / name
    if problems := verify_one(place):
        raise StoreError("; ".join(problems) + f": python -m analysis.classifier {name} makes it")
    about: dict[str, Any] = json.loads((place / "manifest.json").read_text(encoding="utf-8"))
    extractor = EXTRACTORS[name]
    if about["features"] != extractor.name:
        raise StoreError(f"{place} has features of {about['features']}, the classifier here is {extractor.name}")
    with np.load(io.BytesIO((place / "statistics.npz").read_bytes()), allow_pickle=False) as file:
        found = (file["mean"], file["root"])
        return Reference(name, about["n"], extractor, about["data_sha256"], found, file["features"].astype(np.float64))
