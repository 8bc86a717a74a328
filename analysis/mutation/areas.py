"""What is mutated, and which tests have to see it."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Area:
    """Files that are mutated, and their tests.

    sources: patterns of files, from the checkout's root. ``without`` are left out.
    tests: the files of the area's own tests.
    wider: tests of what uses the area; a mutant meets them if its own tests pass.
    """

    name: str
    sources: tuple[str, ...]
    tests: tuple[str, ...]
    wider: tuple[str, ...] = ()
    without: tuple[str, ...] = ()

    def files(self, root: Path = ROOT) -> list[str]:
        """Return the files that are mutated, from the root."""
        found = {path.relative_to(root).as_posix() for source in self.sources for path in root.glob(source)}
        return sorted(found - {*self.without})

    def ordered(self, file: str, root: Path = ROOT) -> tuple[str, ...]:
        """Return the area's own tests, those first that say most of what this file defines."""
        tree = ast.parse((root / file).read_text(encoding="utf-8"))
        kinds = (ast.FunctionDef, ast.ClassDef)
        names = {node.name for node in ast.walk(tree) if isinstance(node, kinds) and not node.name.startswith("__")}

        def said(test: str) -> int:
            words = set(re.findall(r"\w+", (root / test).read_text(encoding="utf-8")))
            return len(words & names)

        return tuple(sorted(self.tests, key=said, reverse=True))


def _core(*names: str) -> tuple[str, ...]:
    return tuple(f"tests/core/test_{name}.py" for name in names)


def _analysis(*names: str) -> tuple[str, ...]:
    return tuple(f"tests/analysis/test_{name}.py" for name in names)


def _nn(*names: str) -> tuple[str, ...]:
    return tuple(f"tests/nn/test_{name}.py" for name in names)


#: of all areas: records cannot be changed, and the examples of docstrings give what they say
COMMON = ("tests/test_values.py", "tests/pages/test_docstrings_core.py", "tests/pages/test_docstrings_rooms.py")
STORAGE, THRESHOLD = "modiff_sim/recursion/storage.py", "modiff_sim/recursion/threshold.py"
STATES = "modiff_sim/nn/states.py"

AREAS = (
    Area(
        "recursion",
        ("modiff_sim/recursion/**/*.py",),
        _core("recursion", "scheme", "bilinear", "foreign", "counts_and_seeds", "arrays_let_in"),
        (*COMMON, *_core("storage", "simulate", "bounds")),
        without=(STORAGE, THRESHOLD),
    ),
    Area(
        "quantizers",
        ("modiff_sim/quantizers/**/*.py",),
        (
            *_core("quantizers", "quantizers_clipping", "quantizers_floats", "granularity", "split", "registry"),
            *_core("counts_and_seeds", "arrays_let_in"),
        ),
        (*COMMON, *_core("simulate", "bounds_static", "cli")),
    ),
    Area(
        "bounds",
        ("modiff_sim/bounds/**/*.py",),
        (
            *_core("bounds", "bounds_chain", "bounds_drift", "bounds_loop", "bounds_restarts", "bounds_static"),
            *_core("bounds_stochastic", "bounds_young", "bilinear", "threshold", "certificates", "growth"),
            *_core("arrays_let_in", "counts_and_seeds"),
        ),
        (*COMMON, *_core("cli", "regimes")),
    ),
    Area("evidence", ("modiff_sim/evidence.py",), _core("evidence"), (*COMMON, *_core("cost", "threshold", "growth"))),
    Area(
        "metrics",
        ("modiff_sim/metrics/*.py",),
        _analysis("metrics", "metrics_sets", "metrics_judge"),
        (*COMMON, *_analysis("images", "quality", "compare", "classifier")),
    ),
    Area(
        "state formats",
        (STORAGE, STATES),
        (*_core("storage"), *_nn("states", "checkpoints")),
        (*COMMON, *_core("scheme", "cost", "foreign"), *_nn("calls")),
    ),
    Area(
        "thresholds",
        (THRESHOLD,),
        _core("threshold"),
        (*COMMON, *_core("scheme", "quantizers_clipping", "bilinear"), *_nn("sparsity")),
    ),
    Area(
        "samplers",
        ("modiff_sim/diffusion/**/*.py",),
        (
            *_core("samplers", "samplers_orders", "denoisers", "mixture_sampling", "arrays_let_in", "counts_and_seeds"),
            *_nn("samplers_diffusers"),
        ),
        (*COMMON, *_core("prediction"), *_nn("schedulers")),
    ),
    Area("cost", ("modiff_sim/cost*.py",), _core("cost"), (*COMMON, *_core("recommendation", "split"))),
)
