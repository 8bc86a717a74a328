"""Registries that are filled by file: a room offers what its files say that they add.

A file of a room adds something in a dictionary that has the registry's name and is written out:

    QUANTIZERS = {"ternary": Ternary}  # modiff_sim/quantizers/ternary.py

``entries`` imports all files of a room and gives their entries together. ``named`` reads the same names from the text
of the files and imports nothing: ``modiff-sim --help`` and the keys of stored results need no more. Both leave out
files whose names begin with an underscore.

Both have the same order: first the names that the room's ``__init__.py`` lists in a tuple ``ORDER``, then the others by
name. A new file needs no place in that list.
"""

from __future__ import annotations

import ast
import pkgutil
import sys
from collections.abc import Collection, Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any


def entries(package: str, kind: str) -> dict[str, Any]:
    """Import the modules of a package and collect the entries of their dictionaries.

    Parameters
    ----------
    package : str
        Name of the package. A package that fills its own registry passes ``__name__``, after its imports.
    kind : str
        Name of the dictionaries, such as ``"QUANTIZERS"``.

    Returns
    -------
    dict
        name -> entry.

    Raises
    ------
    TypeError
        If two modules have an entry of the same name.

    Examples
    --------
    >>> from modiff_sim import registry, samplers
    >>> list(registry.entries("modiff_sim.diffusion.samplers", "SAMPLERS")) == list(samplers.SAMPLERS)
    True
    """
    home = vars(sys.modules[package])
    found: dict[str, Any] = {}
    places: dict[str, str] = {}
    for info in pkgutil.iter_modules(home["__path__"]):
        if not info.name.startswith("_"):
            held: Mapping[str, Any] = vars(import_module(f"{package}.{info.name}")).get(kind, {})
            _place(places, held, info.name, f"{package}: {kind}")
            found |= held
    return {name: found[name] for name in _ordered(found, home.get("ORDER", ()))}


def named(folder: Path, kind: str) -> dict[str, str]:
    """Read the names of the entries from the files of a package, without importing anything.

    Parameters
    ----------
    folder : Path
        The folder of the package.
    kind : str
        As of ``entries``.

    Returns
    -------
    dict
        name -> name of the module in this folder.

    Raises
    ------
    TypeError
        If two files have an entry of the same name, or a dictionary is not written out.

    Examples
    --------
    >>> from pathlib import Path
    >>> from modiff_sim import registry
    >>> registry.named(Path(registry.__file__).parent / "quantizers" / "granularity", "GRANULARITIES")["group"]
    'runs'
    """
    found: dict[str, str] = {}
    for path in sorted(folder.glob("[!_]*.py")):
        if (value := _assigned(path, kind)) is not None:
            _place(found, _keys(value, f"{path}: {kind}"), path.stem, f"{folder}: {kind}")
    order = _assigned(folder / "__init__.py", "ORDER")
    return {name: found[name] for name in _ordered(found, () if order is None else ast.literal_eval(order))}


def _assigned(path: Path, name: str) -> ast.expr | None:
    """What a file assigns to this name at its top level."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if isinstance(node, ast.Assign | ast.AnnAssign) and any(getattr(each, "id", None) == name for each in targets):
            return node.value
    return None


def _keys(value: ast.expr, who: str) -> list[str]:
    keys = value.keys if isinstance(value, ast.Dict) else [None]
    texts = [key.value for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str)]
    if len(texts) < len(keys):
        raise TypeError(f'{who} must be a dictionary that is written out, such as {{"name": Name}}: its keys are read')
    return texts


def _place(places: dict[str, str], names: Iterable[str], module: str, who: str) -> None:
    """Note where these names come from, and raise TypeError where one has come from elsewhere already."""
    for name in names:
        if name in places:
            raise TypeError(f"{who} has {name!r} in {places[name]}.py and in {module}.py: rename one of the two")
        places[name] = module


def _ordered(names: Collection[str], order: Iterable[str]) -> list[str]:
    begin = [name for name in order if name in names]
    return [*begin, *sorted(set(names) - set(begin))]
