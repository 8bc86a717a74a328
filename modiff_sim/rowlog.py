"""A log of rows that only grows: one line per finished point, on disk before anything counts as done.

Every line is ``{"key": ..., "row": {...}, "sha256": ...}``, the sum being over the line without it. A line is written
at the end of the file under a lock and fsynced. A kill in the middle leaves a last line without its end: it is not
read, and the next writer cuts it off. Any other damage is an error that names the line; nothing is dropped silently.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from .store import StoreError, canonical

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows: one writer at a time, which nothing checks
    fcntl = None  # type: ignore[assignment]


def _line(key: str, row: Mapping[str, Any]) -> bytes:
    about = {"key": key, "row": dict(row)}
    total = hashlib.sha256(canonical(about).encode()).hexdigest()
    return (canonical(about | {"sha256": total}) + "\n").encode()


class RowLog:
    """The rows of ``path`` by key. Several processes may append to one log; a key is written once."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._rows: dict[str, dict[str, Any]] = {}
        self._read = 0  # bytes that have been read, all of them whole lines
        self._busy = threading.RLock()  # joblib takes tasks, and so asks for rows, in threads of its own

    def rows(self) -> Mapping[str, dict[str, Any]]:
        """key -> row, what others have appended since included. Raises StoreError for a damaged line."""
        with self._busy:
            try:
                with open(self.path, "rb") as file:
                    self._catch_up(file)
            except FileNotFoundError:
                pass
            return dict(self._rows)

    def append(self, key: str, row: Mapping[str, Any]) -> bool:
        """Add a row and sync it to disk; False where the key is there already, which changes nothing.

        Raises:
            OSError: it could not be written (a full disk); the log is then as it was.
            StoreError: the log is damaged.
        """
        line = _line(key, row)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._busy, open(self.path, "a+b", buffering=0) as file, locked(file):
            self._catch_up(file)
            if key in self._rows:
                return False
            file.truncate(self._read)  # a torn line of somebody who was killed
            try:
                if file.write(line) != len(line):
                    raise OSError(f"{self.path}: a row was written in part")
                os.fsync(file.fileno())
            except OSError:
                file.truncate(self._read)
                raise
            self._take(line)
        return True

    def _catch_up(self, file: IO[bytes]) -> None:
        file.seek(self._read)
        whole, newline, _ = file.read().rpartition(b"\n")
        for line in (whole + newline).splitlines(keepends=True):
            self._take(line)

    def _take(self, line: bytes) -> None:
        key, row = parsed(line, f"{self.path}, byte {self._read}")
        self._rows.setdefault(key, row)
        self._read += len(line)


def parsed(line: bytes, where: str) -> tuple[str, dict[str, Any]]:
    """(key, row) of one line. Raises StoreError where its checksum is not that of its content."""
    try:
        about = json.loads(line)
        stated = about.pop("sha256")
        right = stated == hashlib.sha256(canonical(about).encode()).hexdigest()
        key, row = about["key"], about["row"]
    except (ValueError, KeyError, TypeError, AttributeError):
        right = False
    if not right:
        raise StoreError(f"{where}: a damaged row; delete this line and run again, which computes its point once more")
    return key, row


def verify_log(path: Path) -> list[str]:
    """What is wrong with a log, line by line; a torn last line is an interrupted write and nothing wrong."""
    wrong = []
    whole, newline, _ = path.read_bytes().rpartition(b"\n")
    for number, line in enumerate((whole + newline).splitlines(keepends=True), 1):
        try:
            parsed(line, f"{path}, line {number}")
        except StoreError as error:
            wrong.append(str(error))
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

    A claim ends with ``give_up`` or with the process: no claim outlives a kill.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._held: dict[str, IO[bytes]] = {}

    def take(self, key: str) -> bool:
        """Whether the point is ours now; False where another process works on it."""
        if fcntl is None:  # pragma: no cover - Windows
            return True
        self.folder.mkdir(parents=True, exist_ok=True)
        file = open(self.folder / key, "ab")  # noqa: SIM115 - held until it is given up
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        self._held[key] = file
        return True

    def give_up(self, key: str) -> None:
        if (file := self._held.pop(key, None)) is not None:
            Path(file.name).unlink(missing_ok=True)
            file.close()

    def give_up_all(self) -> None:
        for key in list(self._held):
            self.give_up(key)
