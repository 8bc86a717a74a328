"""Results on disk: one folder per result, arrays + rows + manifest, atomic, checksummed, keyed by content.

    DIR/<name>-<key>/arrays.npz      the arrays (written with fixed zip dates: same content, same bytes)
                     rows.json       the tidy rows, if any
                     manifest.json   parameters, seed, versions, sha256 of the other files; written last
                     walltime.json   wall times: outside every checksum
    DIR/<name>.rows.jsonl            the rows of a sweep, one a line (``rowlog``)

The key is a hash of name, parameters (with seed, micro-batch size, threads and dtype) and versions, which decide the
bytes. A folder without a manifest is an interrupted write and is done again. Everything is written into a temporary
sibling and moved into place, so that a kill leaves either the old result or the new one. The manifest of files that are
not a keyed result (``write_files``) holds a sha256 of itself, because no key protects what it says.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .encoding import canonical, is_plain_name, npz_bytes, plain, versions
from .files import digest, digest_of, is_regular, remove_abandoned, sha256, sync_folder, temporary_folder, write_atomic

__all__ = [
    "Store", "StoreError", "StoredResult", "canonical", "digest", "digest_of", "key", "npz_bytes", "plain", "read",
    "sha256", "verify_one", "versions", "write_atomic", "write_files",
]  # fmt: skip

FILES = ("arrays.npz", "rows.json")  # the files of a keyed result whose sha256 the manifest holds
LOG = ".rows.jsonl"  # the log of the sweep NAME is called NAME.rows.jsonl
WALLTIME = "walltime.json"  # lies beside them, outside of every checksum
KEYED = re.compile(r".+-[0-9a-f]{16}")  # the name of the folder of a result
PART = ".part-"  # an unfinished result: never read, and removed by a run an hour later if a kill has left it
SELF = "manifest_sha256"  # the sha256 of a manifest's other entries, where no key protects them
LARGEST_MANIFEST = 2**26  # bytes: a larger file is not a manifest and is not read into memory


class StoreError(RuntimeError):
    """A result on disk is not what its manifest says."""


def key(name: str, params: Mapping[str, Any], made_with: Mapping[str, str] | None = None) -> str:
    """Return the content key of a result: 16 hex digits over name, parameters and versions.

    Parameters
    ----------
    name : str
        The name of the result.
    params : mapping
        Its parameters, as ``content.plain`` takes them.
    made_with : mapping of str to str, optional
        Versions; by default those of this process.

    Examples
    --------
    >>> from modiff_sim import sweeps
    >>> sweeps.key("cells", {"seed": 0}, {"numpy": "2.0"}) == sweeps.key("cells", {"seed": 1}, {"numpy": "2.0"})
    False
    """
    text = canonical({"name": name, "params": params, "versions": versions() if made_with is None else made_with})
    return digest_of(text.encode())[:16]


def _json(value: Any) -> str:
    return json.dumps(plain(value), sort_keys=True, indent=1, ensure_ascii=False) + "\n"


@dataclass(frozen=True)
class StoredResult:
    """A result read back: arrays by name, tidy rows, the manifest, and the path of its folder."""

    arrays: dict[str, np.ndarray]
    rows: list[dict[str, Any]]
    manifest: dict[str, Any]
    path: Path


class Store:
    """A folder of results. Two processes may share it: the first to finish a result writes it, and the bytes are equal.

    Parameters
    ----------
    root : str or Path
        The folder, made when something is saved.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from modiff_sim import sweeps
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = sweeps.Store(folder)
    ...     found = store.get("ones", {"d": 3}, lambda: {"a": np.ones(3)})
    ...     found.arrays["a"], store.has("ones", {"d": 3}), store.has("ones", {"d": 4})
    (array([1., 1., 1.]), True, False)
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self._cleaned = False

    def clean(self) -> None:
        """Remove unfinished results whose writers were killed, once per object (``files.remove_abandoned``)."""
        if not self._cleaned and self.root.is_dir():
            remove_abandoned(self.root, PART)
            self._cleaned = True

    def path(self, name: str, params: Mapping[str, Any]) -> Path:
        """Return the folder of a result, which need not exist. Raises ValueError for a name that is not a file name."""
        folder = f"{name}-{key(name, params)}"
        if not name or not is_plain_name(folder) or folder.startswith(PART):
            raise ValueError(f"the name of a result becomes that of a folder: letters, digits, _ . and -, got {name!r}")
        return self.root / folder

    def has(self, name: str, params: Mapping[str, Any]) -> bool:
        """Whether there is such a result, complete with its manifest."""
        return (self.path(name, params) / "manifest.json").is_file()

    def save(
        self,
        name: str,
        params: Mapping[str, Any],
        arrays: Mapping[str, np.ndarray] | None = None,
        rows: Sequence[Mapping[str, Any]] = (),
        walltime: float | None = None,
        *,
        swept: bool = False,
    ) -> StoredResult:
        """Write a result. An existing one of the same key is left as it is. ``swept``: it belongs to a sweep.

        Raises ValueError for a name that is not a file name, or that of a sweep in this folder unless it is ``swept``.
        """
        target = self.path(name, params)
        if not self.has(name, params):
            self._free(name, swept)
            contents: tuple[bytes | str, ...] = (npz_bytes(arrays or {}), _json(list(rows)))
            self.root.mkdir(parents=True, exist_ok=True)
            self.clean()
            with temporary_folder(self.root, PART) as work:
                for file, content in zip(FILES, contents, strict=True):
                    write_atomic(work / file, content)
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
        return self.load(name, params)

    def _free(self, name: str, swept: bool = False) -> None:
        if not swept and (log := self.root / f"{name}{LOG}").exists():
            raise ValueError(f"{name!r} is the name of a sweep, whose rows are in {log}: give the result another name")

    def load(self, name: str, params: Mapping[str, Any]) -> StoredResult:
        """Read a result back and verify its checksums. Raises StoreError where a file was changed or is missing."""
        return read(self.path(name, params))

    def get(
        self, name: str, params: Mapping[str, Any], compute: Callable[[], Mapping[str, np.ndarray]]
    ) -> StoredResult:
        """Return the stored result, which is computed now if it is missing, so that a killed run can go on."""
        if self.has(name, params):
            return self.load(name, params)
        self._free(name)
        start = time.perf_counter()
        arrays = compute()
        return self.save(name, params, arrays, walltime=time.perf_counter() - start)


