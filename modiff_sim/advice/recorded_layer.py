"""One recorded layer and the errors foreseen for it: what ``recommendation`` compares.

A *cell* is what is judged: the whole input of one sample, or one channel of it. In the max norm, errors are kept by
block (the entries that share a scale); in the 2-norm they are kept by cell, summed over the trials.
"""

from __future__ import annotations

import math

import numpy as np

from .. import recursion as _recursion
from ..arguments import reals
from ..quantizers.base import Quantizer
from ..quantizers.granularity import Granularity
from ..typing import ArrayLike

CRITERIA = ("bound", "typical")
JUDGED = ("sample", "channel")
PEAK = 1e150  # the squares of larger entries would overflow
MIN_CALLS = 3  # two differences: a single one does not show what a loop accumulates


def _over(error: np.ndarray, size: np.ndarray) -> np.ndarray:
    """The quotient error/size, with 0/0 = 0 (a dead channel that is reproduced) and x/0 = inf."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(error == 0, 0.0, error / size)


class RecordedLayer:
    """A checked recording (steps, trials, ...) and the tables of its foreseen errors, for one criterion.

    Raises TypeError or ValueError naming the layer where the inputs are not real floats, have the wrong shape, too few
    steps, NaN or Inf, or entries beyond ``PEAK``.
    """

    def __init__(self, name: str, inputs: ArrayLike, criterion: str, judged: str) -> None:
        who = f"layer '{name}'"
        a = reals(f"{who}: recorded inputs", inputs, dtype=None)
        if not np.issubdtype(a.dtype, np.floating):
            raise TypeError(f"{who}: recorded inputs are real floats, got {a.dtype}: convert them first (astype)")
        least = 4 if judged == "channel" else 3
        if a.ndim < least or a.size == 0:
            shape = (
                "(steps, trials, C, ...)" if judged == "channel" else "(steps, trials, d) or (steps, trials, C, ...)"
            )
            raise ValueError(f"{who}: recorded inputs have shape {shape}, none of them 0; got {a.shape}")
        if len(a) < MIN_CALLS:
            raise ValueError(f"{who}: {len(a)} recorded steps show no accumulation: record at least {MIN_CALLS}")
        for step, row in enumerate(a):
            if not np.isfinite(row).all():
                raise ValueError(f"{who}: NaN or Inf at step {step}, the first of them")
        if (peak := float(np.abs(a).max())) > PEAK:
            raise ValueError(f"{who}: entries up to {peak:.3g}, whose squares overflow: change their unit")
        self.name, self.a, self.criterion, self.calls = name, a, criterion, len(a)
        self.cell_axes = tuple(range(2 if judged == "channel" else 1, a.ndim - 1))
        self._blocks: dict[Granularity, tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = {}
        self.size = np.stack([self.cells(self.step(j)) for j in range(self.calls)])
        self.moved = np.stack([self.cells(self.difference(j)) for j in range(self.calls)])
        if criterion == "bound":
            rho = _over(self.moved[1:].max(axis=1), self.size[1:].max(axis=1))
        else:
            rho = np.sqrt(_over((self.moved[1:] ** 2).sum(axis=1), (self.size[1:] ** 2).sum(axis=1)))
        self.rho, self.rho_max = float(np.median(rho)), float(rho.max())

    def step(self, j: int) -> np.ndarray:
        """The input of call j, float64."""
        return self.a[j].astype(np.float64)

    def difference(self, j: int) -> np.ndarray:
        """The difference d_j, which is 0 at call 0."""
        return self.step(j) - self.step(max(j - 1, 0))

    def cells(self, x: np.ndarray) -> np.ndarray:
        """Norms of an array by cell, flat: max norms of every trial, or 2-norms over all trials together."""
        if self.criterion == "bound":
            return np.max(np.abs(x), axis=self.cell_axes).ravel()
        return np.sqrt(np.sum(x**2, axis=(0, *self.cell_axes))).ravel()

    def foresee_direct(self, Q: Quantizer) -> float:
        """The error of direct quantization over the input, at the worst call and in the worst cell."""
        if self.criterion == "typical":
            error = np.stack([self.cells(x - Q.apply(x)[0]) for x in map(self.step, range(self.calls))])
            return float(_over(error, self.size).max())
        size, _, block, starts = self.blocks(Q)
        error = np.maximum.reduceat(self.kappa(Q) * size[:, block], starts, axis=-1)
        return float(_over(error, self.size).max())

    def foresee(self, Q: Quantizer) -> np.ndarray:
        """The table (call, since) of relative errors of a loop ``since`` calls after the last full-precision one.

        Entries with since > call are 0. ``Zero`` is the cache. Its contraction is 1 in any norm and cell. Under
        "typical" its error is known exactly: it is the distance of the two inputs.
        """
        table = np.zeros((self.calls, self.calls))
        if self.criterion == "typical" and Q.bits == 0:
            apart = np.sqrt(_over(self.apart(), self.size[:, None] ** 2)).max(axis=2)  # (call, earlier call)
            for j in range(self.calls):
                table[j, : j + 1] = apart[j, j::-1]
        elif self.criterion == "typical":
            square = np.zeros((1, self.size.shape[1]))
            for j in range(1, self.calls):
                square = self.contraction(Q, j) * (self.moved[j] ** 2 + square)
                square = np.concatenate([np.zeros_like(square[:1]), square])
                table[j, : j + 1] = np.sqrt(_over(square, self.size[j] ** 2)).max(axis=1)
        else:
            if Q.bits == 0:  # by cell, which is finer than any block that covers it
                d, kappa = self.moved, 1.0
                block = starts = np.arange(d.shape[1])
            else:
                (_, d, block, starts), kappa = self.blocks(Q), self.kappa(Q)
            error = np.zeros((1, d.shape[1]))
            for j in range(1, self.calls):
                error = np.concatenate([np.zeros_like(error[:1]), kappa * (d[j] + error)])
                by_cell = np.maximum.reduceat(error[:, block], starts, axis=-1)
                table[j, : j + 1] = _over(by_cell, self.size[j]).max(axis=1)
        return table

    def apart(self) -> np.ndarray:
        """Squared distances ||a_j - a_i||² by cell, summed over the trials: (calls, calls, cells)."""
        cells = self.size.shape[1]
        gram = np.zeros((cells, self.calls, self.calls))
        for trial in range(self.a.shape[1]):
            x = self.a[:, trial].astype(np.float64).reshape(self.calls, cells, -1).transpose(1, 0, 2)
            gram += x @ x.transpose(0, 2, 1)
        own = np.einsum("cjj->cj", gram)
        return np.maximum(own[:, :, None] + own[:, None, :] - 2 * gram, 0.0).transpose(1, 2, 0)

    def fits(self, Q: Quantizer) -> None:
        """Raise ValueError, naming the layer, unless the granularity fits the recording."""
        try:
            Q.granularity.blocked(self.a.shape[1:])
        except ValueError as error:
            raise ValueError(f"layer '{self.name}', candidate {Q}: {error}") from None

    def contraction(self, Q: Quantizer, j: int) -> np.ndarray:
        """The contraction c_j, measured by cell on the difference of call j; 0 where the difference is 0."""
        d = self.difference(j)
        return _over(self.cells(d - Q.apply(d)[0]), self.moved[j]) ** 2

    def kappa(self, Q: Quantizer) -> float:
        """The declared κ for the blocks of this layer."""
        return Q.kappa(Q.granularity.block_size(self.a.shape[1:]))

    def blocks(self, Q: Quantizer) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Max norms by block, and which blocks meet which cell.

        Returns the norms of the inputs and of the differences, (calls, blocks) each; the blocks that meet cell 0,
        then those that meet cell 1, and so on; and where each cell's blocks begin in that list.
        """
        if (found := self._blocks.get(Q.granularity)) is not None:
            return found
        shape = self.a.shape[1:]
        blocked, axes = Q.granularity.blocked(shape)

        def norms(x: np.ndarray) -> np.ndarray:
            return np.max(np.abs(np.reshape(x, blocked)), axis=axes).ravel()

        scales = Q.granularity.scale_shape(shape)
        of_block = np.broadcast_to(np.arange(math.prod(scales)).reshape(scales), blocked).reshape(shape)
        cells = tuple(1 if i in self.cell_axes else n for i, n in enumerate(shape))
        of_cell = np.broadcast_to(np.arange(math.prod(cells)).reshape(cells), shape)
        count = math.prod(scales)
        cell, block = np.divmod(np.unique(of_cell.astype(np.int64) * count + of_block), count)
        size = np.stack([norms(self.step(j)) for j in range(self.calls)])
        moved = np.stack([norms(self.difference(j)) for j in range(self.calls)])
        self._blocks[Q.granularity] = size, moved, block, np.flatnonzero(np.diff(cell, prepend=-1))
        return self._blocks[Q.granularity]

    def measured(self, recursion: str, Q: Quantizer, refresh: _recursion.Refresh) -> float:
        """The largest relative error, over calls and cells, of a run on the recording from an exact start."""
        calls = _recursion.run(recursion, map(self.step, range(self.calls)), Q, refresh=refresh)
        errors = [self.cells(self.step(j) - info.output) for j, (_, info) in enumerate(calls)]
        return float(_over(np.stack(errors), self.size).max())
