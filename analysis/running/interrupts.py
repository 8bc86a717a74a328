"""How a command begins and is interrupted: Ctrl-C is one line and exit code 130 from the first import on."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from modiff_sim import console
from modiff_sim.console import Stopped, importing, on_interrupt

__all__ = ["Stopped", "begin", "finished_first"]


def begin(module: str) -> int:
    """Import the module of a command, which may take seconds, and run its ``main``; returns the exit code."""
    console.utf8_output()
    return console.finish(lambda: int(_imported(module).main()), lambda: f"python -m {module}")


def _imported(module: str) -> Any:
    with importing(f"python -m {module}"):
        return importlib.import_module(module)


@contextmanager
def finished_first() -> Iterator[None]:
    """Ctrl-C waits for the end of the block, so that what it changes is whole; a second one does not wait."""
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
