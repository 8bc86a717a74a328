"""How a command begins and is interrupted: Ctrl-C is one line and exit code 130 from the first import on."""

from __future__ import annotations

import importlib
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from modiff_sim import console
from modiff_sim.console import Stopped, raises_here

__all__ = ["Stopped", "begin", "finished_first"]


def begin(module: str) -> int:
    """Import the module of a command, which may take seconds, and run its ``main``; returns the exit code."""
    console.utf8_output()
    return console.finish(lambda: int(_imported(module).main()), lambda: f"python -m {module}")


def _imported(module: str) -> Any:
    """The module. Ctrl-C ends the process at once: libraries turn a KeyboardInterrupt in their imports into others."""

    def leave(*_: object) -> None:
        console.complain(f"python -m {module}: interrupted before anything was begun")
        os._exit(130)

    if not raises_here():
        return importlib.import_module(module)
    signal.signal(signal.SIGINT, leave)
    try:
        return importlib.import_module(module)
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def finished_first() -> Iterator[None]:
    """Ctrl-C waits for the end of the block, so that what it changes is whole; a second one does not wait."""
    asked = False

    def later(number: int, frame: object) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    if not raises_here():
        yield
        return
    signal.signal(signal.SIGINT, later)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if asked:
        raise KeyboardInterrupt
