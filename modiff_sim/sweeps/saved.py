"""Objects that people keep: a folder of one object, with its arrays, and a manifest that says what it is.

    DIR/arrays.npz       the arrays
        manifest.json    the class, what is to be said of it, versions, sha256 of the arrays and of itself

The files are those of ``store.write_files``, so that ``modiff-sim verify DIR`` checks them as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .encoding import npz_bytes, versions
from .files import PART_OF_FILE
from .store import StoreError, manifest_of, verify_one, write_files

ARRAYS, MANIFEST = "arrays.npz", "manifest.json"


def save(path: str | Path, kind: str, arrays: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> None:
    """Write an object of this kind into a folder, which is made; an older object of the same kind is replaced.

    Parameters
    ----------
    path : str or Path
        The folder.
    kind : str
        The name of the object's class.
    arrays : mapping of str to numpy.ndarray
        Its arrays.
    about : mapping
        What else it consists of, as JSON has it (``encoding.plain``).

    Raises
    ------
    ValueError
        Where the path is that of a file, or of a folder that holds something else.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from modiff_sim.sweeps.saved import load, save
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(f"{folder}/box", "Box", {"a": np.ones(3)}, {"size": 3})
    ...     arrays, about = load(f"{folder}/box", "Box")
    >>> arrays["a"], about
    (array([1., 1., 1.]), {'size': 3})
    """
    folder = Path(path)
    if folder.suffix == ".npz":
        raise ValueError(f"{folder}: save writes a folder, with the arrays and a manifest: give a name without .npz")
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file: save writes a folder, give another name")
    if folder.is_dir() and (why := _occupied(folder, kind)):
        raise ValueError(f"{folder} {why}: save into another folder")
    write_files(folder, {ARRAYS: npz_bytes(arrays)}, {"object": kind, "about": about, "versions": versions()})


def load(path: str | Path, kind: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read an object of this kind back: its arrays, and what else it consists of.

    Raises FileNotFoundError where there is no such folder, and StoreError, which says what is wrong, where the files
    are damaged, or of another object.
    """
    folder = Path(path)
    if not folder.exists():
        raise FileNotFoundError(f"{folder}: there is no such folder")
    if problems := verify_one(folder):
        raise StoreError(f"this is no {kind} as it was saved: {'; '.join(problems)}")
    manifest = manifest_of(folder)
    if manifest.get("object") != kind or ARRAYS not in manifest["sha256"] or "about" not in manifest:
        raise StoreError(f"{folder}: it holds {_what(manifest)}, and not a {kind}")
    with np.load(folder / ARRAYS, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}, manifest["about"]


def _occupied(folder: Path, kind: str) -> str:
    """Return what stands in the way of an object of this kind in a folder; "" if nothing does."""
    others = {file.name for file in folder.iterdir() if PART_OF_FILE not in file.name} - {ARRAYS, MANIFEST}
    if others:
        return f"holds other files, such as {min(others)!r}"
    if (folder / MANIFEST).exists():
        try:
            manifest = manifest_of(folder)
        except (OSError, ValueError):
            return "holds a manifest that cannot be read"
        return "" if manifest.get("object") == kind else f"holds {_what(manifest)}"
    return ""


def _what(manifest: Mapping[str, Any]) -> str:
    """Return what a manifest says that the folder holds."""
    if "object" in manifest:
        return f"a {manifest['object']}"
    return "files of another kind" if "kind" in manifest else f"the result {manifest.get('name')!r} of a store"
