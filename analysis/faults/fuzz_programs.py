"""The programs of this project that are fuzzed, and what keeps each of their command lines cheap.

``cheap`` are arguments that come first and that later ones override. Whatever is still expensive, or writes into this
checkout where the arguments are right, is replaced while a program is fuzzed (``stubs``). The program itself parses and
checks the arguments and the files that they name; the stub then takes the place of minutes of computing.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from modiff_sim.sweeps.store import StoreError


@dataclass(frozen=True)
class FuzzedProgram:
    """A module with a ``main(arguments)``, or one command of it.

    begun: whether it is run as ``python -m`` runs it, by ``interrupts.begin``, which handles what ``main`` raises; the
           console script does that itself.
    stubs: "module.name", or "module:owner.name" -> what it is replaced by, given the folder of the attempts.
    """

    module: str
    command: str = ""
    cheap: tuple[str, ...] = ()
    begun: bool = True
    stubs: Mapping[str, Callable[[Path], Any]] = field(default_factory=dict)

    def main(self) -> Callable[[list[str]], Any]:
        """The function that is called with the arguments."""
        if not self.begun:
            return importlib.import_module(self.module).main
        from ..running.interrupts import begin

        def as_started(arguments: list[str]) -> int:
            with mock.patch.object(sys, "argv", [self.module, *arguments]):
                return begin(self.module)

        return as_started

    @contextmanager
    def made_cheap(self, place: Path) -> Iterator[None]:
        """Put the stubs in place within the context."""
        with ExitStack() as stack:
            for name, made in self.stubs.items():
                owner, _, attribute = name.rpartition(".")
                stack.enter_context(mock.patch.object(pkgutil.resolve_name(owner), attribute, made(place)))
            yield


def _returns(value: Any) -> Callable[[Path], Any]:
    return lambda place: lambda *_, **__: value


def _keeps_nothing(place: Path) -> Callable[..., Any]:
    """Return what refuses to keep rows, since none were measured."""

    def keep(*_: Any, **__: Any) -> Any:
        raise StoreError("nothing was measured")

    return keep


def _small_recipes(place: Path) -> dict[str, Any]:
    """Return the recipes with the network of the digits, fitted to the shape of the data, and two images per step."""
    from ..training.recipes import RECIPES

    small = {"block_out_channels": [8, 8], "norm_num_groups": 4, "attention_head_dim": 8}
    return {
        name: replace(
            recipe,
            config=RECIPES["digits"].config
            | {k: recipe.config[k] for k in ("sample_size", "in_channels", "out_channels")}
            | small,
            settings=replace(recipe.settings, batch=2, warmup=1, device="cpu"),
        )
        for name, recipe in RECIPES.items()
    }


def _few_arms(place: Path) -> dict[str, Any]:
    from ..experiments.arm_table import ARMS

    return dict(list(ARMS.items())[:4])


_COMMANDS = {
    "simulate": ("--steps", "3", "--trials", "2", "--d", "4"), "bounds": ("--steps", "3"),
    "contraction": ("--d", "4", "--trials", "2"), "worst-case": ("--n", "1", "2"), "recommend": (), "quantizers": (),
    "verify": (), "completion": (), "explore": (),
}  # fmt: skip
#: what would wait for Ctrl-C
_STUBS: dict[str, Any] = {"explore": {"modiff_sim.commands.explore.serve": lambda place: lambda command: 0}}

PROGRAMS = {
    **{
        f"modiff-sim {name}": FuzzedProgram("modiff_sim.cli", name, cheap, begun=False, stubs=_STUBS.get(name, {}))
        for name, cheap in _COMMANDS.items()
    },
    "analysis.sample": FuzzedProgram(
        "analysis.sample",
        cheap=("--images", "2", "--batch", "2", "--steps", "2", "--device", "cpu"),
        stubs={"modiff_sim.sweeps.parallel.PATIENCE": lambda place: 0.2},
    ),
    "analysis.train": FuzzedProgram(
        "analysis.train",
        cheap=("--steps", "2", "--minutes", "0.02", "--grid", "0"),
        stubs={"analysis.train.RECIPES": _small_recipes},
    ),
    "analysis.experiments.arms": FuzzedProgram(
        "analysis.experiments.arm_table",
        cheap=("--images", "2", "--steps", "2"),
        stubs={"analysis.experiments.arm_table.ARMS": _few_arms},
    ),
    "analysis.tables": FuzzedProgram(
        "analysis.tables.__main__",
        stubs={
            "analysis.tables.command.measure": _returns([]),
            "analysis.tables.command.keep": _keeps_nothing,
            "analysis.tables.command.rekey": _returns((0, 0.0)),
            "analysis.tables.command:stored.save": _returns(None),
            "analysis.tables.command.PAGE": lambda place: place / "tables.md",
        },
    ),
    "analysis.reproduce": FuzzedProgram(
        "analysis.reproduce",
        stubs={
            "analysis.reproduce.sample_everything": _returns([]),
            "analysis.reproduce.figures_and_checks": _returns((0, {"figures": {}, "claims": {}})),
            "analysis.running.durations.FOLDER": lambda place: place,
            "analysis.report.build": _returns("report.html"),
        },
    ),
    "analysis.experiments.recordings": FuzzedProgram(
        "analysis.experiments.recordings", cheap=("--steps", "2", "--images", "2")
    ),
    "analysis.compare": FuzzedProgram("analysis.compare"),
    "analysis.memory": FuzzedProgram(
        "analysis.memory",
        cheap=("--model", "digits"),
        stubs={"analysis.memory.PAGE": lambda place: place / "empty", "analysis.memory.page": _returns("")},
    ),
    "analysis.training.quality": FuzzedProgram(
        "analysis.training.quality",
        stubs={
            "analysis.training.quality.measure": _returns({}),
            "analysis.training.quality.write_json": _returns(None),
        },
    ),
    "analysis.training.classifier": FuzzedProgram(
        "analysis.training.classifier",
        stubs={
            "analysis.training.classifier.train": _returns({}),
            "analysis.training.classifier.reference": lambda place: mock.MagicMock(),
        },
    ),
    "analysis.experiments.caching": FuzzedProgram(
        "analysis.experiments.caching",
        stubs={
            "analysis.experiments.caching.measure": _returns([]),
            "analysis.experiments.caching.table": _returns(""),
        },
    ),
    "analysis.benchmarks.sampling": FuzzedProgram(
        "analysis.benchmarks.sampling",
        cheap=("--model", "digits", "--batch", "1", "--calls", "1", "--threads", "1"),
        stubs={"analysis.benchmarks.sampling.turns": lambda place: lambda _, arms, *__: (np.ones((1, len(arms))), {})},
    ),
    "analysis.benchmarks.simulate": FuzzedProgram(
        "analysis.benchmarks.simulate",
        stubs={
            "analysis.benchmarks.simulate.page": _returns("page"),
            "analysis.benchmarks.simulate.HERE": lambda place: place / "here.md",
        },
    ),
    "analysis.benchmarks.step": FuzzedProgram(
        "analysis.benchmarks.step",
        stubs={
            "analysis.benchmarks.step.page": _returns("page"),
            "analysis.benchmarks.step.HERE": lambda place: place / "here.md",
            "analysis.benchmarks.step.make": _returns(None),
            "analysis.benchmarks.step.step_turns": _returns(None),
            "analysis.benchmarks.step.step_rows": _returns([]),
            "analysis.benchmarks.step.whole_runs.rows": _returns([]),
        },
    ),
    "analysis.benchmarks.memory": FuzzedProgram(
        "analysis.benchmarks.memory",
        cheap=("--model", "digits", "--batch", "1"),
        stubs={"analysis.benchmarks.memory.measure": _returns([])},
    ),
    "analysis.benchmarks.throughput": FuzzedProgram(
        "analysis.benchmarks.throughput",
        cheap=("--batch", "1", "--steps", "1", "--repeats", "1"),
        stubs={"analysis.benchmarks.throughput.measure": _returns([])},
    ),
    "analysis.benchmarks.sweeps": FuzzedProgram(
        "analysis.benchmarks.sweeps",
        stubs={"analysis.benchmarks.sweeps.measure": lambda place: lambda *_: {"bytes": 1.0}},
    ),
    "analysis.contents": FuzzedProgram(
        "analysis.contents", stubs={"analysis.contents.PAGE": lambda place: place / "contents.md"}
    ),
    "analysis.mutation": FuzzedProgram(
        "analysis.mutation.__main__",
        stubs={
            "analysis.mutation.__main__.sample": _returns([]),
            "analysis.mutation.__main__.outcomes": _returns([]),
        },
    ),
    "analysis.witness": FuzzedProgram(
        "analysis.witness.__main__", stubs={"analysis.witness.__main__._measured": _returns(None)}
    ),
    "figures": FuzzedProgram(
        "figures.__main__",
        stubs={"figures.__main__.make": _returns([]), "figures.__main__.PAGE": lambda place: place / "figures.md"},
    ),
    "paper_checks": FuzzedProgram(
        "paper_checks.__main__",
        stubs={f"paper_checks.__main__.{name}": _returns([]) for name in ("run", "write_pages", "write_verdicts")},
    ),
}
