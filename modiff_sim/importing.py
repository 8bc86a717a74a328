"""Imports that take seconds, and Ctrl-C in them. Nothing but the standard library is imported."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator

from .console import complain, raises_here


@contextlib.contextmanager
def importing(who: str) -> Iterator[None]:
    """Ctrl-C within the block, in which a program imports what it needs, is one line and ends the process with 130.

    Libraries turn a KeyboardInterrupt in their imports into other exceptions, or print it and go on without a part.
    """

    def leave(*_: object) -> None:
        complain(f"{who}: interrupted before anything was begun")
        os._exit(130)

    if not raises_here():
        yield
        return
    signal.signal(signal.SIGINT, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
