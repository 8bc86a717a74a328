"""A small sweep as a program that can be disturbed:  python -m analysis.faults.driver STORE TABLE [POINTS]

It reads these environment variables, all of which are optional:

    COUNT       a file that gets a line "index pid" whenever a point begins
    HOLD        "n:PATH": points from the n-th (from 0) on wait, once begun, until PATH exists
    KILL        "event:n": SIGKILL just before the n-th (from 1) such event, see ``watch``; "any:n" counts all of them;
                "event:n:seed" also truncates what was written and not synced, as a power failure may
    STEPS       a file that gets the names of all events, a line each, at the end
    WORKERS, SCHEDULER, PATIENCE    see ``modiff_sim.sweeps.parallel``
    BAD         the seed of points that fail
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import modiff_sim as ms
from modiff_sim.sweeps import files, parallel, store, sweep

NAME = "small"
POINTS = 8
GUARD = 600  # seconds of waiting for something that is certain to come: this only prevents hanging for ever
EVENTS = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.chmod", "os.truncate", "fcntl.flock")


def points(count: int = POINTS) -> list[dict[str, Any]]:
    """Return the points of the sweep."""
    common = {"steps": 6, "trials": 8, "threads": 1, "dtype": "float64"}
    return [common | {"seed": i // 2, "quantizer": {"bits": 3 + i % 2}} for i in range(count)]


def compute(point: Mapping[str, Any]) -> sweep.Output:
    """Simulate a closed loop. Returns a row with its largest error, and the errors."""
    bits = point["quantizer"]["bits"]
    index = 2 * point["seed"] + bits - 3
    begin(index)
    if os.environ.get("BAD") == str(point["seed"]):
        raise ZeroDivisionError("no such point")
    r = ms.simulate(
        ms.processes.random_walk(d=16),
        ms.AbsMax(bits),
        recursion="closed_loop",
        steps=point["steps"],
        trials=point["trials"],
        seed=point["seed"],
        workers=1,
    )
    return sweep.Output({"error": float(r.error_inf.max()), "label": "größte"}, {"error_inf": r.error_inf})


def begin(index: int) -> None:
    """Announce a point in COUNT. Then wait for the file of HOLD, if the point is one of those that wait."""
    if "COUNT" in os.environ:
        with open(os.environ["COUNT"], "a", encoding="utf-8") as file:
            file.write(f"{index} {os.getpid()}\n")
    first, _, gate = os.environ.get("HOLD", "").partition(":")
    if gate and index >= int(first):
        end = time.monotonic() + 2 * GUARD
        while not os.path.exists(gate):
            if time.monotonic() > end:
                raise TimeoutError(f"nobody opened the gate {gate}")
            time.sleep(0.01)


def watch(roots: list[str], reached: Callable[[str], None]) -> dict[str, int]:
    """Call ``reached(event)`` from now on before this process does anything to files below the roots.

    The events are those of ``EVENTS`` (Python's own audit events), and "fsync" and "synced" around every fsync.

    Returns the size, by path, that each file had when it was opened for writing. The mapping is kept up to date, and
    files that were synced since are not in it.
    """
    unsynced: dict[str, int] = {}

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event not in EVENTS:
            return
        path = os.fsdecode(args[0]) if isinstance(args[0], (str, bytes, os.PathLike)) else None
        if path is None and event == "open":  # opens a file descriptor, whose own opening was an event
            return
        if path is not None and os.path.isabs(path) and not path.startswith(tuple(roots)):
            return
        reached(event)
        if event == "open" and path is not None and args[2] & (os.O_WRONLY | os.O_RDWR):
            unsynced[path] = os.path.getsize(path) if os.path.exists(path) else 0
        if event == "os.rename":  # the new name may be on disk before the content
            source, target = map(os.fsdecode, args[:2])
            for old in [p for p in unsynced if p == source or p.startswith(f"{source}/")]:
                unsynced[target + old[len(source) :]] = unsynced.pop(old)

    real = os.fsync

    def fsync(handle: Any) -> None:
        reached("fsync")
        real(handle)
        number = handle if isinstance(handle, int) else handle.fileno()
        unsynced.pop(os.readlink(f"/proc/self/fd/{number}"), None)
        reached("synced")

    os.fsync = fsync
    sys.addaudithook(hook)
    return unsynced


def kill_at(kill: str, roots: list[str]) -> list[str]:
    """Have this process killed as ``KILL`` says. Returns the events so far, in a list that grows."""
    event, _, rest = kill.partition(":")
    n, _, seed = rest.partition(":")
    seen: list[str] = []

    def reached(this: str) -> None:
        seen.append(this)
        if n and (len(seen) if event == "any" else seen.count(event)) == int(n) and event in ("any", this):
            if seed:
                tear(random.Random(seed))
            os.kill(os.getpid(), signal.SIGKILL)

    def tear(chosen: random.Random) -> None:
        for path, before in unsynced.items():
            if os.path.exists(path) and before < (now := os.path.getsize(path)):
                os.truncate(path, chosen.randint(before, now))

    unsynced = watch(roots, reached)
    return seen


def main(arguments: list[str]) -> int:
    """Run the sweep, write its table, and return the exit code."""
    root, folder, *count = arguments
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's ``&`` lets it be ignored
    parallel.PATIENCE = float(os.environ.get("PATIENCE", parallel.PATIENCE))
    files.ABANDONED = -1  # what a kill leaves is removed at once, since the locks of this disk are tested
    seen = kill_at(os.environ.get("KILL", ""), [root, folder]) if {"KILL", "STEPS"} & os.environ.keys() else []
    mine = points(*map(int, count))
    try:
        rows = sweep.run(
            mine,
            compute,
            store.Store(root),
            name=NAME,
            workers=int(os.environ.get("WORKERS", 1)),
            scheduler=os.environ.get("SCHEDULER"),
            label="points",
        )
    except sweep.Stopped as stopped:
        print(stopped, file=sys.stderr)
        return 130
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    sweep.table(mine, rows, folder, name=NAME)
    if "STEPS" in os.environ:
        Path(os.environ["STEPS"]).write_text("\n".join(seen), encoding="utf-8")
    return 0


if __name__ == "__main__":
    from analysis.faults import driver  # so that ``compute`` belongs to a module that workers can import

    sys.exit(driver.main(sys.argv[1:]))
