"""What a simulation hands back: every trial (``Result``), or what the trials have in common per step (``Summary``)."""

from __future__ import annotations

import math
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arguments import number

#: what can be measured at every call, in the order of columns and rows
QUANTITIES = ("error", "error_inf", "d", "d_inf", "a", "a_inf", "c", "kappa")

#: the histogram of a summary cuts every power of two from 2^-64 to 2^64 into 2^5 equal parts: the number of a bin is
#: exponent and leading bits of the number itself (float64 has 52 bits after the leading one)
PART_BITS = 5
_SHIFT = 52 - PART_BITS
_FIRST = (1023 - 64) << PART_BITS
BINS = 128 << PART_BITS


def chosen(measure: Sequence[str] | None) -> tuple[str, ...]:
    """The quantities to measure, in the order of ``QUANTITIES``; None is all. ValueError if one is unknown."""
    if measure is None:
        return QUANTITIES
    names = (measure,) if isinstance(measure, str) else tuple(measure)
    unknown = [name for name in names if name not in QUANTITIES]
    if unknown or not names:
        what = f"unknown {', '.join(map(repr, unknown))}" if unknown else "nothing to measure"
        raise ValueError(f"measure: {what}; known: {', '.join(QUANTITIES)}")
    return tuple(name for name in QUANTITIES if name in names)


@dataclass(frozen=True, eq=False)
class Result:
    """What one simulation measured; every array has shape (steps, trials), rows in sampling order (row 0 is t = T).

    error, error_inf:  2-norm and max norm of the output error o - ô (o = A(a); A is the identity by default)
    d, d_inf:          norms of the difference a_k - a_{k-1} (row 0 is 0)
    a, a_inf:          norms of the input
    c, kappa:          measured ||x - Q(x)||²/||x||² and ||x - Q(x)||_inf/||x||_inf of what was quantized in this call
                       (NaN where nothing was quantized, 0 where an exact zero was)

    These are attributes (``r.error``) and the values of ``arrays``, float64; AttributeError for one that was not
    measured and, with ``keep="summary"``, for all. ``params`` says what was run, and on which engine.
    """

    arrays: Mapping[str, np.ndarray]
    params: dict[str, Any]
    tallied: Summary | None = None

    def __getattr__(self, name: str) -> np.ndarray:
        if name not in QUANTITIES:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        if name in self.arrays:
            return self.arrays[name]
        why = (
            "was not measured: add it to measure=" if self.arrays else 'was summarised: see summary(), or keep="trials"'
        )
        raise AttributeError(f"{name} {why}")

    def summary(self) -> Summary:
        """Every quantity over the trials, step by step."""
        if self.tallied is not None:
            return self.tallied
        tally = Tally(tuple(self.arrays), self.params["steps"], self.params["trials"])
        for start in range(0, tally.trials, 2**15):
            block = tally.block(start, min(2**15, tally.trials - start))
            for call in range(self.params["steps"]):
                block.room(call)
                tables, row, _ = block.at(call)
                for name, table in tables.items():
                    table[row] = self.arrays[name][call, start : start + 2**15]
            block.finish()
            tally.add(block)
        return tally.summary()

    def rows(self) -> Iterator[dict[str, float]]:
        """Tidy rows, one per step and trial."""
        steps, trials = self.params["steps"], self.params["trials"]
        for step in range(steps):
            for trial in range(trials):
                yield {"step": step, "trial": trial} | {k: float(v[step, trial]) for k, v in self.arrays.items()}

    def frame(self) -> Any:
        """The rows as a pandas DataFrame (extra [plot])."""
        import pandas as pd

        steps, trials = self.params["steps"], self.params["trials"]
        index = {"step": np.repeat(np.arange(steps), trials), "trial": np.tile(np.arange(trials), steps)}
        return pd.DataFrame(index | {k: v.ravel() for k, v in self.arrays.items()})


@dataclass(frozen=True, eq=False)
class Summary:
    """Every quantity of ``Result`` over the trials, name -> array, one row per step, whatever the number of trials.

    mean, max, rms: (steps,) float64; rms is the root of the mean square. NaN where the quantity is NaN.
    counts:         (steps, BINS) histogram, 16 KiB per step and quantity; NaN is not counted.
    """

    mean: dict[str, np.ndarray]
    max: dict[str, np.ndarray]
    rms: dict[str, np.ndarray]
    counts: dict[str, np.ndarray]

    def quantile(self, name: str, q: float) -> np.ndarray:
        """The q-quantile of a quantity at each step, shape (steps,); NaN where nothing was counted.

        The ceil(q·n)-th smallest value (the smallest for q = 0), to the middle of its bin: within 1/64 relative.
        Below 2^-63 all counts as 0, above 2^63 as Inf. Raises ValueError unless 0 <= q <= 1.
        """
        if not 0 <= number("q", q, least=-math.inf) <= 1:
            raise ValueError(f"a quantile needs 0 <= q <= 1, got {q}")
        if name not in self.counts:
            raise ValueError(f"{name!r} was not measured, only {', '.join(self.counts)}")
        below = np.cumsum(self.counts[name], axis=1, dtype=np.int64)
        n = below[:, -1]
        rank = np.clip(np.ceil(q * n), 1, None)
        index = np.argmax(below >= rank[:, None], axis=1)
        edges = ((np.arange(BINS + 1) + _FIRST).astype(np.int64) << _SHIFT).view(np.float64)
        middle = (edges[:-1] + edges[1:]) / 2
        middle[0], middle[-1] = 0.0, np.inf
        return np.where(n > 0, middle[index], np.nan)


