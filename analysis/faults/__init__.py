"""Faults on purpose: runs are killed, files are damaged, calls are interrupted and commands are misused.

``python -m analysis.faults KIND --times N`` tries one kind and counts what happened; docs/faults.md holds the counts.
Every kind is a module here with a function ``attempts(times, seed, folder)`` that yields an ``Attempt`` at a time.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Attempt:
    """One fault: what was done, what came of it, and whether that was right."""

    what: str
    outcome: str
    right: bool
