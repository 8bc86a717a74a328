"""How long the parts of `make reproduce` took, measured on one machine: for its first line and its estimates.

``walltime/EFFORT.json`` has the form of OUT/walltime.json, which every run writes, and is a copy of one.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path

from modiff_sim.arguments import said_seconds
from modiff_sim.sweeps.parallel import cores

FOLDER = Path(__file__).parent / "walltime"


@dataclass(frozen=True)
class Durations:
    """Seconds that a run took: in all, and each claim and figure by itself; on which machine, and on which day."""

    machine: str = ""
    day: str = ""
    total: float = 0.0
    sampling: float = 0.0
    claims: Mapping[str, float] = field(default_factory=dict)
    figures: Mapping[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        """The total in words, with the machine and the day."""
        return f"{said_seconds(self.total)} on {self.machine} ({self.day})" if self.total else "unknown"

    def text(self) -> str:
        """The text of a file."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n"


@cache
def known(effort: str) -> Durations:
    """Return how long a run of this effort took when it was measured; empty where that was never done."""
    path = FOLDER / f"{effort}.json"
    return Durations(**json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else Durations()


def this_machine() -> str:
    """Return a description of this machine: cores, processor, memory, system."""
    processor = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.is_file():
        lines = information.read_text(encoding="utf-8", errors="replace").splitlines()
        models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        processor = models[0] if models else processor
    memory = ""
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        memory = f", {os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB"
    return f"{cores()} cores of {processor}{memory}, {platform.system()}"


class Estimate:
    """The time that is left, by what the finished parts took here and what all of them took when measured.

    Parameters
    ----------
    expected : mapping
        Part -> seconds that it took when measured. Parts that are not named count as the mean of these.
    parts : list of str
        The parts of this run.
    workers : int, default 1
        Processes that share them.
    """

    def __init__(self, expected: Mapping[str, float], parts: list[str], *, workers: int = 1) -> None:
        usual = sum(expected.values()) / len(expected) if expected else 0.0
        self.waiting = {part: expected.get(part, usual) for part in parts}
        self.done, self.workers, self.start = 0.0, workers, time.perf_counter()

    def left(self, part: str) -> float | None:
        """Return the seconds that are left after this part, None where nothing is known."""
        self.done += self.waiting.pop(part, 0.0)
        expected = sum(self.waiting.values())
        if not expected + self.done:
            return None
        elapsed = time.perf_counter() - self.start
        # a machine's speed is known once a tenth of the work is done; until then, that of the measurement
        speed = elapsed / self.done if self.done > 0.1 * (expected + self.done) else 1 / self.workers
        return expected * speed
