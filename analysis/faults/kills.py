"""The driver is killed at random moments, several times in a row, then finished. The kills must leave no trace."""

from __future__ import annotations

import io
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import redirect_stderr
from pathlib import Path
from types import TracebackType
from typing import Any

from modiff_sim.sweeps.store import Store

from . import Attempt, driver
from .waiting import ROOT, Started


class Forks:
    """A process that has imported everything, has not started threads, and runs the driver in forks of itself."""

    def __enter__(self) -> Forks:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "analysis.faults.kills"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.process.communicate()

    def run(self, run: Started, *more: Any, **environment: Any) -> int:
        """Run the driver and return its exit code. Its output is appended to ``said``."""
        about = {"COUNT": run.count} | environment
        job = [str(run.folder / "said"), {k: str(v) for k, v in about.items()}, [*run.arguments(), *map(str, more)]]
        assert self.process.stdin
        assert self.process.stdout
        print(json.dumps(job), file=self.process.stdin, flush=True)
        return int(self.process.stdout.readline())


def serve() -> None:
    """Read a job per line of stdin, and write its exit code as a line of stdout.

    An undisturbed run before the first job imports everything.
    """
    with tempfile.TemporaryDirectory() as folder, redirect_stderr(io.StringIO()):
        driver.main([f"{folder}/s", f"{folder}/table", "1"])
    for line in sys.stdin:
        if (child := os.fork()) == 0:
            fork(*json.loads(line))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def fork(said: str, environment: Mapping[str, str], arguments: list[str]) -> None:
    """Run the driver in this forked process, and end the process with its exit code."""
    signal.alarm(driver.GUARD)
    handle = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os.environ.update(environment)
    code = 1
    try:
        code = driver.main(arguments)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def attempts(times: int, seed: int, folder: Path, points: int = 4) -> Iterator[Attempt]:
    """Kill the driver up to five times in a row, each attempt on a fresh folder. The same seed gives the same kills."""
    with Forks() as forks:
        whole = Started(folder / "whole")
        whole.folder.mkdir(parents=True)
        if forks.run(whole, points, STEPS=folder / "steps"):
            raise RuntimeError((whole.folder / "said").read_text(encoding="utf-8"))
        events = Counter((folder / "steps").read_text(encoding="utf-8").splitlines())
        for i in range(times):
            run = Started(folder / str(i))
            run.folder.mkdir()
            yield killed(forks, run, random.Random(f"{seed}:{i}"), points, events, whole.bytes())


def killed(
    forks: Forks,
    run: Started,
    chosen: random.Random,
    points: int,
    events: Counter[str],
    undisturbed: Mapping[str, bytes],
) -> Attempt:
    """Try one sequence of kills, then let the driver finish, and judge the outcome."""
    kills, wrong, lost = [], [], 0
    for _ in range(chosen.choice([1, 1, 1, 2, 3, 5])):
        kills.append(kill := kill_of(chosen, events, 1 - results(run, points) / points))
        done, begun = results(run, points), len(run.begun())
        if (code := forks.run(run, points, KILL=kill)) == 0:  # it ended before that moment
            kills.pop()
            break
        if code != -signal.SIGKILL:
            wrong.append(f"exit code {code}")
        more, cost = results(run, points) - done, len(run.begun()) - begun
        lost += cost - more
        if not 0 <= cost - more <= 1:
            wrong.append(f"{kill}: {cost} points were begun, {more} more are done")
    if code := forks.run(run, points):
        wrong.append(f"exit code {code}")
    wrong += run.problems(undisturbed, again=lost, points=points)
    said = (run.folder / "said").read_text(encoding="utf-8")
    if "Traceback" in said:
        wrong.append(said)
    what = f"killed {len(kills)} times in a row, then finished"
    outcome = f"the same table, {lost} points once more"
    return Attempt(what, "; ".join([f"at {', '.join(kills)}", *wrong]) if wrong else outcome, not wrong)


def kill_of(chosen: random.Random, events: Counter[str], left: float) -> str:
    """Draw a moment, for ``KILL``, of a run with this share of its work left. Half of them tear what was not synced."""
    event = chosen.choice(["any", *sorted(events)])
    count = events.total() if event == "any" else events[event]
    return f"{event}:{chosen.randint(1, max(1, int(count * left)))}" + chosen.choice(["", f":{chosen.randint(0, 999)}"])


def results(run: Started, points: int) -> int:
    """Return how many points need not begin again, because their arrays (with their rows beside them) are complete."""
    store = Store(run.store)
    return sum(store.has(driver.NAME, point) for point in driver.points(points))


if __name__ == "__main__":
    serve()
