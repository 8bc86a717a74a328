"""CIFAR-10's python batches: ``data_batch_1`` to ``data_batch_5``, pickles of arrays."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import pickles
from .raw import Fits, Raw, one_folder, quoted, visible, whole_labels

NAMES = tuple(f"data_batch_{k}" for k in range(1, 6))
LARGEST = 2**28  # bytes of the largest batch that is read: eight times one of CIFAR-10


class BatchError(ValueError, pickle.UnpicklingError):
    """A batch that is damaged, or that asks for more than arrays."""


def cifar_batches(root: Path, fits: Fits) -> Raw | None:
    """Read the training batches below root. Returns None where there are none.

    Raises
    ------
    FileNotFoundError
        Some of the five batches are missing.
    ValueError
        Batches are damaged, have other keys, shapes or dtypes or different numbers of images, or lie in several
        folders.
    """
    found = visible(root, (p for name in NAMES for p in root.rglob(name)))
    if not found:
        if tests := visible(root, root.rglob("test_batch")):
            raise FileNotFoundError(f"{tests[0].parent} holds test_batch only: {', '.join(NAMES)} are missing")
        return None
    one_folder(found, "batches of CIFAR")
    parts = {path: _batch(path) for path in found}
    if missing := [name for name in NAMES if name not in {p.name for p in found}]:
        are = "is" if len(missing) == 1 else "are"
        raise FileNotFoundError(
            f"{found[0].parent}: {', '.join(missing)} {are} missing ({len(missing)} of {len(NAMES)} batches)"
        )
    first = len(parts[found[0]][1])
    for path, (images, _) in parts.items():
        if len(images) != first:
            raise ValueError(f"{path} has {len(images)} images and {found[0].name} has {first}: download them again")
    fits((len(parts) * first, 32, 32, 3), False)
    return Raw(*(np.concatenate(each) for each in zip(*parts.values(), strict=True)))


def other_versions(root: Path) -> str:
    """Say what to do where root holds a version of CIFAR that is not read; "" where it does not hold one."""
    if found := visible(root, root.rglob("data_batch_*.bin")):
        return f"{found[0]} is of CIFAR-10's binary version, and only the python version is read: download that"
    # CIFAR-100's python version: train, test and meta
    if found := [p for p in visible(root, root.rglob("train")) if p.with_name("meta").is_file() or _pickled(p)]:
        return f"{found[0]} looks like CIFAR-100, and only CIFAR-10 is read"
    return ""


def _pickled(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(1) == b"\x80"


def _batch(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the images (n, 32, 32, 3) and labels (n,) of one file."""
    if (size := path.stat().st_size) > LARGEST:
        raise BatchError(f"{path} has {size} bytes, and a batch of CIFAR-10 has 31 million: is it another file?")
    content = path.read_bytes()
    try:
        batch = pickles.loads(content)
    except Exception as error:  # a damaged pickle may raise nearly any exception
        raise BatchError(f"{path} cannot be read as a batch of CIFAR ({quoted(error)})") from error
    if not isinstance(batch, dict) or not {b"data", b"labels"} <= set(batch):
        held = str(sorted(map(repr, batch)))[:200] if isinstance(batch, dict) else type(batch).__name__
        raise ValueError(f"{path} holds {held}; a batch of CIFAR-10 holds b'data' and b'labels'")
    data = batch[b"data"]
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != 3072:
        got = f"{data.dtype} {data.shape}" if isinstance(data, np.ndarray) else type(data).__name__
        raise ValueError(f"{path}: images must be uint8 (n, 3072), got {got}")
    return data.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), _labels(batch[b"labels"], len(data), path)


def _labels(labels: Any, n: int, path: Path) -> NDArray[np.int64]:
    """Return the labels in a list or an array.

    Other lists are not left to NumPy to interpret: a list that holds itself would become very large.
    """
    if isinstance(labels, (list, tuple)):
        kinds = {type(label) for label in labels}
        if kinds <= {bytes, str} and kinds:
            labels = np.full(len(labels), "name")
        elif not all(issubclass(kind, (int, float, np.number)) for kind in kinds):
            raise ValueError(f"{path}: labels must be one list of whole numbers")
        elif wrong := [i for i, label in enumerate(labels) if not -(2**63) <= label < 2**63]:
            raise ValueError(f"{path}: label {wrong[0]} is beyond 64 bits, but labels must be whole numbers from 0")
    elif not isinstance(labels, np.ndarray):
        raise ValueError(f"{path}: labels must be one list of whole numbers, got {type(labels).__name__}")
    return whole_labels(labels, n, str(path))
