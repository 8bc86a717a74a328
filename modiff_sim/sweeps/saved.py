"""Objects that people keep: a folder of one object, with its arrays, and a manifest that says what it is.

    DIR/arrays.npz       the arrays
        manifest.json    the class, what is to be said of it, versions, sha256 of the arrays and of itself

The files are those of ``store.write_files``, so that ``modiff-sim verify DIR`` checks them as well.

The folder is made beside DIR as .part-NAME-RANDOM, and moved to its place when it is complete and on disk. No call of
POSIX replaces one folder that holds files by another, so an older one is moved aside first, to .NAME.replaced-RANDOM,
and removed in the end. A kill leaves the old object or the new one: in DIR, or, between the two moves, the old one
aside, where ``load`` finds it and from where the next ``save`` puts it back. What else a kill leaves is removed by a
save into DIR an hour later.
"""

from __future__ import annotations

import errno
import glob
import math
import os
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from .encoding import npz_bytes, plain, versions
from .files import ABANDONED, PART_OF_FILE, remove_abandoned, sync_folder, temporary_folder
from .store import PART, StoreError, manifest_of, verify_one, write_files

Found = TypeVar("Found")
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
        Where the path is that of a file, or of a folder that holds something else, such as arrays without a manifest;
        and where ``about`` holds NaN or Inf, which is named. What was there stays then.

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
    given, folder = Path(path), Path(os.path.realpath(path))  # of a link, what it leads to is replaced
    if given.suffix == ".npz":
        raise ValueError(f"{given}: save writes a folder, with the arrays and a manifest: give a name without .npz")
    if _is_a_file(folder):
        raise ValueError(f"{given} is a file: save writes a folder, give another name")
    if wrong := next(_not_finite(plain(about)), ""):
        raise ValueError(f"{wrong}, which a manifest cannot hold (NaN and Inf): give it as text, or leave it out")
    content, mode = npz_bytes(arrays), 0o755
    folder.parent.mkdir(parents=True, exist_ok=True)
    _put_back(folder)
    if why := _steady(lambda: folder, lambda here: _occupied(here, kind) if here.is_dir() else ""):
        raise ValueError(f"{given} {why}: save into another folder")
    remove_abandoned(folder.parent, _begun(folder))
    with temporary_folder(folder.parent, _begun(folder)) as work:
        write_files(work, {ARRAYS: content}, {"object": kind, "about": about, "versions": versions()})
        with suppress(FileNotFoundError):  # there is none yet
            mode = _steady(lambda: _found(folder), lambda here: stat.S_IMODE(here.stat().st_mode))
        work.chmod(mode)
        _replace(work, folder)