def read(path: Path) -> StoredResult:
    """Read one result folder and verify every checksum. Raises StoreError where one is wrong."""
    problems = verify_one(path)
    if problems:
        raise StoreError("; ".join(problems) + ": delete the folder and run again")
    with np.load(path / "arrays.npz", allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    return StoredResult(arrays, json.loads((path / "rows.json").read_text(encoding="utf-8")), manifest_of(path), path)


def manifest_of(path: Path) -> dict[str, Any]:
    """Return the manifest of a result folder. Raises ValueError where it is missing or not a valid manifest."""
    file = path / "manifest.json"
    if not is_regular(file):
        raise ValueError("it is missing or not a file")
    if file.stat().st_size > LARGEST_MANIFEST:
        raise ValueError("it is too large for a manifest")
    try:
        about = json.loads(file.read_text(encoding="utf-8"), object_pairs_hook=_once)
    except RecursionError as error:
        raise ValueError("it is too deeply nested") from error
    sums = about.get("sha256") if isinstance(about, dict) else None
    if not isinstance(sums, dict) or not all(isinstance(value, str) for value in sums.values()):
        raise ValueError("it does not hold the sha256 of files")
    return about


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object. Raises ValueError where a name occurs twice, as only one of its values would be read."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name occurs twice in it")
    return found


