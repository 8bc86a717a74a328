"""What a process computes with: versions and source. Processes that share work must agree in both.

The source of a package is that of all its files, each as it was when its module was imported. After an edit and a
reload, a module has the new source. A file that was changed between its import and the first look at it is refused,
because what was imported can no longer be known. These changes are not detected: an edit of a module between its import
and that of this one, which the modules of a sweep import themselves; modules that were loaded without Python's import
system; code that was replaced in memory; and edits on a file system whose clock is behind.
"""

from __future__ import annotations

import importlib
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.machinery import all_suffixes
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from .encoding import VERSIONED, versions
from .files import digest_of, sha256

#: top-level modules whose versions are compared, or Python's own
BY_VERSION = frozenset({*sys.stdlib_module_names, *VERSIONED, "sklearn"})


class OtherCode(RuntimeError):
    """The code of a process is not what it must be, so its bytes could differ from those of others."""


class _Imports:
    """A finder that finds nothing, but notes when each module is looked for, just before its file is read."""

    def __init__(self) -> None:
        self.when = dict.fromkeys(sys.modules, time.time_ns())

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        """Note the time, and leave the search to other finders."""
        self.when[name] = time.time_ns()


_imports = _Imports()
sys.meta_path.insert(0, _imports)
_read: dict[Path, tuple[int, str]] = {}  # imported file -> when it was read, and its sha256
_sources: dict[str, tuple[int, str]] = {}  # package -> its latest import when it was looked at, and what was found


@dataclass(frozen=True)
class Environment:
    """The versions (as in a key, ``content.versions``) and the sources (package -> sha256 of its files)."""

    versions: Mapping[str, str]
    sources: Mapping[str, str]

    def against(self, other: Environment, owner: str) -> str:
        """Say what differs, as in "numpy 2.1.0 (OWNER: 2.2.1), other source of analysis"; "" where nothing does."""
        found = [
            f"{name} {self.versions.get(name)} ({owner}: {other.versions.get(name)})"
            for name in sorted({*self.versions, *other.versions})
            if self.versions.get(name) != other.versions.get(name)
        ]
        names = sorted({*self.sources, *other.sources})
        found += [f"other source of {n}" for n in names if self.sources.get(n) != other.sources.get(n)]
        return ", ".join(found)

    def here(self) -> Environment:
        """Return the environment of this process for the same packages, which are imported; "" for absent ones."""
        for name in self.sources:
            try:
                importlib.import_module(name)
            except ImportError:
                continue
        return Environment(versions(), {name: _source(name) for name in self.sources})


def environment(function: Callable[..., Any] | None = None) -> Environment:
    """Return the environment of this process, with the source of this package and of those of ``function``.

    These are the packages, or modules, of the function, of its arguments (``partial``), its closure and its object,
    of all classes among them with their bases, and of what a function of a notebook or a script uses by name (the
    code of such a function itself travels with it). What those packages import in turn is not included.

    Raises OtherCode where a file was changed after its import.
    """
    tops = {name.partition(".")[0] for name in _modules(function)} - BY_VERSION
    names = sorted({__name__.partition(".")[0], *tops} & sys.modules.keys())
    return Environment(versions(), {name: found for name in names if (found := _source(name))})


def _modules(function: Any) -> set[str]:
    """Return the names of the modules that hold the code of a function."""
    found: set[str] = set()
    todo, seen = [function], {}
    while todo:
        value = todo.pop()
        if id(value) in seen:
            continue
        seen[id(value)] = value  # kept alive, because the id of a deleted object may be used again
        if isinstance(value, dict):
            todo += [*value.keys(), *value.values()]
        elif isinstance(value, list | tuple | set | frozenset):
            todo += value
        elif isinstance(value, partial):
            todo += [value.func, value.args, value.keywords]
        elif isinstance(value, MethodType):
            todo += [value.__func__, value.__self__]
        elif isinstance(value, ModuleType):
            found.add(value.__name__)
        elif isinstance(value, FunctionType):
            found.add(_home(value))
            todo += [value.__defaults__, value.__kwdefaults__, value.__dict__, *_used(value)]
        elif isinstance(value, type):
            found |= {_home(c) for c in value.__mro__}
            todo += [vars(c) | {} for c in value.__mro__ if c.__module__ == "__main__"]
        else:
            found.add(_home(value))
            todo.append(type(value))
            if _home(type(value)).partition(".")[0] not in BY_VERSION or hasattr(value, "__wrapped__"):
                todo.append(getattr(value, "__dict__", None))
    return found


