"""The data sets that models are trained on and judged by, read from the formats they are commonly kept in.

    digits      scikit-learn's 8×8 digits, which come with that package and need no path
    fashion32   Fashion-MNIST, 28×28 padded with black to 32×32
    cifar10     CIFAR-10, 32×32 in colour

``load(name, path)`` takes a path to any of these; a module of this package reads each:

    idx         a folder of idx files (``train-images-idx3-ubyte``, gzipped or not, also below ``FashionMNIST/raw``)
    cifar       a folder of CIFAR's five python batches (also below ``cifar-10-batches-py``)
    folders     a folder with one folder of picture files per class
    archives    an .npz with ``images`` and ``labels``, or ``jpeg`` (bytes of files, joined), ``offsets`` and ``labels``

Only the training part is read. What cannot be read correctly is refused by name. Data of more than ``raw.LARGEST``
bytes of grey levels are refused before they are inflated. What is left out (hidden folders, files that are not
pictures) is counted in ``Images.notes`` and logged; a program that does not set up logging prints it on stderr. Data
are never committed here.
"""

from __future__ import annotations

import hashlib
import logging
import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from modiff_sim.names import one_of

from .archives import archive
from .cifar import cifar_batches, other_versions
from .folders import class_folders, pictures_elsewhere
from .idx import idx_files, misspelt
from .raw import LARGEST, Raw, whole_labels

SPLIT_SEED = 20250613
FOLDERS = (idx_files, cifar_batches, class_folders)  # the first one that finds something reads it
CHUNK = 1024  # images that are converted to float32 at a time


@dataclass(frozen=True, eq=False)
class Images:
    """Images float32 (n, C, H, W) in [-1, 1], labels int64 (n,), and the sha256 of both, which a manifest records.

    ``notes`` says in a sentence each what was left out.
    """

    name: str
    images: NDArray[np.float32]
    labels: NDArray[np.int64]
    sha256: str
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class DataSet:
    """The channels and the side that images of this data set must have. Smaller images are padded."""

    channels: int
    side: int


DATASETS = {"digits": DataSet(1, 8), "fashion32": DataSet(1, 32), "cifar10": DataSet(3, 32)}


def digits() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return all images, float32 (1797, 1, 8, 8) in [-1, 1] (grey levels 0..16 mapped linearly), and labels 0..9.

    They are the test part of UCI's ML hand-written digits.
    """
    from sklearn.datasets import load_digits

    data = load_digits()
    images = (data.images / 8.0 - 1.0).astype(np.float32)[:, None]  # exact, because the 17 levels are multiples of 1/8
    return images, data.target.astype(np.int64)


def split(n: int, *, test_share: float = 0.2, seed: int = SPLIT_SEED) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the indices of the training and the test part, int64, sorted, disjoint and covering 0..n-1.

    They are the same at every call.

    Raises
    ------
    ValueError
        One of the parts would be empty.
    """
    n_test = round(n * test_share)
    if not 0 < n_test < n:
        raise ValueError(f"a test share of {test_share} of {n} images leaves an empty part")
    order = np.random.Generator(np.random.PCG64(seed)).permutation(n)
    return np.sort(order[n_test:]), np.sort(order[:n_test])


def load(name: str, path: str | Path | None = None) -> Images:
    """Load a data set by name. ``path`` is needed for all but "digits"; the module's docstring says what it may be.

    Raises
    ------
    ValueError
        The name is unknown, the path is missing, images have another size or number of channels, files are damaged or
        cannot be read correctly, or labels are not whole numbers from 0. The message names the file.
    OSError
        Nothing at the path can be read, or some of the files are missing.
    """
    one_of("data set", name, DATASETS)
    if name == "digits":
        if path is not None:
            raise ValueError("digits come with scikit-learn and take no path")
        return _named(name, *digits())
    if path is None:
        raise ValueError(f"{name} needs --data PATH: a folder or .npz that holds it")
    raw = _read(Path(path), DATASETS[name])
    labels = whole_labels(raw.labels, len(raw.levels), str(path))
    brightest = int(raw.levels.max())
    if brightest == 1:
        raise ValueError(f"{path}: all grey levels are 0 or 1, of 255: were images in [0, 1] saved as whole numbers?")
    levels, notes = _channels(raw, DATASETS[name].channels)
    if brightest < 64:
        notes += (f"the brightest grey level of all {len(labels)} images is {brightest} of 255: all are dark",)
    images = _fitted(levels, DATASETS[name], str(path))
    _say(path, notes)
    return _named(name, images, labels, notes)


