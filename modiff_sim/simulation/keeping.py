"""What a simulation keeps while it runs, block by block: every trial, or sums of them."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .summary import BINS, FIRST, SHIFT, Summary


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
    def found(self, params: Mapping[str, Any]) -> tuple[dict[str, np.ndarray], Summary | None]:
        """The arrays of all trials, and the summary where it is all that was kept; ``params`` says of what."""
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

    def found(self, params: Mapping[str, Any]) -> tuple[dict[str, np.ndarray], Summary | None]:
        """The arrays of all trials."""
        return self.arrays, None


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

    def found(self, params: Mapping[str, Any]) -> tuple[dict[str, np.ndarray], Summary | None]:
        """The summary alone."""
        return {}, self.summary(params)

    def summary(self, params: Mapping[str, Any]) -> Summary:
        """The summary of the blocks so far, with these parameters."""

        def named(values: np.ndarray) -> dict[str, np.ndarray]:
            return dict(zip(self.names, values, strict=True))

        mean, rms = self.total / self.trials, np.sqrt(self.square / self.trials)
        return Summary(named(mean), named(self.max), named(rms), named(self.counts), params)


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
            bins = np.clip((values.view(np.int64) >> SHIFT) - FIRST, 0, BINS - 1)
            bins += BINS * np.arange(self.begin, end)[:, None]
            with self.tally.lock:
                np.add.at(self.tally.counts[i].reshape(-1), bins[~np.isnan(values)], np.uint32(1))
        self.begin = end


#: ``keep`` -> what is kept
KEEP: dict[str, type[Kept]] = {"trials": Table, "summary": Tally}
