"""What a command may be asked for: numbers in range, folders that can be written, memory and disk that are there."""

from __future__ import annotations

import argparse
import errno
import math
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from modiff_sim.arguments import affordable, said_bytes

MOST_THREADS = 256  # of torch, or workers; beyond, systems refuse them and OpenMP ends the process
MOST_SEED = 2**63 - 1  # what torch takes
POINT = 4096  # bytes that a micro-batch takes in memory besides its images


class Parser(argparse.ArgumentParser):
    """argparse's, whose message is one line behind the usage, whatever was given."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        for text in sys.argv[1:] if args is None else args:
            if text.startswith("-") and text.endswith("=--"):  # argparse makes an empty list of it
                self.error(f"argument {text[:-3]}: expected one argument")
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        super().error(" ".join(message.split()))


def whole(least: int, most: int) -> Callable[[str], int]:
    """An argparse type: whole numbers from ``least`` to ``most``."""

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
    """An argparse type: finite numbers above 0; if ``endless``, 0 and infinity as well. Never NaN."""

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
    """Raises MemoryError or ValueError where so many images do not fit into memory, or onto the disk of the folder.

    They lie on the disk twice, as micro-batches and as one file, and three times in memory when that file is written.
    What is in the folder already is taken to be of them.
    """
    size, what = 4 * images * math.prod(shape), f"{images} images of {shape} in float32"
    affordable(what, 3 * size + images / batch * POINT)
    there = sum(path.stat().st_size for pattern in ("*.npz", "store/*/*.npz") for path in folder.glob(pattern))
    if 2 * size - there > (free := shutil.disk_usage(writable(folder)).free):
        raise ValueError(f"{what} take {said_bytes(2 * size)}, and the disk of {folder} has {said_bytes(free)} free")


def writable(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there already, once it is sure that files can be made in it.

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
    """Raises OSError or ValueError where no file of this name can be written; an existing one would be replaced."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "is a folder, and a file is needed", str(path))
    if endings and path.suffix.lower() not in endings:
        raise ValueError(f"{path}: must end with {' or '.join(endings)}")
    writable(path.parent)
