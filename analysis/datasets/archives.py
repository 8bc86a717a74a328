"""An .npz with ``images`` and ``labels``, or with picture files joined (``jpeg``), their ``offsets`` and ``labels``."""

from __future__ import annotations

import io
import zipfile
import zlib
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .picture import picture, same_size
from .raw import Raw

UNPACKED = (".zip", ".gz", ".tgz", ".tar", ".bz2", ".xz", ".7z", ".rar", ".zst")


def archive(path: Path) -> Raw:
    """What such a file holds.

    Raises:
        ValueError: another kind of file, a damaged one, missing arrays, or arrays that do not fit; it says which.
    """
    arrays = _arrays(path)
    if not any(needed <= set(arrays) for needed in ({"images", "labels"}, {"jpeg", "offsets", "labels"})):
        held = ", ".join(arrays) or "nothing"
        raise ValueError(f"{path} holds {held}; needed: labels and images, or jpeg, offsets and labels")
    if "images" in arrays:
        return Raw(_with_channels(arrays["images"], f"{path}: images"), arrays["labels"])
    return Raw(_joined(arrays["jpeg"], arrays["offsets"], path), arrays["labels"], files=True)


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    if path.suffix.lower() in UNPACKED:
        raise ValueError(f"{path} is packed: unpack it and give the folder")
    with open(path, "rb") as stream:  # NumPy leaves a damaged archive open
        try:
            file = np.load(stream, allow_pickle=False)
        except (EOFError, zipfile.BadZipFile) as error:
            raise ValueError(f"{path} is no .npz: {error}; is it whole?") from error
        except ValueError as error:  # NumPy's message would advise to load it unsafely
            raise ValueError(f"{path} is no .npz: it is neither a zip archive nor an array") from error
        if not isinstance(file, np.lib.npyio.NpzFile):
            raise ValueError(f"{path} is a single array of shape {file.shape}; needed: an .npz with images and labels")
        with file:
            return {name: _array(file, name, path) for name in file.files}


def _array(file: Any, name: str, path: Path) -> NDArray[Any]:
    """One member; those that are not needed, such as names of classes, are not read."""
    if name not in ("images", "jpeg", "offsets", "labels"):
        return np.empty(0)
    try:
        return file[name]
    except (EOFError, OSError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path}: {name} cannot be read ({error}): fetch it anew") from error
    except ValueError as error:
        raise ValueError(f"{path}: {name} cannot be read: save plain arrays, no objects") from error


def _with_channels(images: NDArray[Any], where: str) -> NDArray[np.uint8]:
    """(n, H, W, C) of uint8 (n, H, W) or (n, H, W, C)."""
    if images.dtype != np.uint8 or images.ndim not in (3, 4):
        raise ValueError(
            f"{where} must be uint8 (n, H, W) or (n, H, W, C), got {images.dtype} {images.shape}{_to_levels(images)}"
        )
    if images.ndim == 4 and images.shape[1] in (1, 3) and images.shape[3] not in (1, 3):
        raise ValueError(f"{where} {images.shape} have their channels first: save images.transpose(0, 2, 3, 1)")
    return images[..., None] if images.ndim == 3 else images


def _to_levels(images: NDArray[Any]) -> str:
    """How images of another dtype become grey levels, by what range they fill; nothing where that cannot be told."""
    if images.dtype.kind not in "biuf" or images.dtype == np.uint8 or not images.size or not np.isfinite(images).all():
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


def _joined(joined: NDArray[Any], offsets: NDArray[Any], path: Path) -> NDArray[np.uint8]:
    """Picture i is joined[offsets[i]:offsets[i + 1]]."""
    if joined.dtype != np.uint8 or joined.ndim != 1:
        raise ValueError(f"{path}: jpeg must be uint8 (bytes,), got {joined.dtype} {joined.shape}")
    if offsets.dtype.kind not in "iu" or offsets.ndim != 1 or len(offsets) < 2:
        raise ValueError(f"{path}: offsets must be whole numbers (n + 1,), got {offsets.dtype} {offsets.shape}")
    offsets = offsets.astype(np.int64)
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
    parts = (joined[a:b].tobytes() for a, b in pairwise(offsets))
    return same_size([picture(io.BytesIO(part), name) for part, name in zip(parts, names, strict=True)], names)
