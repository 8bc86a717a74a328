"""What a process computes with: versions and source. Two processes that share work must have the same of both."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from .files import digest_of, sha256
from .store import versions


@dataclass(frozen=True)
class Environment:
    """versions: as in a key (``store.versions``). sources: package -> sha256 of its Python files."""

    versions: Mapping[str, str]
    sources: Mapping[str, str]

    def against(self, other: Environment, owner: str) -> str:
        """What differs, in words: "numpy 2.1.0 (OWNER: 2.2.1), other source of analysis". "" where nothing does."""
        found = [
            f"{name} {self.versions.get(name)} ({owner}: {other.versions.get(name)})"
            for name in sorted({*self.versions, *other.versions})
            if self.versions.get(name) != other.versions.get(name)
        ]
        names = sorted({*self.sources, *other.sources})
        found += [f"other source of {n}" for n in names if self.sources.get(n) != other.sources.get(n)]
        return ", ".join(found)


def environment(function: Callable[..., Any] | None = None) -> Environment:
    """Of this process: with the source of this package and of the package, or module, that ``function`` belongs to.

    A function of a notebook or a script has no package; its code travels with it.
    """
    while isinstance(function, partial):
        function = function.func
    top = str(getattr(function, "__module__", "") or "").partition(".")[0]
    names = [__name__.partition(".")[0], *([top] if top not in ("", "__main__") else [])]
    return Environment(versions(), {name: found for name in names if (found := _source(name))})


@cache
def _source(top: str) -> str:
    """Of the names and contents of all Python files of a package or module; "" for one that is not of files.

    Read once per process: what was imported does not change with its file.
    """
    lines = sorted(f"{name} {sha256(path)}" for name, path in _files(top))
    return digest_of("\n".join(lines).encode()) if lines else ""


def _files(top: str) -> Iterator[tuple[str, Path]]:
    module = sys.modules.get(top)  # none for what was made by ``exec``: its code travels with it
    for folder in map(Path, getattr(module, "__path__", ())):
        found = (path for path in folder.rglob("[!.]*.py") if path.is_file())  # editors leave hidden links
        yield from ((path.relative_to(folder).as_posix(), path) for path in found)
    file = getattr(module, "__file__", None)
    if not hasattr(module, "__path__") and file and Path(file).is_file():
        yield Path(file).name, Path(file)
