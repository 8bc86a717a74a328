"""The recursions, one per file. A new one is a new file with a dictionary ``RECURSIONS`` (see docs/extending.md)."""

from __future__ import annotations

from ...registry import entries
from ..base import Recursion
from .closed_loop import ClosedLoop
from .direct import Direct
from .open_loop import OpenLoop

__all__ = ["RECURSIONS", "ClosedLoop", "Direct", "OpenLoop"]

#: the order of tables and legends; a recursion that is not named here follows by name
ORDER = ("direct", "open_loop", "closed_loop")

#: name -> recursion, from the dictionaries of this name in the files. CLI choices and tests iterate over it.
RECURSIONS: dict[str, Recursion] = entries(__name__, "RECURSIONS")
