"""``python -m analysis.benchmarks.simulate``: ``simulate`` against a hand-fused kernel; its scaling, workers, memory.

The work of one thread is timed by the processor time of the process, which does not count waiting for a core. Two
workers are timed by the clock. The tables are written to a page that is committed.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import modiff_sim as ms
from modiff_sim.sweeps.files import write_atomic

from ..running import interrupts
from ..running.limits import Parser
from .contest import SHAPES, Contestant, Q, fused_rows, target_rows, turns

HERE = Path(__file__).with_suffix(".md")


def scaling_rows(decades: int, repeats: int) -> list[list[str]]:
    """Time ``simulate`` over several decades of trials and of steps, and fit the exponent of each."""
    walk, sizes = ms.processes.random_walk(16), [10**k for k in range(decades + 1)]

    def run(trials: int, steps: int) -> Callable[[], object]:
        options = {"keep": "summary", "measure": ("error_inf",), "engine": "numba", "workers": 1}
        return lambda: ms.simulate(walk, Q, trials=trials, steps=steps, **options)

    rows = []
    for name, runs in (
        ("trials", {1000 * n: run(1000 * n, 10) for n in sizes}),
        ("steps", {10 * n: run(2048, 10 * n) for n in sizes}),
    ):
        taken = np.median(turns([Contestant(name, one, 0, 0) for one in runs.values()], repeats), axis=0)
        slope = np.polyfit(np.log(list(runs)), np.log(taken), 1)[0]
        rows.append([
            name, ", ".join(f"{n:,}" for n in runs), ", ".join(f"{1e3 * s:.3g}" for s in taken), f"{slope:.2f}"
        ])  # fmt: skip
    return rows


def worker_rows(shapes: Iterable[tuple[int, int]], steps: int, repeats: int) -> list[list[str]]:
    """Compare two workers with one: the efficiency of the second, and whether the results are equal byte for byte."""
    rows = []
    for engine in ("numba", "numpy"):
        for trials, d in shapes:
            walk, results = ms.processes.random_walk(d), {}

            def run(workers: int, walk=walk, engine=engine, trials=trials, results=results) -> None:
                results[workers] = ms.simulate(walk, Q, steps=steps, trials=trials, engine=engine, workers=workers)

            taken = turns([Contestant(str(n), lambda n=n: run(n), 0, 0) for n in (1, 2)], repeats, time.perf_counter)
            one, two = results[1].arrays, results[2].arrays
            same = all(one[name].tobytes() == two[name].tobytes() for name in one)
            efficiency = np.median(taken[:, 0] / (2 * taken[:, 1]))
            milliseconds = [f"{1e3 * s:.0f}" for s in np.median(taken, axis=0)]
            rows.append([f"{trials} × {d}", engine, *milliseconds, f"{efficiency:.0%}", "yes" if same else "NO"])
    return rows


# the peak in /proc is that of this process alone; ru_maxrss starts from that of the process it was forked from
PEAK = """
import sys, modiff_sim as ms
trials, d, steps = map(int, sys.argv[1:])
ms.simulate(ms.processes.random_walk(d), ms.AbsMax(4), trials=trials, steps=steps, keep="summary", engine="numba")
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def memory_rows(trials: Iterable[int], d: int, steps: int) -> list[list[str]]:
    """Return the peak memory in MiB, and the seconds, of runs in processes of their own. Linux only."""
    rows = []
    for n in trials:
        start = time.perf_counter()
        command = [sys.executable, "-c", PEAK, str(n), str(d), str(steps)]
        kib = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        rows.append([f"{n:,}", str(d), str(steps), f"{kib / 1024:.0f}", f"{time.perf_counter() - start:.1f}"])
    return rows


# -- the page ----------------------------------------------------------------------------------------------------------


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


@dataclass(frozen=True)
class BenchmarkEffort:
    """How much is timed: the sizes, and the number of turns for the first table and for the table of workers."""

    shapes: Sequence[tuple[int, int]]
    steps: int
    turns: int
    decades: int
    worker_turns: int
    memory: Sequence[int]


QUICK = BenchmarkEffort(((512, 16), (256, 256), (16, 4096), (4, 8192)), 20, 3, 1, 3, (1_000, 10_000))
FULL = BenchmarkEffort(SHAPES, 100, 5, 3, 11, (1_000, 10_000, 100_000, 1_000_000))