def _home(value: Any) -> str:
    """Return the name of the module of a function, a class or an object, also for ``python -m package.module``."""
    name = str(getattr(value, "__module__", None) or "")
    if name == "__main__" and (spec := getattr(sys.modules[name], "__spec__", None)) and spec.parent:
        return str(spec.name)
    return name


def _used(function: FunctionType) -> Iterator[Any]:
    """Yield what a function holds in its closure and, where its code travels with it, what it uses by name."""
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # the cell is still empty
            continue
    if function.__module__ != "__main__" and function.__module__ in sys.modules:
        return
    codes = [function.__code__]
    for code in codes:
        codes += [c for c in code.co_consts if isinstance(c, CodeType)]
        yield from (function.__globals__[n] for n in code.co_names if n in function.__globals__)


def _source(top: str) -> str:
    """Return the sha256 of names and contents of all files of a package or module; "" for one without files.

    What was imported does not change with its file, so it is read again only after another import from the package.
    """
    modules = []
    for name, module in list(sys.modules.items()):
        spec = getattr(module, "__spec__", None) if name == "__main__" else None
        if (spec.name if spec else name).partition(".")[0] == top:
            modules.append((module, _imports.when.get(name, 0)))
    latest = max((when for _, when in modules), default=0)
    if top not in _sources or _sources[top][0] != latest:
        loaded: dict[Path, list[int]] = defaultdict(list)
        for module, when in modules:
            if (file := _file(module)) is not None:
                loaded[file].append(when)
        lines = sorted(f"{name} {_sum(path, loaded[path])}" for name, path in _files(top))
        _sources[top] = (latest, digest_of("\n".join(lines).encode()) if lines else "")
    return _sources[top][1]


def _sum(path: Path, imported: list[int]) -> str:
    """Return the sha256 of a file as it was at its imports, if any. A time of 0 means that an import was not seen."""
    known = _read.get(path)
    if imported and known and known[0] >= max(imported):
        return known[1]
    now, about = time.time_ns(), path.stat()
    first = min((when for when in imported if when), default=now)
    # A copied or moved file keeps its time of modification, so where there is one the time of change is compared.
    if (about.st_ctime_ns if os.name == "posix" else about.st_mtime_ns) > first:
        raise OtherCode(
            f"{path} was changed after this process had imported it, so it is not known what it computes with: restart "
            "the process, or reload the module"
        )
    found = sha256(path)
    if imported:
        _read[path] = (now, found)
    return found


def _file(module: Any) -> Path | None:
    """Return the file that a module was read from, or the archive that it lies in."""
    place = getattr(getattr(module, "__loader__", None), "archive", None) or getattr(module, "__file__", None)
    return Path(place) if place and Path(place).is_file() else None


def _files(top: str) -> Iterator[tuple[str, Path]]:
    """Yield the files of a package or module by their names in it, or the archive that it lies in."""
    module = sys.modules.get(top)  # None for code from ``exec``, which travels with its function
    folders = [folder for folder in map(Path, getattr(module, "__path__", ())) if folder.is_dir()]
    for folder in folders:
        for path in folder.rglob("*"):
            name = path.relative_to(folder)
            hidden = any(part.startswith(".") or part == "__pycache__" for part in name.parts)  # such as editors' files
            if path.name.endswith(tuple(all_suffixes())) and not hidden and path.is_file():
                yield name.as_posix(), path
    if not folders and (file := _file(module)) is not None:
        yield file.name, file