def load(path: str | Path, kind: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read an object of this kind back: its arrays, and what else it consists of.

    Raises FileNotFoundError where there is no such folder, and StoreError, which says what is wrong, where the files
    are damaged, or of another object.
    """
    return _steady(lambda: _found(Path(path)), lambda here: _read(here, kind))


def same_names(kind: str, what: str, found: Collection[str], wanted: Collection[str]) -> None:
    """Raise StoreError, which says what differs, unless these names of a saved object are those of this version."""
    differ = {"lacks": sorted({*wanted} - {*found}), "has": sorted({*found} - {*wanted})}
    if said := [f"{verb} {', '.join(map(repr, names))}" for verb, names in differ.items() if names]:
        extra = ", unknown here" if differ["has"] else ""
        raise StoreError(f"this {kind} is of another version of modiff-sim: {what} {' and '.join(said)}{extra}")


def _read(folder: Path, kind: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    if problems := verify_one(folder):
        raise StoreError(f"this is no {kind} as it was saved: {'; '.join(problems)}")
    manifest = manifest_of(folder)
    if manifest.get("object") != kind or ARRAYS not in manifest["sha256"] or "about" not in manifest:
        raise StoreError(f"{folder}: it holds {_what(manifest)}, and not a {kind}")
    with np.load(folder / ARRAYS, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}, manifest["about"]


def _is_a_file(path: Path) -> bool:
    """Whether something is there that is not a folder, by one look: a folder may be moved aside between two."""
    try:
        return not stat.S_ISDIR(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def _not_finite(value: Any, place: str = "") -> Iterator[str]:
    """Yield what is NaN or Inf in a JSON value, as in "process_params.scale is inf"."""
    if isinstance(value, dict | list):
        for name, each in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _not_finite(each, f"{place}.{name}" if place else str(name))
    elif isinstance(value, float) and not math.isfinite(value):
        yield f"{place} is {value}"


def _replace(work: Path, folder: Path) -> None:
    """Move a complete folder to where another one may be, which is moved aside first and removed afterwards.

    Two savers at once move whole folders only, so that the last one stays.
    """
    aside: list[Path] = []
    try:
        while True:
            try:
                os.rename(work, folder)
                break
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
            with suppress(FileNotFoundError):  # another saver has moved it aside
                os.utime(folder)  # it counts as abandoned an hour from now
                place = folder.parent / f"{_beside(folder)}{secrets.token_hex(4)}"
                os.rename(folder, place)
                aside.append(place)
        sync_folder(folder.parent)
    except BaseException:
        _put_back(folder)
        raise
    for old in _asides(folder):
        with suppress(OSError):  # another saver removes it
            if old in aside or old.stat().st_mtime < time.time() - ABANDONED:
                gone = folder.parent / f"{_begun(folder)}{secrets.token_hex(4)}"
                os.rename(old, gone)  # what is aside is always whole
                shutil.rmtree(gone)


def _begun(folder: Path) -> str:
    """Return how the names begin under which an object is written, and removed."""
    return f"{PART}{folder.name}-"


def _beside(folder: Path) -> str:
    """Return how the names begin under which an object is aside while it is replaced."""
    return f".{folder.name}.replaced-"


def _asides(folder: Path) -> list[Path]:
    """Return what was moved aside for objects in this folder, the last one at the end."""
    found = []
    for path in folder.parent.glob(f"{glob.escape(_beside(folder))}????????"):
        with suppress(FileNotFoundError):  # it has been removed
            found.append((path.stat().st_mtime_ns, path))
    return [path for _, path in sorted(found)]


def _found(folder: Path) -> Path:
    """Return where an object is: in its folder, or aside. Raises FileNotFoundError where it is in neither."""
    for _ in range(5):  # it may move while it is looked for
        if folder.exists():
            return folder
        if aside := _asides(Path(os.path.realpath(folder))):
            return aside[-1]
    raise FileNotFoundError(f"{folder}: there is no such folder")


def _put_back(folder: Path) -> None:
    """Move an object back that was moved aside, where none has taken its place."""
    if not folder.exists() and (aside := _asides(folder)):
        with suppress(OSError):  # another process did
            os.rename(aside[-1], folder)


def _steady(where: Callable[[], Path], read: Callable[[Path], Found]) -> Found:
    """Return what is read of the folder that ``where`` finds, once it is not replaced meanwhile.

    An error counts only where the folder was there before and after: one that was aside may go at any time.
    """
    while True:
        before = _identity(here := where())
        try:
            found = read(here)
        except Exception:
            if before is not None and _identity(here) == before:
                raise
        else:
            if _identity(here) == before:
                return found


def _identity(folder: Path) -> tuple[int, ...] | None:
    """Return what tells a folder from one that replaces it; None where there is none."""
    try:
        about = folder.stat()
    except OSError:
        return None
    return about.st_dev, about.st_ino, about.st_ctime_ns, about.st_mtime_ns


def _occupied(folder: Path, kind: str) -> str:
    """Return what stands in the way of an object of this kind in a folder; "" if nothing does."""
    with suppress(FileNotFoundError):  # the current folder may have been removed
        if os.path.samefile(folder, os.curdir):
            return "is the current folder, which cannot be replaced"
    there = {file.name for file in folder.iterdir() if PART_OF_FILE not in file.name}
    if others := there - {ARRAYS, MANIFEST}:
        return f"holds other files, such as {min(others)!r}"
    if MANIFEST in there:
        try:
            manifest = manifest_of(folder)
        except (OSError, ValueError):
            return "holds a manifest that cannot be read"
        return "" if manifest.get("object") == kind else f"holds {_what(manifest)}"
    if there:
        return f"holds {ARRAYS!r} without a manifest, which save has not written"
    return ""


def _what(manifest: Mapping[str, Any]) -> str:
    """Return what a manifest says that the folder holds."""
    if "object" in manifest:
        return f"a {manifest['object']}"
    return "files of another kind" if "kind" in manifest else f"the result {manifest.get('name')!r} of a store"