def verify_one(path: Path) -> list[str]:
    """Return what is wrong with one result folder, as sentences; empty if nothing is."""
    try:
        manifest = manifest_of(path)
    except (OSError, ValueError) as error:
        return [f"{path}: no readable manifest ({type(error).__name__}: {error})"]
    if (kind := manifest.get("kind")) is None:
        wrong = _keyed_manifest(path, manifest)
    elif kind == "files":  # of ``write_files``: named by a person, not by a key
        wrong = _own_sum(path, manifest)
    else:
        return [f"{path}: a manifest of the unknown kind {kind!r}"]
    # a file that the manifest of a keyed result forgot is not verified
    sums = ({} if kind else dict.fromkeys(FILES, "")) | manifest["sha256"]
    for name, expected in sums.items():
        file = path / name
        if not is_plain_name(name):
            wrong.append(f"{path}: the manifest names {name!r}, which is not a file of this folder")
        elif not is_regular(file):
            wrong.append(f"{file}: {'not a file' if os.path.lexists(file) else 'missing'}")
        elif sha256(file) != expected:
            wrong.append(f"{file}: sha256 differs from the manifest")
    if not kind:
        known = {*sums, "manifest.json", WALLTIME}
        wrong += [f"{file}: unknown to the manifest" for file in sorted(path.iterdir()) if file.name not in known]
    return wrong


def _keyed_manifest(path: Path, manifest: dict[str, Any]) -> list[str]:
    """Return what is wrong with the manifest of a keyed result.

    Name, parameters and versions are protected by the name of the folder, and the sums by the files.
    """
    about = (manifest.get("name", ""), manifest.get("params", {}), manifest.get("versions", {}))
    try:
        right = path.name == f"{about[0]}-{key(*about)}"
    except (ValueError, RecursionError):  # NaN or Inf among the parameters, from which a key is never made
        right = False
    wrong = []
    if not right:
        wrong.append(f"{path}: name, parameters or versions in the manifest are not those of the folder's key")
    if more := sorted(manifest.keys() - {"name", "params", "versions", "sha256"}):
        wrong.append(f"{path}: the manifest holds {', '.join(more)}, which no checksum covers")
    return wrong


def _own_sum(path: Path, manifest: dict[str, Any]) -> list[str]:
    about = {k: v for k, v in manifest.items() if k != SELF}
    if SELF not in manifest:
        return [f"{path}: the manifest has no {SELF}, so that no checksum covers what it says: make the files again"]
    if manifest[SELF] != digest_of(canonical(about).encode()):
        return [f"{path}: the manifest was changed: its {SELF} is not that of its content"]
    return []


def write_files(folder: Path, contents: Mapping[str, bytes | str], about: Mapping[str, Any]) -> None:
    """Write files that are not a keyed result (tables, images), then ``manifest.json`` with their sha256 and its own.

    ``about`` says what made them: parameters, seeds, versions. Each file is replaced atomically. Other files in the
    folder whose sha256 an earlier manifest holds stay in the manifest. Before a file is touched, ValueError is raised
    for a name that is not a plain file name, and ValueError or TypeError for what a manifest cannot hold (``plain``,
    and NaN and Inf).
    """
    if wrong := [name for name in contents if not is_plain_name(name)]:
        raise ValueError(f"files of one folder have plain names, got {wrong[0]!r}")
    files = {name: content.encode() if isinstance(content, str) else content for name, content in contents.items()}
    sums = _still_right(folder) | {name: digest_of(content) for name, content in files.items()}
    manifest = plain({k: v for k, v in about.items() if k != SELF} | {"kind": "files", "sha256": sums})
    said = _json(manifest | {SELF: digest_of(canonical(manifest).encode())})
    for name, content in files.items():
        write_atomic(folder / name, content)
    write_atomic(folder / "manifest.json", said)


def _still_right(folder: Path) -> dict[str, str]:
    """Return the sums of an earlier manifest of files in this folder, for those files that are unchanged."""
    try:
        about = manifest_of(folder)
    except (OSError, ValueError):
        return {}
    if about.get("kind") != "files" or _own_sum(folder, about):
        return {}
    files = ((name, folder / name) for name in about["sha256"] if is_plain_name(name))
    return {n: about["sha256"][n] for n, file in files if is_regular(file) and sha256(file) == about["sha256"][n]}
