"""Which code made a result: a hash in the key of everything that is stored.

Hashed is what a computation imports: its own module, and every module of this project that its imports lead to, those
inside functions included. Of a package that passes names on, the modules count that the names used come from. Of each
module counts what can decide a number: the parsed code without docstrings, comments, formatting and import lines,
whatever the module and its file are called and wherever they lie.

So a mended docstring, a moved module or a renamed file changes no key, and a changed constant anywhere below does.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import cache, cached_property
from importlib.util import find_spec, resolve_name
from pathlib import Path
from typing import Any

from modiff_sim.sweeps.files import digest_of

PROJECT = ("modiff_sim", "analysis", "figures", "paper_checks")
#: fields of a syntax tree that decide nothing, or that not every version of Python has
LEFT_OUT = frozenset({"ctx", "kind", "type_comment", "type_ignores", "type_params"})


@cache
def source_of(*modules: str) -> str:
    """sha256 of the code that these modules lead to."""
    return digest_of("\n".join(sorted({_content(name) for name in closure(*modules)})).encode())


@cache
def closure(*modules: str) -> frozenset[str]:
    """The modules of this project that these lead to, themselves included."""
    found: set[str] = set()
    waiting = list(modules)
    while waiting:
        if (name := waiting.pop()) not in found:
            found.add(name)
            waiting += _module(name).leads_to()
    return frozenset(found)


@cache
def _content(name: str, origins: bool = True) -> str:
    """sha256 of what counts of a module.

    origins: whether an imported name counts as the content of the module that it comes from and its name there, or as
             the latter alone, as it must in the content of an origin: imports may go round in a circle.
    """
    module = _module(name)
    known: dict[tuple[str, str | None], Any] = {}

    def origin(local: str, attribute: str | None) -> Any:
        """What stands in the tree for an imported name, or for an attribute of an imported module."""
        if (local, attribute) not in known:
            known[local, attribute] = _stands_for(*module.names[local], attribute, origins)
        return known[local, attribute]

    return digest_of(repr(_form(module.tree, module.names.keys(), origin)).encode())


def _stands_for(module: str, name: str | None, attribute: str | None, origins: bool) -> Any:
    if _file(module) is None:
        return (module, name, attribute)
    places, rest = list(_comes_from(module, name)) or [(module, name)], attribute
    if attribute is not None and places[0][1] is None:  # of a module, not of a value
        places, rest = list(_comes_from(places[0][0], attribute)) or places, None
    return tuple((_content(at, False) if origins else "", value) for at, value in places), rest


@cache
def _file(name: str) -> Path | None:
    """Of a module or package of this project; None for other names."""
    top, *rest = name.split(".")
    if top not in PROJECT or (spec := find_spec(top)) is None or spec.origin is None:
        return None
    place = Path(spec.origin).parent.joinpath(*rest)
    return next((path for path in (place / "__init__.py", place.with_suffix(".py")) if path.is_file()), None)


@cache
def _module(name: str) -> _Module:
    return _Module(name)


class _Module:
    """A module's syntax tree, and what its imports lead to.

    passes_on: name -> (module, name there), of the names that it imports when it is imported, or whose stub lists them.
    names:     local name -> (module, name there), or (module, None) for a module; those of others too.
    aliases:   local name -> module of this project that it stands for.
    """

    def __init__(self, name: str) -> None:
        path = _file(name)
        if path is None:
            raise ModuleNotFoundError(f"no module {name} whose source could be hashed")
        self.name, self.package = name, name if path.name == "__init__.py" else name.rpartition(".")[0]
        self.tree = ast.parse(path.read_text(encoding="utf-8"))
        self._nodes = list(_walk(self.tree))
        self.imports = [node for node in self._nodes if isinstance(node, ast.Import | ast.ImportFrom)]
        face = path.with_suffix(".pyi")  # of a package that loads its names late (``modiff_sim.faces``)
        listed = ast.parse(face.read_text(encoding="utf-8")) if face.is_file() else self.tree
        self.names = dict(self._imported())
        self.passes_on = {
            alias.asname or alias.name: (self.origin(node), alias.name)
            for node in _top_level(listed) if isinstance(node, ast.ImportFrom) for alias in node.names
        }  # fmt: skip

    @cached_property
    def aliases(self) -> dict[str, str]:
        return dict(self._aliases())

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

    def leads_to(self) -> Iterator[str]:
        """The modules that this one's imports come from."""
        used = _uses(self._nodes, self.aliases)
        named = {node.id for node in ast.walk(self.tree) if isinstance(node, ast.Name)}
        for node in self.imports:
            for alias in node.names:
                local = alias.asname or alias.name.partition(".")[0]
                if local in self.aliases:
                    # what is named nowhere is imported for what its import does
                    for name in used.get(local, set() if local in named else {None}):
                        yield from (module for module, _ in _comes_from(self.aliases[local], name))
                if isinstance(node, ast.Import) and "." in alias.name and _file(alias.name):
                    yield alias.name
                if isinstance(node, ast.ImportFrom):
                    yield from (m for m, value in _comes_from(self.origin(node), alias.name) if value is not None)


