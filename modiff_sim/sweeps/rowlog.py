"""A log of rows that only grows: one line per finished point, on disk before anything counts as done.

Every line is ``{"key": ..., "row": {...}, "arrays": ..., "sha256": ...}``: "arrays" is the sha256 of the arrays that
belong to the row ("" for none), "sha256" that of the line without it. A line is written at the end of the file under a
lock and synced. A kill in the middle leaves an incomplete last line: it is not read, and the next writer cuts it off.
Any other damage is an error that names the line; nothing is dropped silently.
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

from .files import digest_of, fcntl, held, is_at, is_regular, locked, sync_folder
from .store import StoreError, canonical

ASIDE = ".aside.jsonl"  # NAME.aside.jsonl beside the log: measurements of its points, outside of every checksum
CLAIMS = ".claims"  # .NAME.claims beside the log: which process works on what


@dataclass(frozen=True)
class Entry:
    """A row, and the sha256 of its arrays.npz ("" where it has none)."""

    row: dict[str, Any]
    arrays: str = ""


def line_of(key: str, entry: Entry) -> bytes:
    """Return the line of a row, including its end. Raises ValueError for NaN or Inf, which JSON does not have."""
    return _summed({"key": key, "row": entry.row, "arrays": entry.arrays})


def _summed(about: Mapping[str, Any]) -> bytes:
    total = digest_of(canonical(about).encode())
    return (canonical({**about, "sha256": total}) + "\n").encode()


def parsed(line: bytes, where: str) -> tuple[str, Entry]:
    """Return the key and the entry of a line. Raises StoreError unless it is a line as it was written."""
    try:
        about = json.loads(line)
        key, entry = about["key"], Entry(about["row"], about["arrays"])
        right = line == line_of(key, entry)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        right = False
    if not right:
        raise StoreError(f"{where}: a damaged row; delete this line and run again, which computes its point once more")
    return key, entry


class RowLog:
    """The entries of ``path`` by key. Several processes may append to one log, and threads may share this object.

    A log that was deleted, replaced or shortened since it was read is read again: only what is in it now counts.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._mine = threading.RLock()
        self._forget()

    def _forget(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._read = 0  # bytes that have been read, all of them whole lines
        self._lines = 0
        self._last = b""  # the last of these lines
        self._file: tuple[int, int] | None = None  # which file they were read from

    def entries(self) -> Mapping[str, Entry]:
        """Return the entries by key, with those that others have appended. Raises StoreError for a damaged line."""
        with self._mine:
            try:
                with open(self.path, "rb") as file:
                    self._catch_up(file)
            except FileNotFoundError:
                self._forget()
            return self._entries

    def anew(self) -> Mapping[str, Entry]:
        """Return the entries by key, all read again, because the part that was read may have been edited."""
        with self._mine:
            self._forget()
            return self.entries()

    def append(self, key: str, entry: Entry) -> None:
        """Add a row and sync it to disk. An existing equal row is left as it is.

        Raises
        ------
        OSError
            The row could not be written, for example because the disk is full. The log is then as it was.
        StoreError
            The log is damaged, or has another row under this key.
        ValueError
            The row has NaN or Inf.
        """
        line = line_of(key, entry)
        with self._mine, self._writing() as file:
            self._catch_up(file)
            if key in self._entries:
                if line_of(key, self._entries[key]) != line:
                    raise StoreError(
                        f"{self.path}: point {key} gave another row before: its parameters do not decide it"
                    )
                return
            new = self._read == 0
            _shorten(file, self._read)  # cut off the torn line of a killed writer
            try:
                _write(file, line)
                os.fsync(file.fileno())
            except OSError:
                _shorten(file, self._read)
                raise
            self._take(line)
        if new:
            sync_folder(self.path.parent)

    @contextmanager
    def _writing(self) -> Iterator[IO[bytes]]:
        """The log, open and locked; created if missing, and again if it was deleted during the wait for its lock."""
        while True:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(self.path, "a+b", buffering=0) as file, locked(file):
                if is_at(file.fileno(), self.path):
                    yield file
                    return

    def _catch_up(self, file: IO[bytes]) -> None:
        about = os.fstat(file.fileno())
        if self._file != (about.st_dev, about.st_ino):
            self._forget()
            self._file = (about.st_dev, about.st_ino)
        file.seek(self._read - len(self._last))
        content = file.read()
        if not content.startswith(self._last):  # shorter than it was, or with other lines
            self._forget()
            return self._catch_up(file)
        for line in whole_lines(content[len(self._last) :]):
            self._take(line)
        return None

    def _take(self, line: bytes) -> None:
        key, entry = parsed(line, f"{self.path}, line {self._lines + 1}")
        if self._entries.setdefault(key, entry) != entry:
            raise StoreError(f"{self.path}, line {self._lines + 1}: a second, other row of point {key}; delete one")
        self._read += len(line)
        self._lines += 1
        self._last = line


def _shorten(file: IO[bytes], size: int) -> None:
    """Cut a file to this size, but never lengthen it: a file that was cut in the meantime would be filled with NULs."""
    if os.fstat(file.fileno()).st_size > size:
        file.truncate(size)


def _write(file: IO[bytes], line: bytes) -> None:
    """Write all of the line: in one call, unless the disk takes only a part; the next call then says why."""
    while line:
        line = line[file.write(line) :]


def whole_lines(content: bytes) -> list[bytes]:
    """Return the complete lines, those that have an end."""
    return [line + b"\n" for line in content.split(b"\n")[:-1]]


def noted(path: Path) -> dict[str, dict[str, float]]:
    """Return the numbers by key in a file NAME.aside.jsonl. Damaged lines are left out, as nothing depends on them."""
    found = {}
    for line in whole_lines(path.read_bytes()) if is_regular(path) else []:
        try:
            about = json.loads(line)
            del about["sha256"]
            right = line == _summed(about)
            key = about.pop("key")
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
        if right:
            found[key] = about
    return found


def add_aside(path: Path, key: str, numbers: Mapping[str, float]) -> None:
    """Append what was measured of a point, on a new line even after a torn one. Raises ValueError for NaN or Inf."""
    with open(path, "a+b", buffering=0) as file:
        if end := file.seek(0, os.SEEK_END):
            file.seek(end - 1)
        whole = file.read() in (b"", b"\n")
        _write(file, (b"" if whole else b"\n") + _summed({**numbers, "key": key}))


class Claims:
    """The points that this process is working on, visible to every process on the folder: a locked file per point.

    A claim ends with ``give_up`` or with the process, so that no claim outlives a kill. Claims only save work.
    Where none can be had (a full disk, a file system without locks) a point may be computed twice, and its row is
    still written once.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._held: dict[str, IO[bytes]] = {}

    def take(self, key: str) -> bool:
        """Claim a point; False where another process works on it."""
        if fcntl is None:  # pragma: no cover - Windows
            return True
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            file = open(self.folder / key, "ab")  # noqa: SIM115 - held until it is given up
        except OSError:
            return True
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(file.fileno()).st_nlink == 0:  # the holder finished between the two calls above
                raise BlockingIOError
        except BlockingIOError:
            file.close()
            return False
        except OSError:
            file.close()
            return True
        self._held[key] = file
        held.add(file)
        return True

    def clear(self) -> None:
        """Remove the claims that killed processes left."""
        for path in sorted(self.folder.iterdir()) if self.folder.is_dir() else []:
            if self.take(path.name):
                self.give_up(path.name)

    def held(self) -> list[str]:
        """The keys that this process has claimed."""
        return list(self._held)

    def give_up(self, key: str) -> None:
        """End the claim of a point."""
        file = self._held.pop(key, None)
        if file is not None and not file.closed:  # closed in a forked child, whose parent has it
            held.discard(file)
            Path(file.name).unlink(missing_ok=True)
            file.close()

    def give_up_all(self) -> None:
        """End all claims of this process."""
        for key in list(self._held):
            self.give_up(key)
