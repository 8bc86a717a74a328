"""Mutants: all that cosmic-ray's operators make of a file, those that can matter, and a seeded sample of them."""

from __future__ import annotations

import ast
import difflib
import json
import random
import re
import warnings
from collections import defaultdict
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .areas import ROOT, Area

#: operators that are left out. A bit operation in place of arithmetic raises TypeError for floats, so that any test
#: that comes by sees it; ``is`` in place of a comparison depends on which small numbers Python shares.
LEFT_OUT = re.compile(
    r"core/(ReplaceBinaryOperator_(Add|Sub|Mul|Div|FloorDiv|Mod|Pow)_(RShift|LShift|BitOr|BitAnd|BitXor)"
    r"|ReplaceComparisonOperator_(Eq|NotEq|Lt|LtE|Gt|GtE)_(Is|IsNot))"
)
#: methods whose result people read
FOR_PEOPLE = {"__repr__", "__str__"}
EQUIVALENT = Path(__file__).with_name("equivalent.json")


@dataclass(frozen=True)
class Mutant:
    """One change of one file.

    area: the name of its area.
    file: the path from the checkout's root.
    line, definition: where the change is, and in which function or class.
    operator, occurrence: what cosmic-ray makes it from.
    diff: the lines that it takes away and puts in, each behind "- " or "+ ".
    """

    area: str
    file: str
    line: int
    definition: str
    operator: str
    occurrence: int
    diff: tuple[str, ...]

    def applied(self, path: Path) -> AbstractContextManager[Any]:
        """Return a context in which this file holds the mutant. The file is as before afterwards."""
        from cosmic_ray.mutating import use_mutation
        from cosmic_ray.plugins import get_operator

        return use_mutation(path, get_operator(self.operator)(), self.occurrence)


class _Decisive(ast.NodeTransformer):
    """Removes what no test should look at."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if text else self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        if node.name in FOR_PEOPLE:
            node.body = []
        return self.generic_visit(node)

    def visit_arguments(self, node: ast.arguments) -> ast.AST:
        node.args = [*node.posonlyargs, *node.args, *node.kwonlyargs]  # ``*`` becomes ``/``, which says how to call
        node.defaults = [*node.defaults, *filter(None, node.kw_defaults)]
        node.posonlyargs, node.kwonlyargs, node.kw_defaults = [], [], []
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        node.annotation = ast.Constant(None)
        return self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        if isinstance(node.exc, ast.Call):
            node.exc = node.exc.func
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        return node.func if ast.unparse(node.func) == "warnings.warn" else self.generic_visit(node)

    def visit_If(self, node: ast.If) -> ast.AST | None:
        return None if "TYPE_CHECKING" in ast.unparse(node.test) else self.generic_visit(node)


def decisive(source: str) -> str:
    """Return what of a source can decide a result, as text to compare. Raises SyntaxError.

    Left out are docstrings, annotations, which parameters are given by keyword, the arguments of exceptions and
    warnings, ``__repr__`` and ``__str__``, and what is for type checkers.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # a mutant may call a number
        compile(source, "mutant", "exec", dont_inherit=True)
        return ast.dump(_Decisive().visit(ast.parse(source)))


def changed(before: str, after: str) -> tuple[str, ...]:
    """Return the lines that differ, with one space in place of many, each behind "- " or "+ "."""
    lines = [*difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)][2:]
    return tuple(" ".join([line[0], *line[1:].split()]) for line in lines if line[0] in "+-" and line[1:].strip())


def listed(files: list[str], root: Path = ROOT) -> dict[tuple[str, tuple[int, int]], list[Any]]:
    """Return place (file, position) -> cosmic-ray's mutations there, those of ``LEFT_OUT`` left out."""
    from cosmic_ray.commands.init import init
    from cosmic_ray.work_db import use_db

    found = defaultdict(list)
    with use_db(":memory:") as base:
        init([root / file for file in files], base, {})
        for item in base.work_items:
            (mutation,) = item.mutations
            if not LEFT_OUT.fullmatch(mutation.operator_name):
                found[mutation.module_path.relative_to(root).as_posix(), tuple(mutation.start_pos)].append(mutation)
    return dict(found)


def drawn(area: Area, seed: int, root: Path = ROOT) -> Iterator[Mutant]:
    """Yield mutants of an area that can matter, in a random order: one of every place at most."""
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    random_ = random.Random(f"{seed} {area.name}")
    places = listed(area.files(root), root)
    for file, position in random_.sample(sorted(places), len(places)):
        mutations = sorted(places[file, position], key=lambda m: (m.operator_name, m.occurrence))
        source = (root / file).read_text(encoding="utf-8")
        for m in random_.sample(mutations, len(mutations)):
            after = mutate_code(source, get_operator(m.operator_name)(), m.occurrence)
            if after is not None and _matters(source, after):
                yield Mutant(
                    area.name, file, position[0], m.definition_name or "", m.operator_name, m.occurrence,
                    changed(source, after),
                )  # fmt: skip
                break


def _matters(source: str, after: str) -> bool:
    """Whether a mutant is code at all, and other code."""
    try:
        return decisive(after) != decisive(source)
    except (SyntaxError, ValueError):
        return False


def sample(areas: list[Area], seed: int, count: int, root: Path = ROOT) -> Iterator[Mutant]:
    """Yield ``count`` mutants, from the areas in turn, as long as they have any.

    A larger count begins with the same mutants.
    """
    waiting = [drawn(area, seed, root) for area in areas]
    while waiting and count:
        for draws in list(waiting):
            mutant = next(draws, None)
            if mutant is None:
                waiting.remove(draws)
            elif count:
                count -= 1
                yield mutant


def equivalent(path: Path = EQUIVALENT) -> dict[tuple[str, tuple[str, ...]], str]:
    """Return (file, diff) -> why no test can tell this mutant from the code."""
    entries = json.loads(path.read_text(encoding="utf-8"))
    return {(entry["file"], tuple(entry["diff"])): entry["reason"] for entry in entries}
