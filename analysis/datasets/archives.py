"""An .npz with ``images`` and ``labels``, or with picture files joined (``jpeg``), their ``offsets`` and ``labels``.

The headers of its arrays are read first. What does not fit is refused before anything is inflated, and never more is
inflated than the headers say.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .picture import same_size
from .raw import LARGEST, Fits, Raw, one_each, quoted, whole_labels

UNPACKED = (".zip", ".gz", ".tgz", ".tar", ".bz2", ".xz", ".7z", ".rar", ".zst")
NEEDED = ("images", "jpeg", "offsets", "labels")
HEAD = 2**14  # bytes within which the header of an array must end; NumPy does not take a longer one
SEEN = 2**24  # entries of images of another dtype that are examined, to say how they become grey levels


class Member(NamedTuple):
    """An array in an archive: where it is, its header as NumPy wrote it, and where its data begin."""

    name: str
    info: zipfile.ZipInfo
    shape: tuple[int, ...]
    columns_first: bool
    dtype: np.dtype[Any]
    begin: int

    @property
    def size(self) -> int:
        """Bytes of the array."""
        return math.prod(self.shape) * self.dtype.itemsize


def archive(path: Path, fits: Fits) -> Raw:
    """Read such a file.

    Raises
    ------
    ValueError
        The file is of another kind or damaged, or arrays are missing or do not fit. The message says which.
    """
    if path.suffix.lower() in UNPACKED:
        raise ValueError(f"{path} is packed: unpack it and give the folder")
    with open(path, "rb") as stream, _opened(stream, path) as file:
        names = [info.filename.removesuffix(".npy") for info in file.infolist()]
        if twice := [name for name in NEEDED if names.count(name) > 1]:
            raise ValueError(f"{path} holds {twice[0]} {names.count(twice[0])} times: save the one that is meant")
        infos = dict(zip(names, file.infolist(), strict=True))
        if not any(needed <= set(infos) for needed in ({"images", "labels"}, {"jpeg", "offsets", "labels"})):
            held = ", ".join(infos)[:200] or "nothing"
            raise ValueError(f"{path} holds {held}; needed: labels and images, or jpeg, offsets and labels")
        members = {name: _member(file, name, infos[name], path) for name in NEEDED if name in infos}
        return _images(file, members, path, fits) if "images" in members else _joined(file, members, path, fits)


def _opened(stream: Any, path: Path) -> zipfile.ZipFile:
    start = stream.read(8)
    if start[:6] == np.lib.format.MAGIC_PREFIX:
        try:
            shape, _, _, _ = _head(start + stream.read(HEAD))
        except ValueError as error:
            raise ValueError(f"{path} is not an .npz: it is a damaged .npy ({quoted(error)})") from error
        raise ValueError(f"{path} is a single array of shape {shape}; needed: an .npz with images and labels")
    if start and not start.startswith(b"PK"):
        raise ValueError(f"{path} is not an .npz: it is neither a zip archive nor an array")
    try:
        return zipfile.ZipFile(stream)
    except Exception as error:  # a damaged directory may raise nearly any exception
        raise ValueError(f"{path} is not an .npz: {quoted(error)}; is it whole?") from error


def _head(start: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Return (shape, whether columns come first, dtype, where the data begin) from the first bytes of an .npy."""
    head = io.BytesIO(start)
    version = np.lib.format.read_magic(head)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"version {version} of the .npy format")
    try:
        shape, columns_first, dtype = readers[version](head)
    except Exception as error:  # a parser of Python code may raise nearly any exception
        raise ValueError("its header is damaged") from error
    if dtype.hasobject or dtype.names or dtype.subdtype or not dtype.itemsize or min(shape, default=0) < 0:
        raise ValueError("it is not a plain array")
    return shape, columns_first, dtype, head.tell()


def _member(file: zipfile.ZipFile, name: str, info: zipfile.ZipInfo, path: Path) -> Member:
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{path}: {name} is packed in an unusual way: save it by numpy.savez or savez_compressed")
    start = _inflated(file, info, name, path, HEAD)
    try:
        member = Member(name, info, *_head(start))
    except ValueError as error:
        raise ValueError(f"{path}: {name} cannot be read: save plain arrays, not objects") from error
    if member.begin + member.size != info.file_size:
        raise ValueError(
            f"{path}: {name} cannot be read (its header says {member.dtype} {member.shape}, which are {member.size} "
            f"bytes, and the archive has {info.file_size - member.begin} of them): download it again"
        )
    if member.size > LARGEST and member.dtype == np.uint8:
        raise ValueError(f"{path}: {name} {member.shape} has {member.size} bytes, and {LARGEST} is the most")
    return member


def _inflated(file: zipfile.ZipFile, info: zipfile.ZipInfo, name: str, path: Path, most: int) -> bytes:
    """Return the first bytes of a member. Where these are all its bytes, zipfile checks their checksum."""
    try:
        with file.open(info) as stream:
            return stream.read(most)
    except Exception as error:  # a damaged or encrypted member may raise nearly any exception
        raise ValueError(f"{path}: {name} cannot be read ({quoted(error)}): download it again") from error