def page(effort: BenchmarkEffort) -> str:
    """Return all tables as one Markdown page."""
    import numba

    from .hand_fused import rates

    start, load = time.perf_counter(), os.getloadavg()
    ceilings = rates(effort.turns)
    fused = fused_rows(effort.shapes, effort.steps, effort.turns, ceilings)
    tables = {
        "rates": table(RATES, [[name, f"{rate / 1e9:.2f}"] for name, rate in ceilings.items()]),
        "fused": table(FUSED, fused),
        "targets": table(TARGET, target_rows(fused)),
        "scaling": table(SCALING, scaling_rows(effort.decades, 3)),
        "workers": table(
            WORKERS, worker_rows([s for s in effort.shapes if s[1] <= 4096], effort.steps, effort.worker_turns)
        ),
        "memory": table(MEMORY, memory_rows(effort.memory, 256, 3)),
    }
    loads = " → ".join(f"{one:.1f}" for one in (load[0], os.getloadavg()[0]))
    return TEXT.format(
        steps=effort.steps,
        turns=effort.turns,
        cores=os.cpu_count(),
        load=loads,
        minutes=(time.perf_counter() - start) / 60,
        python=platform.python_version(),
        numpy=np.__version__,
        numba=numba.__version__,
        **tables,
    )


FUSED = ["trials × d", "inputs", "contestant", "ms", "ratio", "bytes", "operations", "predicted ms"]
TARGET = ["trials × d", "inputs", "numba within 1.3", "numpy within 5", "loop / numba, loop / numpy (all 8)"]
SCALING = ["in", "at", "ms", "exponent"]
WORKERS = ["trials × d", "engine", "ms on 1", "ms on 2", "efficiency", "same bytes"]
RATES = ["per second and core", "10⁹"]
MEMORY = ["trials", "d", "steps", "peak MiB", "seconds"]
TEXT = """\
# `simulate`: closed loop, AbsMax 4 bits, one scale per sample, {steps} steps, float64

Written by `python -m analysis.benchmarks.simulate`; do not edit. {cores} cores, one of them used where nothing is
said; Python {python}, NumPy {numpy}, numba {numba}; load average {load} ({minutes:.1f} min). Compare ratios, not times:
each is the median of {turns} ratios within a turn, in which all contestants of a shape run once.
Times on one core are processor times, those on two are by the clock.

## Against a hand-fused kernel

The kernel (`hand_fused.py`) does r = a - â, s = max|r|/qmax, â += s·round(r/s) and nothing else; `simulate` measures
as well. *streamed*: the inputs lie in memory; *generated*: they are drawn (`random_walk`), by the hand-fused contestant
too. Bytes: memory traffic per entry (one number of one trial at one step) that cannot be avoided, reading inputs and
writing results. Operations: per entry, one of them a division. Predicted, the roofline: the largest of bytes,
operations and divisions over their rates, plus the draws; for NumPy, array operations over the rate of one in the
cache, plus the draws. The loop takes one trial after the other, a few NumPy calls per step (timed on 1/64 of them).

{fused}

The rates, measured in the same run:

{rates}

What may be measured within the targets (1.3 for numba, 5 for NumPy, 20 times faster than the loop):

{targets}

## Cost against trials and steps

Generated, d = 16, error_inf, summary only, numba: 10 steps of so many trials, and so many steps of 2048 trials. An
exponent of 1 is linear; what a call costs at any size brings it below.

{scaling}

## Two workers

Generated, all eight quantities; efficiency = time on one worker / (2 · time on two).

{workers}

## Memory

Peak of a whole process, interpreter and compiler included; `keep="summary"`, all eight quantities, numba, generated.

{memory}
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = Parser(prog="python -m analysis.benchmarks.simulate", description="simulate against a hand-fused kernel")
    parser.add_argument("--quick", action="store_true", help="take small sizes, and print the page without writing it")
    parser.add_argument(
        "--out", type=Path, default=None, help=f"where to write the page (default: {HERE.name} beside this program)"
    )
    chosen = parser.parse_args(arguments)
    text = page(QUICK if chosen.quick else FULL)
    print(text)
    if chosen.out is not None or not chosen.quick:
        write_atomic(chosen.out or HERE, text)
    return 0


if __name__ == "__main__":
    sys.exit(interrupts.begin("analysis.benchmarks.simulate"))
