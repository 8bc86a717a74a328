"""The files that options name for output: looked at before any work is done, and written whole or not at all."""

from __future__ import annotations

import tempfile
from argparse import Namespace
from collections.abc import Collection
from pathlib import Path

from ..console import complain
from ..parsing import STDOUT
from ..sweeps.files import PART_OF_FILE, is_regular, write_atomic

FORMS = ("json", "csv")  # of rows; each is an option, and the ending of its files


def check_rows(chosen: Namespace) -> None:
    """Raise ValueError where rows cannot be written as ``--json`` and ``--csv`` say."""
    if all(getattr(chosen, form) == STDOUT for form in FORMS):
        raise ValueError("--json and --csv cannot both be printed: name a file for one of them, as in --csv rows.csv")
    for form in FORMS:
        if (path := getattr(chosen, form)) not in (None, STDOUT):
            check(f"--{form}", path, (f".{form}",))


def check(option: str, path: str, endings: Collection[str]) -> None:
    """Raise ValueError unless a file with one of these endings can be written there."""
    target = Path(path)
    if target.suffix.lower() not in endings:
        raise ValueError(f"{option} {path}: the name must end in {', '.join(endings)}")
    if not target.absolute().parent.is_dir():
        raise ValueError(f"{option} {path}: there is no folder {target.absolute().parent}")
    try:
        if target.exists() and not is_regular(target):
            raise ValueError(f"{option} {path}: this is not a file, and would be replaced by one: pass another name")
        with tempfile.NamedTemporaryFile(dir=target.absolute().parent, prefix=f".{target.name}{PART_OF_FILE}"):
            pass  # it is written as such a file first
    except OSError as error:
        raise ValueError(f"{option} {path}: cannot be written: {error.strerror}") from None


def write(path: str, content: bytes | str) -> None:
    """Write a file whole or not at all, and show its name on stderr."""
    write_atomic(Path(path), content)
    complain(f"wrote {path}")
