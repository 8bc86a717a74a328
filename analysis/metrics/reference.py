"""Statistics of real images, computed once: what samples are compared with, saved with all that decides them.

references/NAME/statistics.npz   mean and root of the covariance over all n images; features of some of them;
                                 quantiles of all images' pixels along the fixed directions of ``wasserstein``
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

from modiff_sim.sweeps.store import StoreError, npz_bytes, verify_one, versions, write_files

from .. import datasets
from ._arrays import Floats, flat
from .extractors import EXTRACTORS, Extractor
from .frechet import Moments, moments
from .wasserstein import projected

FOLDER = Path(__file__).parent / "references"
KEPT = 4096  # images whose features are kept, for kernel distance, precision and recall
LEVELS = 512  # quantiles that are kept of each direction


@dataclass(frozen=True)
class Reference:
    """Real images in an extractor's features.

    moments: of all ``n``. features: float64 (min(n, KEPT), k), in an order without meaning, so that the first m rows
    are a fair sample of m. pixels: float64 (LEVELS, directions), quantiles (i + ½)/LEVELS of all images along each
    direction.
    """

    name: str
    n: int
    extractor: Extractor
    data_sha256: str
    moments: Moments
    features: Floats
    pixels: Floats


def compute(data: datasets.Images) -> Reference:
    """From a data set, whose order may be by class or by writer: the features kept are of images drawn once.

    Raises:
        ValueError: no classifier for this data set.
    """
    if data.name not in EXTRACTORS:
        raise ValueError(f"no classifier for {data.name!r}; there are {', '.join(EXTRACTORS)}")
    extractor = EXTRACTORS[data.name]
    features = extractor.features(data.images)
    drawn = np.random.Generator(np.random.PCG64(datasets.SPLIT_SEED)).permutation(len(data))[:KEPT]
    # float32 as in the file: computed and read back are the same
    kept, pixels = features[drawn].astype(np.float32), _quantiles(data.images).astype(np.float32)
    return Reference(
        data.name, len(data), extractor, data.sha256, moments(features),
        kept.astype(np.float64), pixels.astype(np.float64),
    )  # fmt: skip


def _quantiles(images: np.ndarray) -> Floats:
    blocks = [projected(flat(images[i : i + KEPT])) for i in range(0, len(images), KEPT)]
    found: Floats = np.quantile(np.concatenate(blocks), (np.arange(LEVELS) + 0.5) / LEVELS, axis=0)
    return found


def save(reference: Reference, folder: Path = FOLDER) -> None:
    mean, root = reference.moments
    arrays = {
        "mean": mean, "root": root, "features": reference.features.astype(np.float32),
        "pixels": reference.pixels.astype(np.float32),
    }  # fmt: skip
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
    if name not in EXTRACTORS:
        raise StoreError(f"no reference {name!r}; there are {', '.join(EXTRACTORS)}")
    place = folder / name
    if problems := verify_one(place):
        raise StoreError("; ".join(problems) + f": python -m analysis.training.classifier {name} makes it")
    about: dict[str, Any] = json.loads((place / "manifest.json").read_text(encoding="utf-8"))
    extractor = EXTRACTORS[name]
    if about["features"] != extractor.name:
        raise StoreError(f"{place} has features of {about['features']}, the classifier here is {extractor.name}")
    with np.load(io.BytesIO((place / "statistics.npz").read_bytes()), allow_pickle=False) as file:
        return Reference(
            name, about["n"], extractor, about["data_sha256"], (file["mean"], file["root"]),
            file["features"].astype(np.float64), file["pixels"].astype(np.float64),
        )  # fmt: skip
