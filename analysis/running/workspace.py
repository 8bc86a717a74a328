"""Where results lie, and work that is spread over processes with a progress bar.

The folder is ``$MODIFF_OUT`` (default ``out``); ``results`` in it is a ``modiff_sim.sweeps.store.Store``.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from modiff_sim.sweeps.parallel import cores, progress, unordered
from modiff_sim.sweeps.store import Store


def folder() -> Path:
    """Return the output folder of this run."""
    return Path(os.environ.get("MODIFF_OUT", "out"))


def use(path: str | Path) -> None:
    """Make this the output folder of this process and of the processes it starts."""
    os.environ["MODIFF_OUT"] = str(path)


def store() -> Store:
    """Return the store of results in the output folder."""
    return Store(folder() / "results")


def workers() -> int:
    """Return the number of processes to use: $MODIFF_WORKERS, or the number of cores that this process may run on."""
    wanted = os.environ.get("MODIFF_WORKERS", "")
    if wanted:
        if not wanted.isdecimal() or int(wanted) < 1:
            raise ValueError(f"MODIFF_WORKERS must be a whole number >= 1, got {wanted!r}")
        return int(wanted)
    return cores()


def spread(tasks: Sequence[Callable[[], Any]], label: str, *, apart: bool = True) -> None:
    """Run independent tasks over the cores, with one torch thread per process. Each task stores its own result.

    With ``apart=False`` they run in this process, for tasks that take less time than a worker takes to start.

    This is for results of different kinds; many points of one kind are a sweep (``modiff_sim.sweeps``). What was
    finished is in the store, so an interrupted call goes on where it stopped.
    """
    if not tasks:
        return
    say = progress(label, len(tasks))
    for i, _ in enumerate(unordered(tasks, workers=min(workers(), len(tasks)) if apart else 1)):
        say(i + 1)


def largest_resident() -> int:
    """Return the largest number of bytes that this process has had in memory.

    On Linux it is that of this program alone; ru_maxrss would include the process that started it.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return 1024 * int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text(encoding="utf-8")).group(1))  # type: ignore[union-attr]
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
