"""Deliberate faults: runs are killed, files are damaged, calls are interrupted and commands are misused.

``python -m analysis.faults KIND --times N`` tries one kind and counts the outcomes; docs/faults.md holds the counts.
Every kind is a module here with a function ``attempts(times, seed, folder)`` that yields one ``Attempt`` at a time.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Attempt:
    """One fault: what was done, what the outcome was, and whether that was right."""

    what: str
    outcome: str
    right: bool
