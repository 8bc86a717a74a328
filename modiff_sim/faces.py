"""The public names of a package, from one list, ``__init__.pyi``, which type checkers and editors read as well.

The names are loaded when they are first used (PEP 562), so that ``modiff-sim --help`` waits for no library. This is how
scientific-python's lazy-loader works, without the dependency.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any


@cache
def listed(stub: str) -> dict[str, tuple[str, str]]:
    """The imports of a stub: public name -> (module below the package, name there)."""
    tree = ast.parse(Path(stub).read_text(encoding="utf-8"))
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.level == 1]
    return {alias.asname or alias.name: (node.module or "", alias.name) for node in imports for alias in node.names}


def attach(package: str, file: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Make ``__getattr__`` and ``__dir__`` of a package: ``attach(__name__, __file__)``."""
    stub = str(Path(file).with_suffix(".pyi"))

    def load(name: str) -> Any:
        if name == "__all__":
            return sorted(listed(stub))
        if name.startswith("__") or name not in listed(stub):
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module, original = listed(stub)[name]
        home = import_module(f"{package}.{module}" if module else package)
        if (found := vars(home).get(original)) is None:
            found = _submodule(home, original)
        setattr(sys.modules[package], name, found)
        return found

    return load, lambda: sorted({*vars(sys.modules[package]), *listed(stub)})


def _submodule(home: Any, name: str) -> Any:
    """A module of the home, or a name that the home itself loads late."""
    try:
        return import_module(f"{home.__name__}.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"{home.__name__}.{name}":
            raise
        return getattr(home, name)
