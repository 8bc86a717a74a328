"""Which code made a result: a hash that is part of the key of everything that is stored.

The hash covers the module of a computation, and every module of this project that its imports lead to, including
imports inside functions. Of a package that passes names on, it covers the modules that the names used come from. Of
each module it covers what can decide a number: the parsed code without docstrings, comments, formatting and import
lines. Neither the name nor the place of a module or its file counts.

So a changed docstring, a moved module or a renamed file does not change a key; a changed constant in any of these
modules does. What a claim or a figure says of itself (``SAID``) does not count either.

Of a registry that is filled by file (``modiff_sim.registry``), the hash covers the files that are named: by an import,
by a text in the code, or in ``names``, which lists what is chosen at run time. So a new sampler only changes the keys
of runs that use it. Code that goes through a whole registry and stores the results passes all of its names.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import cache, cached_property
from importlib.util import find_spec, resolve_name
from pathlib import Path
from typing import Any

from modiff_sim import registry
from modiff_sim.sweeps.files import digest_of

PROJECT = ("modiff_sim", "analysis", "figures", "paper_checks")
#: the call by which a package fills its registry
FILLED_BY = ("modiff_sim.registry", "entries")
#: the packages of claims and figures; the names in them that only say what is computed, or that only tests use
SHOWN = ("paper_checks", "figures")
SAID = frozenset({"CLAIM", "CONTROLS", "ORDER", "LIVE", "TITLE", "CAPTION"})
#: fields of a syntax tree that do not decide anything, or that only some versions of Python have
LEFT_OUT = frozenset({"ctx", "kind", "type_comment", "type_ignores", "type_params"})


@cache
def source_of(*modules: str, names: tuple[str, ...] = (), within: str = "") -> str:
    """Return the sha256 of the code that these modules lead to.

    names: what is chosen from registries at run time, such as the name of a sampler.
    within: the package whose modules count, all of the project by default. Of what these import from elsewhere, only
    the names count then.
    """
    found = (name for name in closure(*modules, names=names) if name.startswith(within))
    return digest_of("\n".join(sorted({_content(name, not within) for name in found})).encode())


@cache
def closure(*modules: str, names: tuple[str, ...] = ()) -> frozenset[str]:
    """Return the modules of this project that these lead to, themselves included; names as in ``source_of``."""
    found: set[str] = set()
    said, waiting = set(names), list(modules)
    while waiting:
        if (name := waiting.pop()) not in found:
            found.add(name)
            waiting += _module(name).leads_to
            said |= _module(name).texts
        if not waiting:
            offered = [place for name in found for place in _module(name).offers.items()]
            waiting = [module for entry, module in offered if entry in said and module not in found]
    return frozenset(found)


@cache
def _content(name: str, origins: bool = True) -> str:
    """Return the sha256 of what counts in a module.

    ``origins`` says whether an imported name counts as the content of the module that it comes from together with its
    name there, or as that name alone. It must be the latter for the origins themselves, since imports may be circular.
    """
    module = _module(name)
    known: dict[tuple[str, str | None], Any] = {}

    def origin(local: str, attribute: str | None) -> Any:
        """Return what stands in the tree for an imported name, or for an attribute of an imported module."""
        if (local, attribute) not in known:
            known[local, attribute] = _stands_for(*module.names[local], attribute, origins)
        return known[local, attribute]

    return digest_of(repr(_form(module.tree, module.names.keys(), origin)).encode())


def _stands_for(module: str, name: str | None, attribute: str | None, origins: bool) -> Any:
    if _file(module) is None:
        return (module, name, attribute)
    places, rest = list(_comes_from(module, name)) or [(module, name)], attribute
    if attribute is not None and places[0][1] is None:  # an attribute of a module, not of a value
        places, rest = list(_comes_from(places[0][0], attribute)) or places, None
    return tuple((_content(at, False) if origins else "", value) for at, value in places), rest


@cache
def _file(name: str) -> Path | None:
    """Return the file of a module or package of this project; None for other names."""
    top, *rest = name.split(".")
    if top not in PROJECT or (spec := find_spec(top)) is None or spec.origin is None:
        return None
    place = Path(spec.origin).parent.joinpath(*rest)
    return next((path for path in (place / "__init__.py", place.with_suffix(".py")) if path.is_file()), None)


@cache
def _module(name: str) -> _Module:
    return _Module(name)


class _Module:
    """The syntax tree of a module, and what its imports lead to.

    passes_on: name -> (module, name there), for the names that its import imports, or that its stub lists
    names:     local name -> (module, name there), or (module, None) for a module; also for modules of other projects
    aliases:   local name -> the module of this project that it stands for
    texts:     the texts in its code, which may name entries of registries
    offers:    name of an entry -> the module that adds it, for a package that fills a registry by file
    """

    def __init__(self, name: str) -> None:
        path = _file(name)
        if path is None:
            raise ModuleNotFoundError(f"no module {name} whose source could be hashed")
        self.file = path
        self.name, self.package = name, name if path.name == "__init__.py" else name.rpartition(".")[0]
        self.tree = ast.parse(path.read_text(encoding="utf-8"))
        if name.startswith(SHOWN):
            self.tree.body = [node for node in self.tree.body if not _is_said(node)]
        self._nodes = list(_walk(self.tree))
        self.imports = [node for node in self._nodes if isinstance(node, ast.Import | ast.ImportFrom)]
        face = path.with_suffix(".pyi")  # the stub of a package that loads its names late (``modiff_sim.faces``)
        listed = ast.parse(face.read_text(encoding="utf-8")) if face.is_file() else self.tree
        self.names = dict(self._imported())
        self.passes_on = {
            alias.asname or alias.name: (self.origin(node), alias.name)
            for node in _top_level(listed)
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }

    @cached_property
    def aliases(self) -> dict[str, str]:
        return dict(self._aliases())

    @cached_property
    def texts(self) -> frozenset[str]:
        constants = (node.value for node in self._nodes if isinstance(node, ast.Constant))
        return frozenset(value for value in constants if isinstance(value, str))

    @cached_property
    def offers(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for node in self._nodes:
            called = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and self.names.get(node.func.id)
            if called == FILLED_BY:
                places = registry.named(self.file.parent, ast.literal_eval(node.args[1]))
                found |= {entry: f"{self.name}.{place}" for entry, place in places.items()}
        return found

    def origin(self, node: ast.ImportFrom) -> str:
        return resolve_name("." * node.level + (node.module or ""), self.package)

    def _imported(self) -> Iterator[tuple[str, tuple[str, str | None]]]:
        for node in self.imports:
            for alias in node.names:
                if isinstance(node, ast.ImportFrom):
                    yield alias.asname or alias.name, (self.origin(node), alias.name)
                elif alias.asname:
                    yield alias.asname, (alias.name, None)
                else:
                    yield alias.name.partition(".")[0], (alias.name.partition(".")[0], None)

    def _aliases(self) -> Iterator[tuple[str, str]]:
        for local, (module, name) in self.names.items():
            for found, value in _comes_from(module, name):
                if value is None:
                    yield local, found

    @cached_property
    def leads_to(self) -> frozenset[str]:
        """The modules that the imports of this one come from."""
        return frozenset(self._leads_to())

    def _leads_to(self) -> Iterator[str]:
        used = _uses(self._nodes, self.aliases)
        named = {node.id for node in ast.walk(self.tree) if isinstance(node, ast.Name)}
        for node in self.imports:
            for alias in node.names:
                local = alias.asname or alias.name.partition(".")[0]
                if local in self.aliases:
                    # a name that is not used is imported for the effect of the import
                    for name in used.get(local, set() if local in named else {None}):
                        yield from (module for module, _ in _comes_from(self.aliases[local], name))
                if isinstance(node, ast.Import) and "." in alias.name and _file(alias.name):
                    yield alias.name
                if isinstance(node, ast.ImportFrom):
                    yield from (m for m, value in _comes_from(self.origin(node), alias.name) if value is not None)


def _comes_from(module: str, name: str | None) -> Iterator[tuple[str, str | None]]:
    """Yield where ``from MODULE import NAME`` gets the name from: (module, name there).

    It is (module, None) for a module itself. Nothing is yielded for modules of other projects.
    """
    if _file(module) is None:
        return
    if name is None:
        yield module, None
        return
    origin, original = _module(module).passes_on.get(name, (module, name))
    if (origin, original) != (module, name):
        yield from _comes_from(origin, original)
    elif _file(f"{module}.{name}"):
        yield f"{module}.{name}", None
    else:
        yield module, name


def _uses(nodes: Iterable[ast.AST], aliases: Collection[str]) -> dict[str, set[str | None]]:
    """Return local name of a module -> the attributes of it that are used, and None where it is used otherwise."""
    found: dict[str, set[str | None]] = {}
    owners = set()
    for node in nodes:  # an attribute comes before the name that it belongs to
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in aliases:
            found.setdefault(node.value.id, set()).add(node.attr)
            owners.add(id(node.value))
        elif isinstance(node, ast.Name) and node.id in aliases and id(node) not in owners:
            found.setdefault(node.id, set()).add(None)
    return found


def _walk(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield all nodes that a computation can reach, parents first."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += [child for child in ast.iter_child_nodes(node) if not _is_guarded(child)]


def _is_said(node: ast.stmt) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else ()
    return bool(targets) and all(isinstance(target, ast.Name) and target.id in SAID for target in targets)


def _is_guarded(node: Any) -> bool:
    """Whether this is ``if TYPE_CHECKING:`` or ``if __name__ == "__main__":``, which do not compute anything."""
    if not isinstance(node, ast.If) or node.orelse:
        return False
    test = node.test.left if isinstance(node.test, ast.Compare) else node.test
    return isinstance(test, ast.Name) and test.id in ("TYPE_CHECKING", "__name__")


def _top_level(tree: ast.Module) -> Iterator[ast.stmt]:
    """Yield the statements that run on import, including those in ``if`` and ``try``."""
    waiting: list[ast.stmt] = list(tree.body)
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.If) and not _is_guarded(node):
            waiting += [*node.body, *node.orelse]
        elif isinstance(node, ast.Try):
            waiting += [*node.body, *node.orelse, *node.finalbody]


def _form(node: Any, imported: Collection[str], origin: Callable[[str, str | None], Any]) -> Any:
    """Return a syntax tree as nested tuples that are the same in all versions of Python.

    Docstrings and import lines are left out, and imported names are replaced by their origin.
    """
    if isinstance(node, list):
        return tuple(_form(each, imported, origin) for each in node if not _decides_nothing(each))
    if not isinstance(node, ast.AST):
        return node if node is None else (type(node).__name__, repr(node))
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in imported:
        return ("imported", origin(node.value.id, node.attr))
    if isinstance(node, ast.Name) and node.id in imported:
        return ("imported", origin(node.id, None))
    made: list[Any] = [type(node).__name__]
    for name in node._fields:
        if name not in LEFT_OUT and (value := getattr(node, name, None)) is not None:
            field = _form(value, imported, origin)
            if field != ():
                made.append((name, field))
    return tuple(made)


def _decides_nothing(node: Any) -> bool:
    """Whether this is an import line, a docstring, or a string that describes an attribute."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    return isinstance(node, ast.Import | ast.ImportFrom | ast.Pass) or _is_guarded(node)


def expect(point: Mapping[str, Any], **mine: str) -> None:
    """Raise ValueError where this process has another source, or other weights, than a point must be computed with.

    ``mine`` are the entries of the point as they are here.
    """
    if other := [name for name, value in mine.items() if point[name] != value]:
        raise ValueError(
            f"the point was made with another {' and '.join(other)} than this process has: the bytes would differ"
        )
