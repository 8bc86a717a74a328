"""The commands of ``modiff-sim``, one module each: ``run(chosen)`` prints what was found and returns the exit code.

``printing`` prints it as a table, CSV or JSON, ``written`` is about the files that options name for it, ``taken`` reads
the quantizers that options name, and ``effects`` refuses options that would do nothing. A wrong name or value raises
ValueError, which ``cli`` turns into one line on stderr. A module is imported when its command is run, so that no
command waits for the imports of another.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from importlib import import_module

COMMANDS = (
    "simulate",
    "bounds",
    "contraction",
    "worst-case",
    "recommend",
    "explore",
    "quantizers",
    "verify",
    "completion",
)


def load(chosen: Namespace) -> Callable[[Namespace], int]:
    """Import what the chosen command needs, check what can be checked before it runs, and return its ``run``."""
    module = import_module(f".{chosen.command.replace('-', '_')}", __name__)
    if getattr(chosen, "plot", None):
        from .plotting import check

        check(chosen.plot)  # before any work is done
    if "json" in chosen:  # the commands that print rows
        from . import effects, written

        written.check_rows(chosen)
        effects.settle(chosen)
    run: Callable[[Namespace], int] = module.run
    return run
