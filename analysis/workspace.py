"""Where results lie, and work spread over processes with a progress bar.

The folder is ``$MODIFF_OUT`` (default ``out``); ``results`` in it is a ``modiff_sim.store.Store``.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from modiff_sim.store import Store


def folder() -> Path:
    """The output folder of this run."""
    return Path(os.environ.get("MODIFF_OUT", "out"))


def use(path: str | Path) -> None:
    """Make this the output folder of this process and of the processes it starts."""
    os.environ["MODIFF_OUT"] = str(path)


def store() -> Store:
    return Store(folder() / "results")


def workers() -> int:
    """Processes to use: $MODIFF_WORKERS, else the cores this process may run on."""
    wanted = os.environ.get("MODIFF_WORKERS", "")
    if wanted:
        if not wanted.isdecimal() or int(wanted) < 1:
            raise ValueError(f"MODIFF_WORKERS must be a whole number >= 1, got {wanted!r}")
        return int(wanted)
    affinity = getattr(os, "sched_getaffinity", None)  # Linux only
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def spread(tasks: Sequence[Callable[[], Any]], label: str) -> None:
    """Run independent tasks, each of which stores its own result, over the cores. One torch thread per process.

    Nothing is returned: whatever was finished is in the store, so an interrupted call goes on where it stopped.
    """
    if not tasks:
        return
    from joblib import Parallel, delayed

    many = min(workers(), len(tasks))
    parallel = Parallel(n_jobs=many, backend="loky" if many > 1 else "sequential", return_as="generator_unordered")
    done = parallel(delayed(task)() for task in tasks)
    if sys.stderr.isatty():
        from tqdm import tqdm

        for _ in tqdm(done, total=len(tasks), desc=label, unit="task"):
            pass
        return
    last = time.monotonic()
    for i, _ in enumerate(done):
        if i + 1 == len(tasks) or time.monotonic() - last > 10:
            print(f"{label}: {i + 1} of {len(tasks)}", file=sys.stderr, flush=True)
            last = time.monotonic()
