"""Programs that are started to be disturbed, and waiting for what they report: for events, never for seconds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from modiff_sim.sweeps.rowlog import RowLog
from modiff_sim.sweeps.store import LOG
from modiff_sim.sweeps.verification import verify

from . import driver
from .driver import GUARD

T = TypeVar("T")
ROOT = Path(__file__).parents[2]


class WaitingProgram:
    """A process with a session of its own. Leaving the context kills whatever is still alive in that session."""

    def __init__(self, command: Sequence[Any], said: Path, environment: Mapping[str, Any], **options: Any) -> None:
        said.parent.mkdir(parents=True, exist_ok=True)
        self.said = said
        with open(said, "wb") as out:
            self.process = subprocess.Popen(
                list(map(str, command)),
                stdout=out,
                stderr=out,
                start_new_session=True,
                env=os.environ | {"PYTHONPATH": str(ROOT)} | {k: str(v) for k, v in environment.items()},
                **options,
            )
        self.pid = self.process.pid

    def __enter__(self) -> WaitingProgram:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.signal(signal.SIGKILL, everyone=True)
        self.process.wait()

    def signal(self, number: int, *, to: int = 0, everyone: bool = False) -> None:
        """Send a signal to the program, to one process of its session or, as a terminal does, to the whole session."""
        with suppress(ProcessLookupError):
            (os.killpg if everyone else os.kill)(to or self.pid, number)

    def end(self) -> tuple[int, str]:
        """Wait until it has ended, and return (exit code, all its output)."""
        self.process.wait(GUARD)
        return self.process.returncode, self.output()

    def output(self) -> str:
        """Return all that the program has written so far."""
        return self.said.read_text(encoding="utf-8", errors="replace")

    def others(self) -> dict[int, str]:
        """Return process id -> command line of what is alive in its session besides itself."""
        found = {}
        for entry in Path("/proc").iterdir():
            try:
                state, _, group, session = (entry / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[:4]
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except (OSError, ValueError):  # not a process, or one that has just ended
                continue
            if str(self.pid) in (group, session) and state != "Z" and int(entry.name) != self.pid:
                found[int(entry.name)] = line
        return found


def wait_for(condition: Callable[[], T], *programs: WaitingProgram) -> T:
    """Return the condition's value as soon as it is true. Raises RuntimeError if one of the programs ends before."""
    end = time.monotonic() + GUARD
    while True:
        ended = [p for p in programs if p.process.poll() is not None]
        if found := condition():
            return found
        if ended or time.monotonic() > end:
            why = f"it ended with {ended[0].process.returncode}" if ended else f"nothing happened in {GUARD} s"
            said = "\n".join(p.output() for p in ended or programs)
            raise RuntimeError(f"{why}, before what was waited for:\n{said}")
        time.sleep(0.01)


def begun(count: Path) -> list[tuple[int, int]]:
    """Return (index, process id) of every point that was announced in this file, see ``driver.begin``."""
    lines = count.read_text(encoding="utf-8").splitlines() if count.exists() else []
    return [(int(index), int(pid)) for index, pid in map(str.split, lines)]


class Started:
    """The driver on a folder of its own, and what it has written there."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.store, self.table, self.count = folder, folder / "s", folder / "table", folder / "count"
        self._started = 0

    def arguments(self) -> list[str]:
        """Return the arguments of the driver."""
        return [str(self.store), str(self.table)]

    def start(self, *, options: Mapping[str, Any] | None = None, **environment: Any) -> WaitingProgram:
        """Start the driver with these environment variables."""
        self._started += 1
        command = [sys.executable, "-m", "analysis.faults.driver", *self.arguments()]
        said = self.folder / f"said-{self._started}"
        return WaitingProgram(command, said, {"COUNT": self.count, "OMP_NUM_THREADS": 1} | environment, **options or {})

    def finish(self, **environment: Any) -> tuple[int, str]:
        """Run the driver to its end, and return (exit code, its output)."""
        with self.start(**environment) as program:
            return program.end()

    def rows(self) -> int:
        """Return the number of rows in the log."""
        return len(RowLog(self.store / f"{driver.NAME}{LOG}").entries())

    def begun(self) -> list[tuple[int, int]]:
        """Return (index, process id) of every point that was begun, in that order."""
        return begun(self.count)

    def wait(self, program: WaitingProgram, *, rows: int, begun: int) -> None:
        """Wait until this many rows are stored and this many points have begun."""
        wait_for(lambda: self.rows() >= rows and len(self.begun()) >= begun, program)

    def bytes(self) -> dict[str, bytes]:
        """Return the files of the table: name -> content."""
        return {p.name: p.read_bytes() for p in self.table.iterdir()} if self.table.exists() else {}

    def left_over(self) -> list[str]:
        """Return the names of temporary files, unfinished results, and claims."""
        names = [str(p.relative_to(self.folder)) for p in self.folder.rglob("*")]
        return sorted(name for name in names if "/." in f"/{name}" and not name.endswith(".claims"))

    def problems(self, undisturbed: Mapping[str, bytes], again: int, points: int = driver.POINTS) -> list[str]:
        """Return what differs from an undisturbed run, apart from ``again`` points that were begun once more."""
        wrong = [] if self.bytes() == undisturbed else ["the table is another"]
        if (begun := len(self.begun())) != points + again:
            wrong.append(f"{begun} points were begun, not {points} + {again}")
        count, found = verify(self.folder)
        if count != points + 2:  # every result, the log, the table
            found = [f"verify counts {count} results", *found]
        return wrong + found + [f"left over: {name}" for name in self.left_over()]