class Block(ABC):
    """Where an engine writes what it measures on some consecutive trials, call by call."""

    @abstractmethod
    def room(self, call: int) -> int:
        """Make room for this call; returns how many calls from it on may be written at once."""

    @abstractmethod
    def at(self, call: int) -> tuple[Mapping[str, np.ndarray], int, int]:
        """The tables, and the row and the column from which on to write this call and its trials."""

    @abstractmethod
    def finish(self) -> None:
        """All calls are written."""


class Kept(ABC):
    """What a simulation keeps of its blocks."""

    @abstractmethod
    def __init__(self, names: Sequence[str], steps: int, trials: int) -> None: ...

    @abstractmethod
    def block(self, start: int, rows: int) -> Block:
        """For the trials start, ..., start + rows - 1."""

    @abstractmethod
    def add(self, block: Any) -> None:
        """Take in a finished block; called in the order of the blocks, by one thread."""

    @abstractmethod
    def result(self, params: dict[str, Any]) -> Result: ...


class Table(Kept):
    """Every trial: one array (steps, trials) per quantity, of which a block is some columns."""

    def __init__(self, names: Sequence[str], steps: int, trials: int) -> None:
        self.arrays = {name: np.empty((steps, trials)) for name in names}
        self.steps = steps

    def block(self, start: int, rows: int) -> Block:
        return TableBlock(self, start)

    def add(self, block: Any) -> None:
        pass  # it wrote into the arrays

    def result(self, params: dict[str, Any]) -> Result:
        return Result(self.arrays, params)


class TableBlock(Block):
    def __init__(self, table: Table, start: int) -> None:
        self.table, self.start = table, start

    def room(self, call: int) -> int:
        return self.table.steps - call

    def at(self, call: int) -> tuple[Mapping[str, np.ndarray], int, int]:
        return self.table.arrays, call, self.start

    def finish(self) -> None:
        pass


class Tally(Kept):
    """A summary. Memory: 16 KiB per step and quantity, whatever the number of trials.

    Sums are added block by block in the order of the blocks, so they do not depend on who was first; counts are
    integers, for which the order does not matter.
    """

    def __init__(self, names: Sequence[str], steps: int, trials: int) -> None:
        if trials >= 2**32:
            raise ValueError(f"a summary counts up to {2**32 - 1} trials, got {trials}")
        self.names, self.trials = tuple(names), trials
        shape = (len(self.names), steps)
        self.total, self.square, self.max = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        self.counts = np.zeros((*shape, BINS), np.uint32)
        self.lock = threading.Lock()

    def block(self, start: int, rows: int) -> Block:
        return TallyBlock(self, rows)

    def add(self, block: Any) -> None:
        self.total += block.total
        self.square += block.square
        self.max = np.maximum(self.max, block.max)  # every quantity is >= 0 or NaN, which is kept

    def result(self, params: dict[str, Any]) -> Result:
        return Result({}, params, self.summary())

    def summary(self) -> Summary:
        def named(values: np.ndarray) -> dict[str, np.ndarray]:
            return dict(zip(self.names, values, strict=True))

        mean, rms = self.total / self.trials, np.sqrt(self.square / self.trials)
        return Summary(named(mean), named(self.max), named(rms), named(self.counts))


class TallyBlock(Block):
    """The sums of some trials, and room for as many calls of them as 2^15 numbers per quantity hold."""

    def __init__(self, tally: Tally, rows: int) -> None:
        self.tally, shape = tally, tally.total.shape
        self.steps = shape[1]
        self.held, self.begin = min(max(1, 2**15 // rows), self.steps), 0
        self.arrays = {name: np.empty((self.held, rows)) for name in tally.names}
        self.total, self.square, self.max = np.zeros(shape), np.zeros(shape), np.zeros(shape)

    def room(self, call: int) -> int:
        if call == self.begin + self.held:
            self._take(call)
        return min(self.begin + self.held, self.steps) - call

    def at(self, call: int) -> tuple[Mapping[str, np.ndarray], int, int]:
        return self.arrays, call - self.begin, 0

    def finish(self) -> None:
        self._take(self.steps)

    def _take(self, end: int) -> None:
        """Add up the calls held, which end before this one."""
        steps = slice(self.begin, end)
        for i, table in enumerate(self.arrays.values()):
            values = table[: end - self.begin]
            squares = values * values
            self.total[i, steps], self.square[i, steps] = values.sum(axis=1), squares.sum(axis=1)
            self.max[i, steps] = values.max(axis=1)
            bins = np.clip((values.view(np.int64) >> _SHIFT) - _FIRST, 0, BINS - 1)
            bins += BINS * np.arange(self.begin, end)[:, None]
            with self.tally.lock:
                np.add.at(self.tally.counts[i].reshape(-1), bins[~np.isnan(values)], np.uint32(1))
        self.begin = end


#: ``keep`` -> what is kept
KEEP: dict[str, type[Kept]] = {"trials": Table, "summary": Tally}
