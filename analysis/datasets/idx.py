"""Idx files, as MNIST and Fashion-MNIST come: ``train-images-idx3-ubyte`` beside its labels, gzipped or not."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .raw import Raw, one_folder, visible, whole_labels

NAMES = ("train-images-idx3-ubyte", "train-images.idx3-ubyte")


def idx_files(root: Path) -> Raw | None:
    """The training part below root; None where there is none. Unpacked files go before gzipped ones.

    Raises:
        FileNotFoundError: images without labels, or another part only.
        ValueError: damaged or cut-short files; images in several folders.
    """
    found = visible(root, (p for name in NAMES for end in ("", ".gz") for p in root.rglob(name + end)))
    if not found:
        others = visible(root, (p for ending in ("idx3-ubyte", "idx1-ubyte") for p in root.rglob(f"*{ending}*")))
        if others:
            raise FileNotFoundError(f"{others[0].parent} holds {others[0].name}, and {NAMES[0]} is missing")
        return None
    one_folder(found, "images of idx format")
    images = next((p for p in found if p.suffix != ".gz"), found[0])
    name = images.name.removesuffix(".gz").replace("images", "labels").replace("idx3", "idx1")
    places = [images.with_name(name), images.with_name(name + ".gz")]
    levels = _whole(images, 3)[..., None]
    labels = next((p for p in places if p.is_file()), None)
    if labels is None:
        raise FileNotFoundError(f"{places[0]} is missing, the labels of {images.name}")
    return Raw(levels, whole_labels(_whole(labels, 1), len(levels), str(labels)))


def misspelt(root: Path) -> str:
    """What to do where files have the names of idx files but for their case; empty where there are none."""
    known = {name + end for name in NAMES for end in ("", ".gz")}
    found = visible(root, (p for p in root.rglob("*") if p.name.lower() in known and p.name not in known))
    return f"names of idx files are lower case: rename {found[0]} and its labels" if found else ""


def _whole(path: Path, axes: int) -> NDArray[np.uint8]:
    """As ``_array``; where the file is damaged and a whole gzipped one lies beside it, the error says so."""
    try:
        return _array(path, axes)
    except ValueError as error:
        zipped = path.with_name(path.name + ".gz")
        if not zipped.is_file():
            raise
        try:
            _array(zipped, axes)
        except (OSError, ValueError):
            raise error from None
        raise ValueError(f"{error}; {zipped.name} beside it is whole: delete {path.name} to have that read") from error


def _array(path: Path, axes: int) -> NDArray[np.uint8]:
    """An idx file: two zero bytes, 8 for uint8, the number of axes, lengths (big-endian, 32 bits), data."""
    content = path.read_bytes()
    if path.suffix == ".gz":
        try:
            content = gzip.decompress(content)
        except (EOFError, OSError, zlib.error) as error:
            raise ValueError(f"{path} is cut short or damaged ({error}): fetch it anew") from error
    if content[:3] != b"\0\0\x08" or len(content) < 4:
        raise ValueError(f"{path} is no idx file of bytes: it begins with {content[:4].hex(' ') or 'nothing'}")
    if content[3] != axes:
        raise ValueError(f"{path} has {content[3]} axes, but {axes} are needed: images and labels may be interchanged")
    if len(content) < 4 + 4 * axes:
        raise ValueError(f"{path} is cut short: its head has {len(content)} of {4 + 4 * axes} bytes")
    shape = tuple(np.frombuffer(content, ">u4", axes, offset=4).tolist())
    data = np.frombuffer(content, np.uint8, offset=4 + 4 * axes)
    if data.size != math.prod(shape):
        what = "is cut short" if data.size < math.prod(shape) else "is longer than its head says"
        raise ValueError(f"{path} {what}: {data.size} bytes for shape {shape}")
    return data.reshape(shape)
