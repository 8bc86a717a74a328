"""A log of rows that only grows: one line per finished point, on disk before anything counts as done.

Every line is ``{"key": ..., "row": {...}, "arrays": ..., "sha256": ...}``: "arrays" is the sha256 of the arrays that
belong to the row ("" for none), "sha256" that of the line without it. A line is written at the end of the file under a
lock and synced. A kill in the middle leaves a last line without its end: it is not read, and the next writer cuts it
off. Any other damage is an error that names the line; nothing is dropped silently.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from .store import StoreError, canonical, digest_of, sync_folder

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows: one writer at a time, which nothing checks
    fcntl = None  # type: ignore[assignment]

LOG = ".rows.jsonl"  # a log is called NAME.rows.jsonl


@dataclass(frozen=True)
class Entry:
    """A row, and the sha256 of its arrays.npz ("" where it has none)."""

    row: dict[str, Any]
    arrays: str = ""


def line_of(key: str, entry: Entry) -> bytes:
    """The line of a row, its end included. Raises ValueError for NaN or Inf, which are no JSON."""
    about = {"key": key, "row": entry.row, "arrays": entry.arrays}
    total = digest_of(canonical(about).encode())
    return (canonical(about | {"sha256": total}) + "\n").encode()


def parsed(line: bytes, where: str) -> tuple[str, Entry]:
    """(key, entry) of one line. Raises StoreError where its checksum is not that of its content."""
    try:
        about = json.loads(line)
        stated = about.pop("sha256")
        right = stated == digest_of(canonical(about).encode())
        key, entry = about["key"], Entry(about["row"], about["arrays"])
    except (ValueError, KeyError, TypeError, AttributeError):
        right = False
    if not right:
        raise StoreError(f"{where}: a damaged row; delete this line and run again, which computes its point once more")
    return key, entry


class RowLog:
    """The entries of ``path`` by key. Several processes may append to one log, and threads may share this object."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._entries: dict[str, Entry] = {}
        self._read = 0  # bytes that have been read, all of them whole lines
        self._lines = 0
        self._mine = threading.RLock()

    def entries(self) -> Mapping[str, Entry]:
        """key -> entry, what others have appended since included. Raises StoreError for a damaged line."""
        with self._mine:
            try:
                with open(self.path, "rb") as file:
                    self._catch_up(file)
            except FileNotFoundError:
                pass
            return self._entries

    def append(self, key: str, entry: Entry) -> None:
        """Add a row and sync it to disk. A row that is there already is left as it is.

        Raises:
            OSError: it could not be written (a full disk); the log is then as it was.
            StoreError: the log is damaged, or has another row under this key.
            ValueError: NaN or Inf in the row.
        """
        line = line_of(key, entry)
        new = not self.path.exists()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._mine, open(self.path, "a+b", buffering=0) as file, locked(file):
            self._catch_up(file)
            if key in self._entries:
                if line_of(key, self._entries[key]) != line:
                    raise StoreError(
                        f"{self.path}: point {key} gave another row before: its parameters do not decide it"
                    )
                return
            file.truncate(self._read)  # a torn line of somebody who was killed
            try:
                _write(file, line)
                os.fsync(file.fileno())
            except OSError:
                file.truncate(self._read)
                raise
            self._take(line)
        if new:
            sync_folder(self.path.parent)

    def _catch_up(self, file: IO[bytes]) -> None:
        file.seek(self._read)
        for line in _whole_lines(file.read()):
            self._take(line)

    def _take(self, line: bytes) -> None:
        key, entry = parsed(line, f"{self.path}, line {self._lines + 1}")
        self._entries.setdefault(key, entry)
        self._read += len(line)
        self._lines += 1


def _write(file: IO[bytes], line: bytes) -> None:
    """All of it: one call, unless the disk takes a part only, and then the next call says why."""
    while line:
        line = line[file.write(line) :]


def _whole_lines(content: bytes) -> list[bytes]:
    """The lines that have an end."""
    return [line + b"\n" for line in content.split(b"\n")[:-1]]


def verify_log(path: Path) -> list[str]:
    """What is wrong with the log NAME.rows.jsonl: damaged lines, and arrays (NAME-key/arrays.npz) that are missing or
    others. A torn last line is an interrupted write and nothing wrong."""
    wrong, name = [], path.name.removesuffix(LOG)
    for number, line in enumerate(_whole_lines(path.read_bytes()), 1):
        try:
            key, entry = parsed(line, f"{path}, line {number}")
        except StoreError as error:
            wrong.append(str(error))
            continue
        if entry.arrays:
            manifest = path.parent / f"{name}-{key}" / "manifest.json"
            try:
                stated = json.loads(manifest.read_text())["sha256"]["arrays.npz"]
            except (OSError, ValueError, KeyError, TypeError):
                stated = None
            if stated != entry.arrays:
                wrong.append(f"{path}, line {number}: its arrays in {manifest.parent} are missing or are others")
    return wrong


@contextmanager
def locked(file: IO[bytes]) -> Iterator[None]:
    """Hold the lock of an open file; the system gives it back when its holder dies."""
    if fcntl is None:  # pragma: no cover - Windows
        yield
        return
    fcntl.flock(file, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)


class Claims:
    """Which points this process is working on, as seen by every process on the folder: a locked file per point.

    A claim ends with ``give_up`` or with the process, so that no claim outlives a kill. Claims save work and nothing
    else: where none can be had (a full disk, a file system without locks) a point may be computed twice, and its row is
    still written once.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._held: dict[str, IO[bytes]] = {}

    def take(self, key: str) -> bool:
        """Whether the point is ours now; False where another process works on it."""
        if fcntl is None:  # pragma: no cover - Windows
            return True
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            file = open(self.folder / key, "ab")  # noqa: SIM115 - held until it is given up
        except OSError:
            return True
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(file.fileno()).st_nlink == 0:  # its holder finished between our two calls
                raise BlockingIOError
        except BlockingIOError:
            file.close()
            return False
        except OSError:
            file.close()
            return True
        self._held[key] = file
        return True

    def held(self) -> list[str]:
        return list(self._held)

    def give_up(self, key: str) -> None:
        if (file := self._held.pop(key, None)) is not None:
            Path(file.name).unlink(missing_ok=True)
            file.close()

    def give_up_all(self) -> None:
        for key in list(self._held):
            self.give_up(key)
