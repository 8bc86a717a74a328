"""The data sets that models are trained on and judged by, read from the formats they are commonly kept in.

    digits      scikit-learn's 8×8 digits, inside that package: needs no path
    fashion32   Fashion-MNIST, 28×28 padded with black to 32×32
    cifar10     CIFAR-10, 32×32 in colour

``load(name, path)`` takes whatever of these the path is: a folder of idx files (``train-images-idx3-ubyte``, gzipped or
not, also below ``FashionMNIST/raw``), a folder of CIFAR's python batches (also below ``cifar-10-batches-py``), a folder
with one folder of PNG or JPEG files per class, an .npz with ``images`` and ``labels``, or an .npz of JPEG files
(``jpeg`` bytes joined, ``offsets``, ``labels``). Only the training part is read. Data are never committed here.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SPLIT_SEED = 20250613
PICTURES = (".png", ".jpg", ".jpeg")


@dataclass(frozen=True, eq=False)
class Images:
    """Images float32 (n, C, H, W) in [-1, 1], labels int64 (n,), and the sha256 of both: what a manifest records."""

    name: str
    images: NDArray[np.float32]
    labels: NDArray[np.int64]
    sha256: str

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class DataSet:
    """What a data set of this name must look like, once read: channels and side; smaller images are padded."""

    channels: int
    side: int


DATASETS = {"digits": DataSet(1, 8), "fashion32": DataSet(1, 32), "cifar10": DataSet(3, 32)}


def digits() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """All images, float32 (1797, 1, 8, 8) in [-1, 1] (grey levels 0..16 mapped linearly), and labels 0..9.

    UCI's ML hand-written digits, test part.
    """
    from sklearn.datasets import load_digits

    data = load_digits()
    images = (data.images / 8.0 - 1.0).astype(np.float32)[:, None]  # exact: 17 levels, multiples of 1/8
    return images, data.target.astype(np.int64)


def split(n: int, *, test_share: float = 0.2, seed: int = SPLIT_SEED) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices of the train and the test part, int64, sorted, disjoint and covering 0..n-1; the same on every call.

    Raises:
        ValueError: a part would be empty.
    """
    n_test = round(n * test_share)
    if not 0 < n_test < n:
        raise ValueError(f"a test share of {test_share} of {n} images leaves an empty part")
    order = np.random.Generator(np.random.PCG64(seed)).permutation(n)
    return np.sort(order[n_test:]), np.sort(order[:n_test])


def load(name: str, path: str | Path | None = None) -> Images:
    """A data set by name; ``path`` is needed for all but "digits" (see the module's head for what it may be).

    Raises:
        ValueError: unknown name, no path, or images of another size or number of channels.
        OSError: nothing there that can be read.
    """
    if name not in DATASETS:
        raise ValueError(f"unknown data set {name!r}; known: {', '.join(DATASETS)}")
    if name == "digits":
        if path is not None:
            raise ValueError("digits come with scikit-learn and take no path")
        return _named(name, *digits())
    if path is None:
        raise ValueError(f"{name} needs --data PATH: a folder or .npz that holds it")
    grey_levels, labels = read(Path(path))
    if len(grey_levels) != len(labels) or not len(labels):
        raise ValueError(f"{path}: {len(grey_levels)} images and {len(labels)} labels")
    return _named(name, _fitted(grey_levels, DATASETS[name], str(path)), labels.astype(np.int64))


def _named(name: str, images: NDArray[np.float32], labels: NDArray[np.int64]) -> Images:
    seen = hashlib.sha256(np.ascontiguousarray(images).data)
    seen.update(np.ascontiguousarray(labels).data)
    return Images(name, images, labels, seen.hexdigest())


