"""Kills while workers are at work: of a worker or of the driver, by SIGKILL, SIGTERM and Ctrl-C, at known moments."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path

from . import Attempt, driver
from .waiting import Started, wait_for

WORKERS = 2
SIGNALS = ("SIGKILL", "SIGTERM", "SIGINT")
TARGETS = ("a worker", "the driver", "everyone")


def attempts(times: int, seed: int, folder: Path) -> Iterator[Attempt]:
    """Send every signal to every target in turn, each on a fresh folder. What a kill ends is run again.

    The seed decides how many rows are stored by then.
    """
    whole = Started(folder / "whole")
    code, said = whole.finish()
    if code:
        raise RuntimeError(said)
    chosen = random.Random(seed)
    kinds = [(target, name) for target in TARGETS for name in SIGNALS]
    for i in range(times):
        target, name = kinds[i % len(kinds)]
        run = Started(folder / str(i))
        yield disturbed(run, target, name, chosen.randint(0, driver.POINTS - WORKERS), whole.bytes())


def disturbed(run: Started, target: str, name: str, rows: int, undisturbed: Mapping[str, bytes]) -> Attempt:
    """Send the signal when exactly so many rows are stored and every worker is at work on a point."""
    gate, number, lone = run.folder / "gate", getattr(signal, name), target == "a worker"
    ignored = lone and name == "SIGINT"  # only the driver may stop a worker
    wrong = []
    with run.start(WORKERS=WORKERS, HOLD=f"{rows}:{gate}") as program:
        run.wait(program, rows=rows, begun=rows + WORKERS)
        program.signal(number, to=run.begun()[-1][1] if lone else program.pid, everyone=target == "everyone")
        if lone:
            run.wait(program, rows=rows, begun=rows + (1 if ignored else 2) * WORKERS)  # the points of both begin again
            gate.touch()
        code, said = program.end()
        try:
            wait_for(lambda: not program.others())  # the gate is closed, so no worker waits for its point
        except RuntimeError:
            wrong.append(f"alive after their driver: {program.others()}")
    kept = run.rows()
    if code != (expected := 0 if lone else 130 if name == "SIGINT" else -number):
        wrong.append(f"exit code {code}, not {expected}: {said}")
    if expected == 130 and f"interrupted: {kept} of {driver.POINTS} points are kept" not in said:
        wrong.append(f"{kept} are kept, said was {said}")
    if code and (end := run.finish())[0]:
        wrong.append(f"run again: {end}")
    wrong += run.problems(undisturbed, again=0 if ignored else WORKERS)
    outcome = f"exit code {code}, in the end the same table and no process left"
    return Attempt(f"{name} to {target}", "; ".join([f"{rows} rows stored", *wrong]) if wrong else outcome, not wrong)
