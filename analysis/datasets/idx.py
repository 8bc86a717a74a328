"""Idx files, the format of MNIST and Fashion-MNIST: ``train-images-idx3-ubyte`` beside its labels, gzipped or not."""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .raw import Fits, Raw, one_each, one_folder, quoted, visible, whole_labels

NAMES = ("train-images-idx3-ubyte", "train-images.idx3-ubyte")
T = TypeVar("T")


def idx_files(root: Path, fits: Fits) -> Raw | None:
    """Read the training part below root. Returns None where there is none. Unpacked files come before gzipped ones.

    The headers of both files and the labels are read before the pixels, and not more pixels than the header says.

    Raises
    ------
    FileNotFoundError
        The labels are missing, or there is only the test part.
    ValueError
        Files are damaged or cut short, or there are images in several folders.
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
    n, height, width = _whole(_shape, images)
    labels = next((p for p in places if p.is_file()), None)
    if labels is None:
        raise FileNotFoundError(f"{places[0]} is missing, the labels of {images.name}")
    levels_of = _whole(lambda path: _array(path, 1, lambda shape: one_each(n, shape[0], str(labels))), labels)
    numbers = whole_labels(levels_of, n, str(labels))
    levels = _whole(lambda path: _array(path, 3, lambda shape: fits((n, height, width, 1), False)), images)
    return Raw(levels[..., None], numbers)


def misspelt(root: Path) -> str:
    """Say what to do where the names of files differ from those of idx files in their case only; "" where none do."""
    known = {name + end for name in NAMES for end in ("", ".gz")}
    found = visible(root, (p for p in root.rglob("*") if p.name.lower() in known and p.name not in known))
    return f"names of idx files are lower case: rename {found[0]} and its labels" if found else ""


def _whole(reader: Callable[[Path], T], path: Path) -> T:
    """Call the reader. Where the file is damaged and an intact gzipped one lies beside it, the error says so."""
    try:
        return reader(path)
    except ValueError as error:
        zipped = path.with_name(path.name + ".gz")
        if not zipped.is_file():
            raise
        try:
            reader(zipped)
        except (OSError, ValueError):
            raise error from None
        raise ValueError(f"{error}; {zipped.name} beside it is whole: delete {path.name} to have that read") from error


def _array(path: Path, axes: int, fits: Callable[[tuple[int, ...]], None]) -> NDArray[np.uint8]:
    """Read an idx file: two zero bytes, 8 for uint8, the number of axes, lengths (big-endian, 32 bits), data.

    ``fits`` is told the shape before the data are read. One byte more than the shape needs is asked for, which shows
    whether the file is too long.
    """
    with _opened(path) as file:
        shape = _head(path, file, axes)
        fits(shape)
        content = _read(path, file, math.prod(shape) + 1)
    _complete(path, shape, len(content))
    return np.frombuffer(content, np.uint8).reshape(shape)


def _opened(path: Path) -> Any:
    return gzip.open(path) if path.suffix == ".gz" else open(path, "rb")


def _read(path: Path, file: Any, size: int) -> bytes:
    try:
        content: bytes = file.read(size)
    except (EOFError, OSError, zlib.error) as error:
        raise ValueError(f"{path} is cut short or damaged ({quoted(error)}): download it again") from error
    return content


def _shape(path: Path) -> tuple[int, ...]:
    with _opened(path) as file:
        return _head(path, file, 3)


def _head(path: Path, file: Any, axes: int) -> tuple[int, ...]:
    head = _read(path, file, 4 + 4 * axes)
    if head[:3] != b"\0\0\x08" or len(head) < 4:
        raise ValueError(f"{path} is not an idx file of bytes: it begins with {head[:4].hex(' ') or 'nothing'}")
    if head[3] != axes:
        raise ValueError(f"{path} has {head[3]} axes, but {axes} are needed: images and labels may have been exchanged")
    if len(head) < 4 + 4 * axes:
        raise ValueError(f"{path} is cut short: its header has {len(head)} of {4 + 4 * axes} bytes")
    shape = tuple(np.frombuffer(head, ">u4", axes, offset=4).tolist())
    if path.suffix != ".gz":
        _complete(path, shape, path.stat().st_size - len(head))
    return shape


def _complete(path: Path, shape: tuple[int, ...], size: int) -> None:
    wanted = math.prod(shape)
    if size != wanted:
        more = "" if path.suffix != ".gz" or size < wanted else " or more"
        what = "is cut short" if size < wanted else "is longer than its header says"
        raise ValueError(f"{path} {what}: {size}{more} bytes for shape {shape}")