def _fitted(levels: NDArray[np.uint8], wanted: DataSet, where: str) -> NDArray[np.float32]:
    """(n, H, W, C) grey levels 0..255 to [-1, 1], (n, C, side, side), padded with black on all sides alike."""
    n, height, width, channels = levels.shape
    border = wanted.side - height
    if channels != wanted.channels or height != width or border < 0 or border % 2:
        raise ValueError(
            f"{where}: images of {height}×{width} with {channels} channels; "
            f"needed: {wanted.channels} channels, {wanted.side}×{wanted.side} or smaller by an even number"
        )
    images = np.full((n, channels, wanted.side, wanted.side), -1.0, np.float32)
    inner = slice(border // 2, wanted.side - border // 2)
    images[:, :, inner, inner] = levels.transpose(0, 3, 1, 2).astype(np.float32) / np.float32(127.5) - 1
    return images


# -- formats: each returns uint8 (n, H, W, C) and integer labels (n,) ------------------------------------------------

Raw = tuple[NDArray[np.uint8], NDArray[Any]]


def read(path: Path) -> Raw:
    """Whatever the path is. Raises FileNotFoundError where none of the known formats is found."""
    if path.is_file():
        return _npz(path)
    for pattern, reader in _FOLDERS:
        if found := sorted(path.rglob(pattern)):
            return reader(found)
    pictures = sorted(p for p in path.glob("*/*") if p.suffix.lower() in PICTURES)
    if pictures:
        return _class_folders(pictures)
    raise FileNotFoundError(
        f"{path}: found no idx files, no CIFAR batches and no folders of pictures per class; "
        f"a file must be an .npz with images and labels, or with jpeg, offsets and labels"
    )


def _npz(path: Path) -> Raw:
    try:
        archive = np.load(path, allow_pickle=False)
    except ValueError as error:
        raise ValueError(f"{path} is no .npz: {error}") from None
    with archive:
        if "labels" not in archive or not {"images", "jpeg"} & set(archive.files):
            raise ValueError(f"{path} holds {', '.join(archive.files)}; needed: labels and images, or jpeg and offsets")
        labels = archive["labels"]
        if "images" in archive:
            return _with_channels(archive["images"], str(path)), labels
        joined, offsets = archive["jpeg"], archive["offsets"]
    parts = (joined[a:b].tobytes() for a, b in pairwise(offsets))
    return np.stack([_picture(io.BytesIO(part)) for part in parts]), labels


def _with_channels(images: NDArray[Any], where: str) -> NDArray[np.uint8]:
    if images.dtype != np.uint8 or images.ndim not in (3, 4):
        raise ValueError(f"{where}: images must be uint8 (n, H, W) or (n, H, W, C), got {images.dtype} {images.shape}")
    return images[..., None] if images.ndim == 3 else images


def _picture(file: Any) -> NDArray[np.uint8]:
    """(H, W, C): C is 1 for grey pictures, else 3."""
    from PIL import Image

    with Image.open(file) as picture:
        pixels = np.asarray(picture if picture.mode == "L" else picture.convert("RGB"))
    return pixels[..., None] if pixels.ndim == 2 else pixels


def _class_folders(pictures: list[Path]) -> Raw:
    classes = sorted({p.parent.name for p in pictures})
    pixels = [_picture(p) for p in pictures]
    if len({p.shape for p in pixels}) > 1:
        raise ValueError(f"{pictures[0].parent.parent}: pictures of different sizes or modes")
    return np.stack(pixels), np.array([classes.index(p.parent.name) for p in pictures])


def _idx(found: list[Path]) -> Raw:
    images = found[0]
    labels = images.with_name(images.name.replace("images-idx3", "labels-idx1"))
    return _with_channels(_idx_array(images), str(images)), _idx_array(labels)


def _idx_array(path: Path) -> NDArray[np.uint8]:
    """An idx file: two zero bytes, 8 for uint8, the number of axes, lengths (big-endian, 32 bits), data."""
    content = path.read_bytes()
    if path.suffix == ".gz":
        content = gzip.decompress(content)
    if content[:3] != b"\0\0\x08":
        raise ValueError(f"{path} is no idx file of bytes")
    axes = content[3]
    shape = tuple(np.frombuffer(content, ">u4", axes, offset=4).tolist())
    data = np.frombuffer(content, np.uint8, offset=4 + 4 * axes)
    if data.size != np.prod(shape):
        raise ValueError(f"{path} is cut short: {data.size} bytes for shape {shape}")
    return data.reshape(shape)


class _ArraysOnly(pickle.Unpickler):
    """Reads CIFAR's batches, which are pickles, without running what a pickle may run: NumPy arrays and no more."""

    ALLOWED = frozenset({("numpy", "ndarray"), ("numpy", "dtype")} | {
        (f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in ("_reconstruct", "scalar")
    } | {("_codecs", "encode")})  # fmt: skip

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"a batch of CIFAR holds arrays only, this one asks for {module}.{name}")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def _cifar_batches(found: list[Path]) -> Raw:
    images, labels = [], []
    for path in found:
        with open(path, "rb") as file:
            batch = _ArraysOnly(file, encoding="bytes").load()
        images.append(np.asarray(batch[b"data"], np.uint8).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
        labels.append(np.asarray(batch[b"labels"]))
    return np.concatenate(images), np.concatenate(labels)


_FOLDERS: tuple[tuple[str, Callable[[list[Path]], Raw]], ...] = (
    ("train-images-idx3-ubyte*", _idx),
    ("data_batch_?", _cifar_batches),
)