def _comes_from(module: str, name: str | None) -> Iterator[tuple[str, str | None]]:
    """Where ``from MODULE import NAME`` gets it: (module, name there), (module, None) for a module itself; or nothing
    for one of others."""
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
    """Local name of a module -> attributes that are used of it, and None where it is used otherwise."""
    found: dict[str, set[str | None]] = {}
    owners = set()
    for node in nodes:  # an attribute comes before the name that it is of
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in aliases:
            found.setdefault(node.value.id, set()).add(node.attr)
            owners.add(id(node.value))
        elif isinstance(node, ast.Name) and node.id in aliases and id(node) not in owners:
            found.setdefault(node.id, set()).add(None)
    return found


def _walk(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes that a computation can reach, parents first."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += [child for child in ast.iter_child_nodes(node) if not _is_guarded(child)]


def _is_guarded(node: Any) -> bool:
    """``if TYPE_CHECKING:`` and ``if __name__ == "__main__":``, which are not for computing."""
    if not isinstance(node, ast.If) or node.orelse:
        return False
    test = node.test.left if isinstance(node.test, ast.Compare) else node.test
    return isinstance(test, ast.Name) and test.id in ("TYPE_CHECKING", "__name__")


def _top_level(tree: ast.Module) -> Iterator[ast.stmt]:
    """Statements that run on import, those in ``if`` and ``try`` included."""
    waiting: list[ast.stmt] = list(tree.body)
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.If) and not _is_guarded(node):
            waiting += [*node.body, *node.orelse]
        elif isinstance(node, ast.Try):
            waiting += [*node.body, *node.orelse, *node.finalbody]


def _form(node: Any, imported: Collection[str], origin: Callable[[str, str | None], Any]) -> Any:
    """A syntax tree as nested tuples, alike in all versions of Python: without docstrings and import lines, and with
    their origin in the place of imported names."""
    if isinstance(node, list):
        return tuple(_form(each, imported, origin) for each in node if not _decides_nothing(each))
    if not isinstance(node, ast.AST):
        return node if node is None else (type(node).__name__, repr(node))
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in imported:
        return ("imported", origin(node.value.id, node.attr))
    if isinstance(node, ast.Name) and node.id in imported:
        return ("imported", origin(node.id, None))
    fields = (
        (name, _form(getattr(node, name, None), imported, origin)) for name in node._fields if name not in LEFT_OUT
    )
    return (type(node).__name__, *(field for field in fields if field[1] not in (None, ())))


def _decides_nothing(node: Any) -> bool:
    """Import lines, docstrings, and strings that say what an attribute is."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    return isinstance(node, ast.Import | ast.ImportFrom | ast.Pass) or _is_guarded(node)


def expect(point: Mapping[str, Any], **mine: str) -> None:
    """Raise ValueError where this process has another source, or other weights, than a point is to be computed with.

    mine: entries of the point as they are here.
    """
    if other := [name for name, value in mine.items() if point[name] != value]:
        raise ValueError(
            f"the point was made with another {' and '.join(other)} than this process has: the bytes would differ"
        )
