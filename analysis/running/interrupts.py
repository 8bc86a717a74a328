"""How a command begins and is interrupted: from the first import on, Ctrl-C gives one line and exit code 130."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from modiff_sim import console
from modiff_sim.console import Stopped, importing, on_interrupt

__all__ = ["Stopped", "begin", "finished_first"]


def begin(module: str) -> int:
    """Import the module of a command, which may take seconds, run its ``main``, and return the exit code."""
    console.utf8_output()
    return console.finish(lambda: int(_imported(module).main()), lambda: f"python -m {module}")


def _imported(module: str) -> Any:
    with importing(f"python -m {module}"):
        return importlib.import_module(module)


@contextmanager
def finished_first() -> Iterator[None]:
    """Let Ctrl-C wait for the end of the block, so that its changes are complete. A second Ctrl-C does not wait."""
    asked = False

    def later(number: int, frame: object) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    with on_interrupt(later):
        yield
    if asked:
        raise KeyboardInterrupt
