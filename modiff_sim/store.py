"""Results on disk: one folder per result, arrays + rows + manifest, atomic, checksummed, keyed by content.

    DIR/<name>-<key>/arrays.npz      the arrays (written with fixed zip dates: same content, same bytes)
                     rows.json       the tidy rows, if any
                     manifest.json   parameters, seed, versions, sha256 of the other files; written last
                     walltime.json   wall times: outside every checksum
    DIR/<name>.rows.jsonl            the rows of a sweep, one a line (``rowlog``)

The key is a hash of name and parameters (which hold seed, micro-batch size, threads and dtype) and of the versions:
these decide the bytes. A folder without a manifest is an interrupted write and is done again. Everything is written
into a temporary sibling and moved into place, so a kill leaves either the old result or the new one.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
import json
import os
import platform
import re
import shutil
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

FILES = ("arrays.npz", "rows.json")  # what a manifest vouches for
WALLTIME = "walltime.json"  # beside them, and outside of every checksum
KEYED = re.compile(r".+-[0-9a-f]{16}")  # what the folder of a result is called
PART = ".part-"  # an unfinished result: a kill may leave one, it is never read
VERSIONED = ("modiff-sim", "numpy", "scipy", "torch", "diffusers", "scikit-learn", "matplotlib")


class StoreError(RuntimeError):
    """A result on disk is not what its manifest says."""


def versions() -> dict[str, str]:
    """Versions that decide the bytes of a result ("absent" for what is not installed)."""
    return dict(_versions())


@cache  # looking them up takes 15 ms, and every key of every point holds them
def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in VERSIONED:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "absent"
    return found


def plain(value: Any) -> Any:
    """A JSON value for parameters: dataclasses carry their class name, arrays become lists."""
    if is_dataclass(value) and not isinstance(value, type):
        return {"class": type(value).__name__, **{k: plain(v) for k, v in vars(value).items()}}
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)


def canonical(value: Any) -> str:
    """The one JSON text of a value: sorted keys, no NaN."""
    return json.dumps(plain(value), sort_keys=True, ensure_ascii=False, allow_nan=False)


def key(name: str, params: Mapping[str, Any], made_with: Mapping[str, str] | None = None) -> str:
    """Content key: 16 hex digits over name, parameters and versions (default: those of now)."""
    text = canonical({"name": name, "params": params, "versions": made_with or versions()})
    return digest_of(text.encode())[:16]


def sha256(path: Path) -> str:
    """sha256 of a file, in hex."""
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def digest_of(content: bytes) -> str:
    """sha256 of bytes, in hex."""
    return hashlib.sha256(content).hexdigest()


def digest(files: Iterable[Path]) -> str:
    """One sha256 over the contents of several files, in the order given: the source part of a key in a checkout."""
    together = hashlib.sha256()
    for file in files:
        together.update(file.read_bytes())
    return together.hexdigest()


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write a file so that a reader sees the old content or the new, never a part. Makes the parent folder.

    It is on disk when this returns: a row that refers to it may be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as f:
            f.write(content.encode() if isinstance(content, str) else content)
            f.flush()
            os.fsync(f.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
        sync_folder(path.parent)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Have the names of a folder on disk: a file whose content is synced can still lose its name with the power."""
    if os.name != "posix":  # elsewhere a folder cannot be opened
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def npz_bytes(arrays: Mapping[str, np.ndarray]) -> bytes:
    """An .npz whose bytes depend on the arrays alone (np.savez stamps the time into the zip)."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(arrays):
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.asanyarray(arrays[name]), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0)), buffer.getvalue())
    return out.getvalue()


def _json(value: Any) -> str:
    return json.dumps(plain(value), sort_keys=True, indent=1, ensure_ascii=False) + "\n"


@dataclass(frozen=True)
class Stored:
    """A result read back: arrays by name, tidy rows, the manifest, and where it lies."""

    arrays: dict[str, np.ndarray]
    rows: list[dict[str, Any]]
    manifest: dict[str, Any]
    path: Path


class Store:
    """A folder of results. Two processes may share it: whoever finishes a result first wins, the bytes are equal."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)

    def path(self, name: str, params: Mapping[str, Any]) -> Path:
        return self.root / f"{name}-{key(name, params)}"

    def has(self, name: str, params: Mapping[str, Any]) -> bool:
        return (self.path(name, params) / "manifest.json").is_file()

    def save(
        self,
        name: str,
        params: Mapping[str, Any],
        arrays: Mapping[str, np.ndarray] | None = None,
        rows: Sequence[Mapping[str, Any]] = (),
        walltime: float | None = None,
    ) -> Stored:
        """Write a result. An existing one of the same key is left as it is."""
        target = self.path(name, params)
        if not self.has(name, params):
            self.root.mkdir(parents=True, exist_ok=True)
            work = Path(tempfile.mkdtemp(dir=self.root, prefix=PART))
            try:
                write_atomic(work / "arrays.npz", npz_bytes(arrays or {}))
                write_atomic(work / "rows.json", _json(list(rows)))
                sums = {f: sha256(work / f) for f in FILES}
                manifest = {"name": name, "params": params, "versions": versions(), "sha256": sums}
                write_atomic(work / WALLTIME, _json({"seconds": walltime}))
                write_atomic(work / "manifest.json", _json(manifest))
                os.chmod(work, 0o755)
                if target.exists() and not self.has(name, params):
                    shutil.rmtree(target)
                try:
                    os.rename(work, target)
                    sync_folder(self.root)
                except OSError:
                    if not self.has(name, params):
                        raise
            finally:
                shutil.rmtree(work, ignore_errors=True)
        return self.load(name, params)

    def load(self, name: str, params: Mapping[str, Any]) -> Stored:
        """Read a result back, its checksums verified. Raises StoreError where a file was changed or is missing."""
        return read(self.path(name, params))

    def get(self, name: str, params: Mapping[str, Any], compute: Callable[[], Mapping[str, np.ndarray]]) -> Stored:
        """The stored result, computed now if it is not there yet: this is what makes a killed run resumable."""
        if self.has(name, params):
            return self.load(name, params)
        start = time.perf_counter()
        arrays = compute()
        return self.save(name, params, arrays, walltime=time.perf_counter() - start)