def _data(file: zipfile.ZipFile, member: Member, path: Path, entries: int | None = None) -> NDArray[Any]:
    """Return the array, or its first entries as they lie in the file."""
    size = member.size if entries is None else min(member.size, entries * member.dtype.itemsize)
    content = _inflated(file, member.info, member.name, path, member.begin + size)[member.begin :]
    if len(content) != size:
        raise ValueError(f"{path}: {member.name} cannot be read ({len(content)} of {size} bytes): download it again")
    flat = np.frombuffer(content, member.dtype)
    return flat if entries is not None else flat.reshape(member.shape, order="F" if member.columns_first else "C")


def _labels(file: zipfile.ZipFile, member: Member, n: int, path: Path) -> NDArray[np.int64]:
    if len(member.shape) == 1:
        one_each(n, member.shape[0], str(path))
    if member.size > LARGEST:
        raise ValueError(f"{path}: labels {member.shape} of {member.dtype}, but each image needs one label, ({n},)")
    return whole_labels(_data(file, member, path), n, str(path))


def _images(file: zipfile.ZipFile, members: Mapping[str, Member], path: Path, fits: Fits) -> Raw:
    """Return the images, uint8 (n, H, W, C) from (n, H, W) or (n, H, W, C), with their labels, which are read first."""
    images, where = members["images"], f"{path}: images"
    if images.dtype != np.uint8 or len(images.shape) not in (3, 4):
        how = "" if images.dtype == np.uint8 else _to_levels(_data(file, images, path, SEEN))
        raise ValueError(f"{where} must be uint8 (n, H, W) or (n, H, W, C), got {images.dtype} {images.shape}{how}")
    if len(images.shape) == 4 and images.shape[1] in (1, 3) and images.shape[3] not in (1, 3):
        raise ValueError(f"{where} {images.shape} have their channels first: save images.transpose(0, 2, 3, 1)")
    n, height, width, channels = images.shape if len(images.shape) == 4 else (*images.shape, 1)
    labels = _labels(file, members["labels"], n, path)
    fits((n, height, width, channels), False)
    return Raw(_data(file, images, path).reshape(n, height, width, channels), labels)


def _to_levels(images: NDArray[Any]) -> str:
    """Say how images of another dtype become grey levels, judging by their range; "" where that cannot be told."""
    if images.dtype.kind not in "biuf" or not images.size or not np.isfinite(images).all():
        return ""
    if images.dtype.kind == "b":
        return ": save 255 * images.astype(np.uint8)"
    low, high = float(images.min()), float(images.max())
    if images.dtype.kind == "f" and high <= 1 and low >= -1:
        how = "127.5 * (images + 1)" if low < 0 else "255 * images"
        return f": if they lie in [{-1 if low < 0 else 0}, 1], save np.rint({how}).astype(np.uint8)"
    if low < 0 or high > 65535:
        return ""
    return f": save np.rint(images{' / 257' if high > 255 else ''}).astype(np.uint8)"


def _joined(file: zipfile.ZipFile, members: Mapping[str, Member], path: Path, fits: Fits) -> Raw:
    """Read picture files that were joined: picture i is jpeg[offsets[i]:offsets[i + 1]]."""
    jpeg, places = members["jpeg"], members["offsets"]
    if jpeg.dtype != np.uint8 or len(jpeg.shape) != 1:
        raise ValueError(f"{path}: jpeg must be uint8 (bytes,), got {jpeg.dtype} {jpeg.shape}")
    if places.dtype.kind not in "iu" or len(places.shape) != 1 or not 2 <= places.shape[0] <= jpeg.size + 1:
        raise ValueError(f"{path}: offsets must be whole numbers (n + 1,), got {places.dtype} {places.shape}")
    labels = _labels(file, members["labels"], places.shape[0] - 1, path)
    joined, offsets = _data(file, jpeg, path), _data(file, places, path).astype(np.int64)
    wrong = np.flatnonzero((offsets[1:] <= offsets[:-1]) | (offsets[:-1] < 0) | (offsets[1:] > len(joined)))
    if wrong.size:
        i = int(wrong[0])
        raise ValueError(
            f"{path}: picture {i} lies from byte {offsets[i]} to {offsets[i + 1]} of {len(joined)}: "
            f"offsets or jpeg are damaged"
        )
    if offsets[0] != 0 or offsets[-1] != len(joined):
        raise ValueError(f"{path}: offsets go from {offsets[0]} to {offsets[-1]}, and jpeg has {len(joined)} bytes")
    names = [f"{path}: picture {i}" for i in range(len(offsets) - 1)]
    parts = (io.BytesIO(joined[a:b].tobytes()) for a, b in pairwise(offsets))
    return Raw(same_size(parts, names, fits), labels, files=True)
