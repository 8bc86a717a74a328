"""Statistics of real images, with which samples are compared. They are computed once and saved with their origin.

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

from modiff_sim.metrics.arrays import Floats, flat
from modiff_sim.metrics.frechet import Moments, moments
from modiff_sim.metrics.wasserstein import projected
from modiff_sim.sweeps.store import StoreError, npz_bytes, verify_one, versions, write_files

from .. import datasets
from .extractors import EXTRACTORS, Extractor

FOLDER = Path(__file__).parent / "references"
KEPT = 4096  # images whose features are kept, for kernel distance, precision and recall
LEVELS = 512  # quantiles that are kept of each direction


@dataclass(frozen=True)
class Reference:
    """Real images in an extractor's features.

    ``moments`` are those of all ``n`` images. ``features`` is float64 (min(n, KEPT), k) in random order, so that the
    first m rows are a fair sample of size m. ``pixels`` is float64 (LEVELS, directions): the quantiles (i + ½)/LEVELS
    of all images along each direction.
    """

    name: str
    n: int
    extractor: Extractor
    data_sha256: str
    moments: Moments
    features: Floats
    pixels: Floats


def compute(data: datasets.Images, extractor: Extractor | None = None) -> Reference:
    """Compute the reference of a data set, in the features of its classifier or of another extractor.

    Since a data set may be ordered by class or by writer, features are kept of images that are drawn at random.

    Raises
    ------
    ValueError
        There is no classifier for this data set, or the extractor takes other images.
    """
    if extractor is None and data.name not in EXTRACTORS:
        raise ValueError(f"no classifier for {data.name!r}; there are {', '.join(EXTRACTORS)}")
    extractor = extractor or EXTRACTORS[data.name]
    features = extractor.features(data.images)
    drawn = np.random.Generator(np.random.PCG64(datasets.SPLIT_SEED)).permutation(len(data))[:KEPT]
    # rounded to float32, as in the file, so that a reference is the same when it is read back
    kept, pixels = features[drawn].astype(np.float32), _quantiles(data.images).astype(np.float32)
    return Reference(
        data.name,
        len(data),
        extractor,
        data.sha256,
        moments(features),
        kept.astype(np.float64),
        pixels.astype(np.float64),
    )


def _quantiles(images: np.ndarray) -> Floats:
    blocks = [projected(flat(images[i : i + KEPT])) for i in range(0, len(images), KEPT)]
    found: Floats = np.quantile(np.concatenate(blocks), (np.arange(LEVELS) + 0.5) / LEVELS, axis=0)
    return found


def save(reference: Reference, folder: Path = FOLDER) -> None:
    """Write the reference and its manifest into a folder."""
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
    """Return the reference of a data set. That of the digits is computed from scikit-learn, others are read from files.

    Raises
    ------
    StoreError
        There is no such file, it is damaged, or it has the features of another classifier.
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
            name,
            about["n"],
            extractor,
            about["data_sha256"],
            (file["mean"], file["root"]),
            file["features"].astype(np.float64),
            file["pixels"].astype(np.float64),
        )