def read(path: Path) -> Stored:
    """Read one result folder, verifying every checksum."""
    problems = verify_one(path)
    if problems:
        raise StoreError("; ".join(problems) + ": delete the folder and run again")
    manifest = json.loads((path / "manifest.json").read_text())
    with np.load(path / "arrays.npz", allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    return Stored(arrays, json.loads((path / "rows.json").read_text()), manifest, path)


def verify_one(path: Path) -> list[str]:
    """What is wrong with one result folder; empty if nothing."""
    try:
        manifest = json.loads((path / "manifest.json").read_text())
        loose = manifest.get("kind") == "files"  # of ``write_files``: named by a person, not by a key
        # a file that the manifest of a keyed result forgot is not verified
        sums = {**({} if loose else dict.fromkeys(FILES, "")), **manifest["sha256"]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return [f"{path}: no readable manifest ({type(error).__name__})"]
    wrong = []
    about = (manifest.get("name", ""), manifest.get("params", {}), manifest.get("versions", {}))
    try:
        right = loose or path.name == f"{about[0]}-{key(*about)}"
    except ValueError:  # NaN or Inf among the parameters: no key is ever made of those
        right = False
    if not right:
        wrong.append(f"{path}: name, parameters or versions in the manifest are not those of the folder's key")
    for name, expected in sums.items():
        file = path / name
        if not file.is_file():
            wrong.append(f"{file}: missing")
        elif sha256(file) != expected:
            wrong.append(f"{file}: sha256 differs from the manifest")
    if not loose:
        known = {*sums, "manifest.json", WALLTIME}
        wrong += [f"{file}: unknown to the manifest" for file in sorted(path.iterdir()) if file.name not in known]
    return wrong


def verify(root: str | Path) -> tuple[int, list[str]]:
    """Check every result, every log of rows and every table below a folder: how many were found, and what is wrong.

    Wrong are files that were changed, are missing or are in a result's folder and unknown to its manifest, results
    without a manifest, damaged lines of a log, and rows whose arrays are missing or others.
    """
    from .rowlog import LOG, verify_log  # it stands on this module

    root = Path(root)
    if not root.is_dir():
        raise StoreError(f"{root} is not a folder")
    results = sorted(p.parent for p in root.rglob("manifest.json") if not p.parent.name.startswith(PART))
    logs = sorted(root.rglob(f"*{LOG}"))
    keyed = (p for p in sorted(root.rglob("*")) if KEYED.fullmatch(p.name) and p.is_dir() and not p.is_symlink())
    wrong = [f"{p}: no manifest" for p in keyed if not p.name.startswith(".") and not (p / "manifest.json").is_file()]
    wrong += [problem for path in results for problem in verify_one(path)]
    return len(results) + len(logs), wrong + [problem for path in logs for problem in verify_log(path)]


def write_files(folder: Path, contents: Mapping[str, bytes | str], about: Mapping[str, Any]) -> None:
    """Write files that are no keyed result (tables, images) and ``manifest.json``, last, with their sha256.

    ``about`` says what made them: parameters, seeds, versions. Each file is replaced atomically.
    """
    for name, content in contents.items():
        write_atomic(folder / name, content)
    sums = {name: sha256(folder / name) for name in contents}
    write_atomic(folder / "manifest.json", _json({**about, "kind": "files", "sha256": sums}))
