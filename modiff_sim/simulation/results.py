"""The results of a simulation: every trial (``Result``), or what the trials have in common per step (``Summary``)."""

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

#: The histogram of a summary cuts every power of two from 2^-64 to 2^64 into 2^5 equal parts. The index of a bin is
#: made of exponent and leading bits of the value itself (float64 has 52 bits after the leading one).
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
    """What one simulation measured. Every array is float64 (steps, trials), rows in sampling order (row 0 is t = T).

    The quantities are attributes (``r.error``) and the values of ``arrays``. AttributeError is raised for a
    quantity that was not measured and, with ``keep="summary"``, for all.

    Parameters
    ----------
    arrays : mapping of str to numpy.ndarray
        The measured quantities by name.
    params : dict
        What was run, and on which engine.
    tallied : Summary, optional
        The summary, where nothing else was kept.

    Attributes
    ----------
    error, error_inf
        2-norm and max norm of the output error o - ô (o = A(a); A is the identity by default).
    d, d_inf
        Norms of the difference a_k - a_{k-1} (row 0 is 0).
    a, a_inf
        Norms of the input.
    c, kappa
        Measured ||x - Q(x)||²/||x||² and ||x - Q(x)||_inf/||x||_inf of what was quantized in this call: NaN where
        nothing was quantized, 0 where an exact zero was.

    Examples
    --------
    >>> import modiff_sim as ms
    >>> r = ms.simulate(ms.processes.random_walk(d=8), ms.AbsMax(4), steps=5, trials=3)
    >>> r.error.shape, r.params["recursion"], bool((r.kappa[1:] <= 1 / 14).all())
    ((5, 3), 'closed_loop', True)
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
        """The summary of every quantity over the trials, step by step."""
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
        """Yield tidy rows, one per step and trial."""
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

    Parameters
    ----------
    mean, max, rms : dict of str to numpy.ndarray, shape (steps,)
        Mean, maximum, and root of the mean square, float64. NaN where the quantity is NaN.
    counts : dict of str to numpy.ndarray, shape (steps, BINS)
        Histogram, 16 KiB per step and quantity; NaN is not counted.

    Examples
    --------
    >>> import modiff_sim as ms
    >>> r = ms.simulate(ms.processes.random_walk(d=8), ms.AbsMax(4), steps=5, trials=300, keep="summary")
    >>> summary = r.summary()
    >>> summary.mean["error"].shape, bool(summary.quantile("error", 0.9)[-1] > summary.mean["error"][-1])
    ((5,), True)
    """

    mean: dict[str, np.ndarray]
    max: dict[str, np.ndarray]
    rms: dict[str, np.ndarray]
    counts: dict[str, np.ndarray]

    def quantile(self, name: str, q: float) -> np.ndarray:
        """The q-quantile of a quantity at each step, shape (steps,); NaN where nothing was counted.

        It is the ceil(q·n)-th smallest value (the smallest for q = 0), to the middle of its bin: within 1/64
        relative. Values below 2^-63 count as 0, and values above 2^63 as Inf. Raises ValueError unless 0 <= q <= 1,
        and for a quantity that was not measured.
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
    """The place where an engine writes what it measures on some consecutive trials, call by call."""

    @abstractmethod
    def room(self, call: int) -> int:
        """Make room for this call; returns how many calls from it on may be written at once."""

    @abstractmethod
    def at(self, call: int) -> tuple[Mapping[str, np.ndarray], int, int]:
        """The tables, and the row and the column from which on this call and its trials are written."""

    @abstractmethod
    def finish(self) -> None:
        """Note that all calls are written."""


class Kept(ABC):
    """What a simulation keeps of its blocks."""

    @abstractmethod
    def __init__(self, names: Sequence[str], steps: int, trials: int) -> None: ...

    @abstractmethod
    def block(self, start: int, rows: int) -> Block:
        """The block of the trials start, ..., start + rows - 1."""

    @abstractmethod
    def add(self, block: Any) -> None:
        """Take in a finished block. One thread calls this, in the order of the blocks."""

    @abstractmethod
    def result(self, params: dict[str, Any]) -> Result:
        """The result, with these parameters."""
        ...


class Table(Kept):
    """Every trial: one array (steps, trials) per quantity, of which a block is some columns."""

    def __init__(self, names: Sequence[str], steps: int, trials: int) -> None:
        # one piece of memory, which the system hands out in large pages
        self.arrays = dict(zip(names, np.empty((len(names), steps, trials)), strict=True))
        self.steps = steps

    def block(self, start: int, rows: int) -> Block:
        """The columns of these trials."""
        return TableBlock(self, start)

    def add(self, block: Any) -> None:
        """Do nothing: the block wrote into the arrays."""
        pass

    def result(self, params: dict[str, Any]) -> Result:
        """The result with all trials."""
        return Result(self.arrays, params)


class TableBlock(Block):
    """Some columns of a ``Table``, to be written in place."""

    def __init__(self, table: Table, start: int) -> None:
        self.table, self.start = table, start

    def room(self, call: int) -> int:
        """The number of calls that are left, which all have room."""
        return self.table.steps - call

    def at(self, call: int) -> tuple[Mapping[str, np.ndarray], int, int]:
        """The whole arrays, and where this call begins in them."""
        return self.table.arrays, call, self.start

    def finish(self) -> None:
        """Do nothing: all is in place."""
        pass


class Tally(Kept):
    """A summary, which takes 16 KiB per step and quantity, whatever the number of trials.

    Sums are added block by block in the order of the blocks, so that they do not depend on which block was finished
    first. Counts are integers, for which the order does not matter.
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
        """Sums of these trials."""
        return TallyBlock(self, rows)

    def add(self, block: Any) -> None:
        """Add the sums of a finished block."""
        self.total += block.total
        self.square += block.square
        self.max = np.maximum(self.max, block.max)  # every quantity is >= 0 or NaN, which is kept

    def result(self, params: dict[str, Any]) -> Result:
        """The result with the summary alone."""
        return Result({}, params, self.summary())

    def summary(self) -> Summary:
        """The summary of the blocks so far."""

        def named(values: np.ndarray) -> dict[str, np.ndarray]:
            return dict(zip(self.names, values, strict=True))

        mean, rms = self.total / self.trials, np.sqrt(self.square / self.trials)
        return Summary(named(mean), named(self.max), named(rms), named(self.counts))


class TallyBlock(Block):
    """The sums of some trials, with room for as many of their calls as 2^15 numbers per quantity hold."""

    def __init__(self, tally: Tally, rows: int) -> None:
        self.tally, shape = tally, tally.total.shape
        self.steps = shape[1]
        self.held, self.begin = min(max(1, 2**15 // rows), self.steps), 0
        self.arrays = {name: np.empty((self.held, rows)) for name in tally.names}
        self.total, self.square, self.max = np.zeros(shape), np.zeros(shape), np.zeros(shape)

    def room(self, call: int) -> int:
        """Make room by adding up the calls held, where there is none."""
        if call == self.begin + self.held:
            self._take(call)
        return min(self.begin + self.held, self.steps) - call

    def at(self, call: int) -> tuple[Mapping[str, np.ndarray], int, int]:
        """The tables of the calls held, and the row of this call."""
        return self.arrays, call - self.begin, 0

    def finish(self) -> None:
        """Add up the calls that are still held."""
        self._take(self.steps)

    def _take(self, end: int) -> None:
        """Add up the calls held, up to ``end``."""
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
