"""``simulate`` and its rivals on the same inputs: how long each takes, and how long it should take by the roofline.

The contestants take turns in one process, so that whatever else the machine does affects all of them alike. A time is
the median over the turns, and a ratio is the median of the ratios within a turn.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

import modiff_sim as ms
from modiff_sim.simulation.driver import BLOCK_FLOATS
from modiff_sim.simulation.processes import Process
from modiff_sim.simulation.summary import QUANTITIES

Q = ms.AbsMax(4)
SHAPES = ((4096, 16), (1024, 256), (64, 4096), (4, 65536))
#: what a contestant measures -> (operations per entry beyond those of the recursion, number of NumPy operations)
MEASURED: dict[str, tuple[tuple[str, ...] | None, int, int]] = {
    "error_inf": (("error_inf",), 3, 10),
    "error": (("error",), 3, 9),
    "error, error_inf": (("error", "error_inf"), 5, 11),
    "all 8": (None, 21, 25),
}
DRAWN = ("error, error_inf", "all 8")  # enough to show how much of the time goes into drawing random numbers
TARGETS = {"numba": 1.3, "numpy": 5.0}
LOOP = "loop over trials"
RECURSION = 8  # operations per entry: two subtractions, absolute value, maximum, division, rounding, product, sum


@dataclass(frozen=True)
class Contestant:
    """One way to do the work. ``run`` does ``share`` of it; the other numbers are per entry, for the roofline."""

    name: str
    run: Callable[[], object]
    bytes: float
    operations: float
    passes: float = 0
    share: float = 1


def turns(
    contestants: Sequence[Contestant], repeats: int, clock: Callable[[], float] = time.process_time
) -> np.ndarray:
    """Return the seconds for all the work, shape (repeats, contestants). A first turn, which compiles, is left out."""
    taken = np.empty((repeats + 1, len(contestants)))
    for turn in taken:
        for i, contestant in enumerate(contestants):
            start = clock()
            contestant.run()
            turn[i] = (clock() - start) / contestant.share
    return taken[1:]


def hand_streamed(values: np.ndarray) -> None:
    """Run the hand-fused kernel on inputs that lie in memory."""
    from .hand_fused import closed_loop

    closed_loop(values[1:], values[0].copy(), float(Q.qmax))


def hand_generated(trials: int, d: int, steps: int) -> None:
    """Draw the inputs of ``random_walk`` block by block, as ``simulate`` does, and run the kernel on each block."""
    from .hand_fused import closed_loop

    rows = max(1, BLOCK_FLOATS // d)
    for block, start in enumerate(range(0, trials, rows)):
        rng = np.random.default_rng(np.random.SeedSequence(0, spawn_key=(block,)).spawn(2)[0])
        a = 10 * rng.standard_normal((min(rows, trials - start), d))
        drawn, a_hat = np.empty_like(a), a.copy()
        for _ in range(1, steps):
            rng.standard_normal(out=drawn)
            a += drawn
            closed_loop(a[None], a_hat, float(Q.qmax))


def loop_over_trials(values: np.ndarray) -> np.ndarray:
    """Return the last max-norm errors of a plain loop over the trials, with a few NumPy calls per step."""
    errors = np.empty(values.shape[1])
    for trial in range(values.shape[1]):
        a_hat = values[0, trial]
        for a in values[1:, trial]:
            residual = a - a_hat
            s = np.max(np.abs(residual)) / Q.qmax
            a_hat = a_hat + s * np.round(residual / (s if s else 1.0))
            errors[trial] = np.max(np.abs(a - a_hat))
    return errors


def contestants(trials: int, d: int, steps: int, streamed: bool) -> list[Contestant]:
    """Return the contestants for one shape. The hand-fused kernel is the first: the others are compared with it."""
    walk = ms.processes.random_walk(d)
    process: Process = walk
    hand = partial(hand_generated, trials, d, steps)
    if streamed:
        values = np.stack(list(walk.stream(np.random.default_rng(0), trials, steps)))
        process, hand = ms.processes.recorded(values), partial(hand_streamed, values)
    read = 8.0 if streamed else 0.0
    entries = [Contestant("hand-fused kernel", hand, read, RECURSION)]
    for engine, (name, (measure, operations, passes)) in itertools.product(TARGETS, MEASURED.items()):
        if streamed or name in DRAWN:
            written = 8 * len(measure or QUANTITIES) / d
            entries.append(
                Contestant(
                    f"simulate, {engine}, {name}",
                    partial(
                        ms.simulate, process, Q, steps=steps, trials=trials, engine=engine, measure=measure, workers=1
                    ),
                    read + written,
                    RECURSION + operations,
                    passes if engine == "numpy" else 0,
                )
            )
    if streamed and d == SHAPES[0][1]:
        few = max(1, trials // 64)
        entries.append(Contestant(LOOP, partial(loop_over_trials, values[:, :few]), 0, 0, share=few / trials))
    return entries


def predicted(contestant: Contestant, entries: float, streamed: bool, rates: dict[str, float]) -> float:
    """Return the seconds by the roofline: the draws, then the slowest of memory, operations and divisions or passes."""
    draws = 0 if streamed else 1 / rates["normals"]
    if contestant.passes:
        return entries * (contestant.passes / rates["passes"] + draws)
    ceilings = (
        contestant.bytes / rates["bytes"], contestant.operations / rates["operations"], 1 / rates["divisions"],
    )  # fmt: skip
    return entries * (max(ceilings) + draws)


def fused_rows(shapes: Iterable[tuple[int, int]], steps: int, repeats: int, rates: dict[str, float]) -> list[list[str]]:
    """Time every contestant at every shape, and return the rows of the first table."""
    rows = []
    for streamed in (True, False):
        for trials, d in shapes:
            mine = contestants(trials, d, steps, streamed)
            taken = turns(mine, repeats)
            ratio = np.median(taken / taken[:, :1], axis=0)
            entries = float(trials * d * (steps - 1))
            for i, one in enumerate(mine):
                roof = predicted(one, entries, streamed, rates)
                rows.append([
                    f"{trials} × {d}", "streamed" if streamed else "generated", one.name,
                    f"{1e3 * np.median(taken[:, i]):.1f}", f"{ratio[i]:.2f}",
                    *([f"{one.bytes:.2f}", f"{one.operations:.0f}", f"{1e3 * roof:.1f}"] if one.operations else "---"),
                ])  # fmt: skip
    return rows


def target_rows(fused: Iterable[Sequence[str]]) -> list[list[str]]:
    """Return per shape and kind of inputs what can be measured within the targets, and the lead over the loop."""
    ratios: dict[tuple[str, str], dict[str, float]] = {}
    for shape, inputs, name, _, ratio, *_ in fused:
        ratios.setdefault((shape, inputs), {})[name] = float(ratio)
    rows = []
    for (shape, inputs), found in ratios.items():
        cells = []
        for engine, limit in TARGETS.items():
            within = [what for what in MEASURED if found.get(f"simulate, {engine}, {what}", np.inf) <= limit]
            cells.append("; ".join(within) or "none")
        full = found["simulate, numba, all 8"], found["simulate, numpy, all 8"]
        beaten = ", ".join(f"{found[LOOP] / one:.0f}" for one in full) if LOOP in found else "-"
        rows.append([shape, inputs, *cells, beaten])
    return rows
