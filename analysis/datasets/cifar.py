"""CIFAR-10's python batches: ``data_batch_1`` to ``data_batch_5``, pickles of arrays."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .raw import Raw, one_folder, visible, whole_labels

NAMES = tuple(f"data_batch_{k}" for k in range(1, 6))


class BatchError(ValueError, pickle.UnpicklingError):
    """A batch that is damaged, or that asks for more than arrays."""


class _ArraysOnly(pickle.Unpickler):
    """Reads CIFAR's batches, which are pickles, without running what a pickle may run: NumPy arrays and no more."""

    ALLOWED = frozenset({("numpy", "ndarray"), ("numpy", "dtype")} | {
        (f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in ("_reconstruct", "scalar")
    } | {("_codecs", "encode")})  # fmt: skip

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"a batch of CIFAR holds arrays only, this one asks for {module}.{name}")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def cifar_batches(root: Path) -> Raw | None:
    """The training batches below root; None where there are none.

    Raises:
        FileNotFoundError: some of the five batches are missing.
        ValueError: damaged batches, batches of other keys, shapes or dtypes, or of different numbers of images;
            batches in several folders.
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
            raise ValueError(f"{path} has {len(images)} images and {found[0].name} has {first}: fetch them anew")
    return Raw(*(np.concatenate(each) for each in zip(*parts.values(), strict=True)))


def other_versions(root: Path) -> str:
    """What to do where root holds another version of CIFAR than is read; empty where it does not."""
    if found := visible(root, root.rglob("data_batch_*.bin")):
        return f"{found[0]} is of CIFAR-10's binary version, and only the python version is read: fetch that"
    # CIFAR-100's python version: train, test and meta
    if found := [p for p in visible(root, root.rglob("train")) if p.with_name("meta").is_file() or _pickled(p)]:
        return f"{found[0]} looks like CIFAR-100, and only CIFAR-10 is read"
    return ""


def _pickled(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(1) == b"\x80"


def _batch(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images (n, 32, 32, 3) and labels (n,) of one file."""
    try:
        with open(path, "rb") as file:
            batch = _ArraysOnly(file, encoding="bytes").load()
    except OSError:
        raise
    except Exception as error:  # a damaged pickle raises nearly anything
        raise BatchError(f"{path} cannot be read as a batch of CIFAR ({error or type(error).__name__})") from error
    if not isinstance(batch, dict) or not {b"data", b"labels"} <= set(batch):
        held = sorted(map(repr, batch)) if isinstance(batch, dict) else type(batch).__name__
        raise ValueError(f"{path} holds {held}; a batch of CIFAR-10 holds b'data' and b'labels'")
    data = batch[b"data"]
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != 3072:
        got = f"{data.dtype} {data.shape}" if isinstance(data, np.ndarray) else type(data).__name__
        raise ValueError(f"{path}: images must be uint8 (n, 3072), got {got}")
    return data.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), whole_labels(batch[b"labels"], len(data), str(path))