def _say(path: str | Path, notes: tuple[str, ...]) -> None:
    for note in notes:
        logging.getLogger(__name__).warning("%s: %s", path, note)


def _channels(raw: Raw, wanted: int) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Convert grey saved as colour to grey, or grey to colour, where nothing is lost by it.

    Returns the grey levels and the notes.
    """
    levels, found = raw.levels, raw.levels.shape[3]
    if raw.files and (found, wanted) == (1, 3):
        return levels.repeat(3, axis=3), (*raw.notes, "every picture is grey: taken as colour")
    if raw.files and (found, wanted) == (3, 1) and (levels == levels[..., :1]).all():
        return levels[..., :1], (*raw.notes, "every picture is grey, saved as colour: taken as grey")
    return levels, raw.notes


def _named(name: str, images: NDArray[np.float32], labels: NDArray[np.int64], notes: tuple[str, ...] = ()) -> Images:
    seen = hashlib.sha256(np.ascontiguousarray(images).data)
    seen.update(np.ascontiguousarray(labels).data)
    return Images(name, images, labels, seen.hexdigest(), notes)


def _fits(where: str, wanted: DataSet | None, shape: tuple[int, int, int, int], files: bool) -> None:
    """Raise ValueError for images (n, H, W, C) that are too many, or that are not those of the data set.

    ``files`` says whether they are picture files, which may hold grey as colour, so that their channels are checked
    only when they are read.
    """
    n, height, width, channels = shape
    if wanted is not None:
        border = wanted.side - height
        if (channels != wanted.channels and not files) or height != width or border < 0 or border % 2:
            raise ValueError(
                f"{where}: images of {height}×{width} with {channels} channels; "
                f"needed: {wanted.channels} channels, {wanted.side}×{wanted.side} or smaller by an even number"
            )
    if math.prod(shape) > LARGEST:
        raise ValueError(
            f"{where}: {n} images of {height}×{width} with {channels} channels have {math.prod(shape)} bytes of grey "
            f"levels, and {LARGEST} is the most"
        )


def _fitted(levels: NDArray[np.uint8], wanted: DataSet, where: str) -> NDArray[np.float32]:
    """Map grey levels 0..255 (n, H, W, C) to [-1, 1], (n, C, side, side), padded equally with black on all sides."""
    n, height, width, channels = levels.shape
    _fits(where, wanted, (n, height, width, channels), False)
    border = wanted.side - height
    images = np.full((n, channels, wanted.side, wanted.side), -1.0, np.float32)
    inner = slice(border // 2, wanted.side - border // 2)
    for first in range(0, n, CHUNK):  # all at once would take three times the memory
        part = levels[first : first + CHUNK].transpose(0, 3, 1, 2)
        images[first : first + CHUNK, :, inner, inner] = part.astype(np.float32) / np.float32(127.5) - 1
    return images


def read(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Read any of the known formats: grey levels uint8 (n, H, W, C) and labels int64 (n,).

    Raises
    ------
    ValueError
        Files are damaged or cannot be read correctly, or labels are not whole numbers from 0.
    FileNotFoundError
        None of the known formats is found, or some of the files are missing.
    """
    raw = _read(Path(path), None)
    _say(path, raw.notes)
    return raw.levels, whole_labels(raw.labels, len(raw.levels), str(path))


def _read(path: Path, wanted: DataSet | None) -> Raw:
    fits = partial(_fits, str(path), wanted)
    if path.is_file():
        return archive(path, fits)
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist")
    for reader in FOLDERS:
        if (found := reader(path, fits)) is not None:
            return found
    if cause := misspelt(path) or other_versions(path) or pictures_elsewhere(path):
        raise FileNotFoundError(f"{path}: {cause}")
    raise FileNotFoundError(
        f"{path}: found no idx files, no CIFAR batches and no folders of pictures per class; "
        f"a file must be an .npz with images and labels, or with jpeg, offsets and labels"
    )
