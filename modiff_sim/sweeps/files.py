"""Files that are written whole or not at all, locks that end with their process, and the removal of abandoned files."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import stat
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO
from weakref import WeakSet

from ..console import complain

try:
    import fcntl as fcntl
except ImportError:  # pragma: no cover - Windows: only one process may write at a time, which is not checked
    fcntl = None  # type: ignore[assignment]

PART_OF_FILE = ".part-"  # .NAME.part-RANDOM is written before it becomes NAME
NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)  # errors of a file system without locks, which is not waited for
ABANDONED = 3600.0  # seconds without a change after which an unlocked temporary file counts as abandoned
SILENT = 1.0  # seconds of waiting for a lock after which a message is shown
RANDOM = re.compile(r"[a-z0-9_]{8}")  # the end of the names that ``tempfile`` makes
held: WeakSet[IO[bytes]] = WeakSet()  # files whose locks this process holds, and for which others wait


def sha256(path: Path) -> str:
    """Return the sha256 of a file, in hex."""
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def digest_of(content: bytes) -> str:
    """Return the sha256 of bytes, in hex."""
    return hashlib.sha256(content).hexdigest()


def digest(files: Iterable[Path]) -> str:
    """Return one sha256 over the contents of several files, in the order given, as the source in a key."""
    together = hashlib.sha256()
    for file in files:
        together.update(file.read_bytes())
    return together.hexdigest()


def is_regular(path: Path) -> bool:
    """Whether this is an existing regular file, which can be read to its end: not a folder, FIFO, socket or device."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def sync_folder(folder: Path) -> None:
    """Sync the names of a folder to disk: a synced file can still lose its name in a power failure."""
    if os.name != "posix":  # other systems cannot open a folder
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write a file so that a reader sees the old content or the new one, never a part. Makes the parent folder.

    The file is on disk when this returns, so that a row that refers to it may be written. Temporary files that
    killed writers of the same file left are removed (``remove_abandoned``). Raises OSError where the file cannot be
    written, and for folders, devices and FIFOs.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if path.exists() and not is_regular(path):
        raise OSError(errno.EINVAL, "is not a regular file, and would be replaced by one", str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{path.name}{PART_OF_FILE}"
    remove_abandoned(path.parent, prefix)
    handle, temporary = _locked_file(path.parent, prefix)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        sync_folder(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _locked_file(folder: Path, prefix: str) -> tuple[int, Path]:
    """Make a temporary file, locked so that no process takes it for abandoned."""
    while True:
        handle, name = tempfile.mkstemp(dir=folder, prefix=prefix)
        _lock(handle)
        if is_at(handle, Path(name)):
            return handle, Path(name)
        os.close(handle)  # another process removed it as abandoned: make another one


@contextmanager
def temporary_folder(root: Path, prefix: str) -> Iterator[Path]:
    """Yield a new folder ``root/PREFIX…``, to be moved into place when complete, and removed at the end otherwise."""
    work, handle = _locked_folder(root, prefix)
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)
        if handle is not None:
            os.close(handle)


def _locked_folder(root: Path, prefix: str) -> tuple[Path, int | None]:
    while True:
        work = Path(tempfile.mkdtemp(dir=root, prefix=prefix))
        if fcntl is None:  # pragma: no cover - Windows
            return work, None
        with suppress(FileNotFoundError):
            handle = os.open(work, os.O_RDONLY)
            _lock(handle)
            if is_at(handle, work):
                return work, handle
            os.close(handle)  # another process removed it as abandoned: make another one


def remove_abandoned(folder: Path, prefix: str) -> None:
    """Remove the temporary files and folders of this prefix whose writers are dead.

    Nobody holds their locks, and nothing in them has changed for an hour. The hour is for file systems whose locks do
    nothing, or hold on one machine only: there, writers count as alive for that long.
    """
    if fcntl is None:  # pragma: no cover - Windows
        return
    with os.scandir(folder) as entries:
        found = [Path(e.path) for e in entries if e.name.startswith(prefix) and RANDOM.fullmatch(e.name[len(prefix) :])]
    for path in found:
        try:
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if max(p.lstat().st_mtime for p in (path, *path.rglob("*"))) > time.time() - ABANDONED:
                continue
            if stat.S_ISDIR(os.fstat(handle).st_mode):
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        except OSError:  # its writer is alive, or the file system has no locks
            pass
        finally:
            os.close(handle)


@contextmanager
def locked(file: IO[bytes]) -> Iterator[None]:
    """Hold the lock of an open file; the system releases it when its holder dies.

    A process that waits for longer than ``SILENT`` seconds says so on stderr.
    """
    if fcntl is None:  # pragma: no cover - Windows
        yield
        return
    try:
        _wait(file)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
    held.add(file)
    try:
        yield
    finally:
        held.discard(file)
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_UN)


def _wait(file: IO[bytes]) -> None:
    with suppress(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return
    saying = threading.Timer(SILENT, complain, (f"{file.name} is locked by another process, which is waited for",))
    saying.daemon = True
    saying.start()
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
    finally:
        saying.cancel()


def _let_go() -> None:
    """Close the locked files in a forked child, which would keep the locks of its parent after the parent's end."""
    for file in held:
        file.close()  # unlocking would also release the parent's lock
    held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)


def _lock(handle: int) -> None:
    """Lock an open file until it is closed; do nothing where the file system has no locks."""
    if fcntl is not None:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)


def is_at(handle: int, path: Path) -> bool:
    """Whether an open file or folder is still the one at this path: it may have been deleted or replaced."""
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except OSError:
        return False
