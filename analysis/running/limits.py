"""Checks of what a command is asked for: numbers in range, writable folders, enough memory and disk."""

from __future__ import annotations

import argparse
import errno
import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from modiff_sim import parsing
from modiff_sim.arguments import affordable, said_bytes

MOST_THREADS = 256  # threads of torch, or workers: systems may refuse more, and OpenMP then ends the process
MOST_SEED = 2**63 - 1  # the largest seed that torch takes
POINT = 4096  # bytes of memory that a micro-batch takes besides its images


class Parser(parsing.Parser):
    """A parser of arguments whose error message is one line behind the usage, whatever was given."""

    def error(self, message: str) -> NoReturn:
        """Exit with code 2 and the message as one line behind the usage."""
        super().error(" ".join(message.split()))


def whole(least: int, most: int) -> Callable[[str], int]:
    """Return an argparse type for whole numbers from ``least`` to ``most``."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError as error:  # also for thousands of digits
            raise argparse.ArgumentTypeError(f"must be a whole number, got {_cut(text)}") from error
        if not least <= value <= most:
            bound = f"at least {least}" if value < least else f"at most {most}"
            raise argparse.ArgumentTypeError(f"must be {bound}, got {_cut(text)}")
        return value

    return parse


def positive(*, endless: bool = False) -> Callable[[str], float]:
    """Return an argparse type for finite numbers above 0. With ``endless`` it takes 0 and infinity too, but not NaN."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (value >= 0 if endless else 0 < value < math.inf):
            allowed = "a number from 0" if endless else "a number above 0"
            raise argparse.ArgumentTypeError(f"must be {allowed}, got {_cut(text)}")
        return value

    return parse


def _cut(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:40]}…"


def check_images(images: int, shape: tuple[int, ...], batch: int, folder: Path) -> None:
    """Raise MemoryError or ValueError where this many images do not fit into memory, or onto the disk of the folder.

    They are on disk twice, as micro-batches and as one file, and three times in memory while that file is written.
    What is in the folder already is taken to belong to them.
    """
    size, what = 4 * images * math.prod(shape), f"{images} images of {shape} in float32"
    affordable(what, 3 * size + images / batch * POINT)
    there = sum(path.stat().st_size for pattern in ("*.npz", "store/*/*.npz") for path in folder.glob(pattern))
    if 2 * size - there > (free := shutil.disk_usage(writable(folder)).free):
        raise ValueError(f"{what} take {said_bytes(2 * size)}, and the disk of {folder} has {said_bytes(free)} free")


def writable(folder: Path) -> Path:
    """Return the folder, or the nearest existing one above it, after checking that files can be made in it.

    Raises OSError where the path leads through a file, or nothing can be written.
    """
    above = folder
    while not above.is_dir():
        if os.path.lexists(above) or above.parent == above:
            raise NotADirectoryError(errno.ENOTDIR, "is a file, and a folder is needed", str(above))
        above = above.parent
    if not os.access(above, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, "nothing can be written there", str(above))
    return above


def check_file(path: Path, endings: tuple[str, ...] = ()) -> None:
    """Raise OSError or ValueError unless a file of this name can be written. An existing one would be replaced."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "is a folder, and a file is needed", str(path))
    if endings and path.suffix.lower() not in endings:
        raise ValueError(f"{path}: must end with {' or '.join(endings)}")
    writable(path.parent)
