"""What every format is read into before it becomes images in [-1, 1]; checks of labels; which files are left out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from modiff_sim.console import one_line

#: bytes of grey levels that a data set may have: seven times CIFAR-10. A file that claims to hold more is not inflated.
LARGEST = 2**30
#: what file managers, notebooks and archives leave in folders, besides everything whose name begins with a dot
LEFT_BEHIND = frozenset({"__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "@eadir", "$recycle.bin"})

#: makes the message of a library's error fit into a line
quoted = partial(one_line, most=200)

#: a function that is told (n, H, W, C) before the pixels are read, and whether they come from picture files, which may
#: hold grey as colour; it raises ValueError for images that are too many, or that are not the expected ones
Fits = Callable[[tuple[int, int, int, int], bool], None]


class Raw(NamedTuple):
    """Grey levels uint8 (n, H, W, C), labels (n,) as they were found, and sentences (notes) on what was left out.

    ``files`` says whether they were read from picture files, which may hold grey as colour.
    """

    levels: NDArray[np.uint8]
    labels: NDArray[Any]
    notes: tuple[str, ...] = ()
    files: bool = False


def hidden(name: str) -> bool:
    """Whether a file or folder of this name is left out, such as ``.ipynb_checkpoints``, ``._0.png``, ``__MACOSX``."""
    return name.startswith(".") or name.lower() in LEFT_BEHIND


def visible(root: Path, found: Iterable[Path]) -> list[Path]:
    """Return the files found below root, sorted, without those in hidden folders. Root itself may lie in one."""
    return sorted(p for p in found if p.is_file() and not any(map(hidden, p.relative_to(root).parts)))


def one_folder(found: Sequence[Path], kind: str) -> None:
    """Raise ValueError where files that belong together lie in several folders: two copies, or two data sets."""
    folders = sorted({p.parent for p in found})
    if len(folders) > 1:
        raise ValueError(f"{kind} in {len(folders)} folders, {folders[0]} and {folders[1]}: give the one that is meant")


def one_each(images: int, labels: int, where: str) -> None:
    """Raise ValueError unless there is one label per image."""
    if labels != images or not images:
        raise ValueError(f"{where}: {images} images and {labels} labels, but each image needs one label")


def whole_labels(labels: Any, n: int, where: str) -> NDArray[np.int64]:
    """Return labels as int64 (n,). Floats are accepted if each is a whole number; one-hot rows are not accepted.

    Raises
    ------
    ValueError
        There is not one label per image, or a label is not a whole number from 0. The message says which.
    """
    if isinstance(labels, np.ma.MaskedArray):
        raise ValueError(f"{where}: labels are masked: leave those images out")
    a = np.asarray(labels)
    if a.ndim == 2:
        one_hot = a.shape[1] > 1 or (len(a) == 1 and bool(a[0, 0] == 1))  # 1 for one image of one class
        how = "if the rows are one-hot, give labels.argmax(axis=1)" if one_hot else "give labels[:, 0]"
        raise ValueError(f"{where}: labels of shape {a.shape}, but each image needs one label, ({n},): {how}")
    if a.ndim != 1:
        raise ValueError(f"{where}: {n} images, but labels of shape {a.shape}")
    one_each(n, len(a), where)
    if a.dtype.kind in "USO":
        raise ValueError(
            f"{where}: labels are names; convert them to whole numbers with np.unique(labels, return_inverse=True)[1]"
        )
    if a.dtype.kind == "b":
        raise ValueError(f"{where}: labels are bool; convert them to whole numbers with labels.astype(int)")
    if a.dtype.kind not in "iuf":
        raise ValueError(f"{where}: labels are {a.dtype}, but labels must be whole numbers from 0")
    if a.dtype.kind == "f":
        a = a.astype(np.float64)  # the bound below is beyond the range of float16
    wrong = ~((a >= 0) & (a < 2**31) & (a == np.floor(a)))  # NaN is among them
    if wrong.any():
        i, count = int(wrong.argmax()), int(wrong.sum())
        are = "is" if count == 1 else "are"
        raise ValueError(f"{where}: label {i} is {a[i]}, but labels must be whole numbers from 0 ({count} {are} not)")
    return a.astype(np.int64)
