"""How ``simulate`` runs some trials: ``arrays`` is the definition, and ``fused`` the same in ``numba_kernel``.

Both do the calls in order and write what is measured where ``out`` says (``keeping.Block``).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import Any

import numpy as np

from .. import recursion as _recursion
from ..arguments import reals
from ..quantizers import AbsMax
from ..quantizers.base import Quantizer, as_made
from ..quantizers.granularity import PerSample, PerToken
from . import keeping, numba_kernel
from .foreign import check_output, check_own, ours
from .lanes import LANE_BYTES
from .processes import Process
from .summary import QUANTITIES

STANDARD = (_recursion.Direct, _recursion.OpenLoop, _recursion.ClosedLoop)
#: floats of one array operation, 1 MiB of doubles: half of it is more Python per entry, twice as much leaves the cache
ARRAY_FLOATS = 2**17
#: up to this d arrays are stored column by column: NumPy reduces short contiguous rows ten times slower than long ones
SHORT = 64
#: from this d NumPy is better off without its buffer, which it fills with copies of a broadcast scale if a row fits in
LONG = 512


@dataclass(frozen=True, kw_only=True)
class Job:
    """What ``simulate`` was asked for, checked."""

    process: Process
    Q: Quantizer
    scheme: _recursion.Scheme
    steps: int
    seed: int
    operator: np.ndarray | None
    dtype: np.dtype
    measure: tuple[str, ...]
    bit_generator: str = "PCG64"  # a class of numpy.random
    stopped: threading.Event = field(default_factory=threading.Event)  # set where nobody waits for the rest

    @property
    def recursion(self) -> _recursion.Recursion:
        """The recursion of the scheme."""
        return self.scheme.recursion

    @property
    def A(self) -> _recursion.Operator:
        """The layer's linear map."""
        matrix = self.operator
        return _recursion.identity if matrix is None else lambda a: a @ matrix.T

    @property
    def output_is_reference(self) -> bool:
        """Whether ô = A(â) = â, so that one sum serves both."""
        return self.operator is None and self.recursion.reconstructs

    @property
    def row_by_row(self) -> bool:
        """Whether every trial is known to have a scale of its own, which depends on its extremes alone."""
        known = ours(self.Q) and type(self.Q.granularity) in (PerSample, PerToken)
        return known and _as_made(self.Q) and self.Q.scale_from_extremes

    def not_finite(self, call: int, drawn: np.ndarray) -> ValueError:
        """The error of a call whose input is not finite."""
        what = f"numbers too large for {self.dtype}" if np.isfinite(drawn).all() else "NaN or Inf"
        return ValueError(f"process {self.process.name}: input of step {call} holds {what}")

    def overflow(self, call: int) -> ValueError:
        """The error of a call in which what is quantized overflows."""
        what = f"what is quantized in step {call} overflows {self.dtype}"
        return ValueError(f"process {self.process.name}: {what}: scale the inputs down")


@dataclass(frozen=True)
class Trials:
    """Trials start, ..., start + rows - 1, drawn from the generator of this block."""

    block: int
    start: int
    rows: int

    def generators(self, job: Job) -> tuple[np.random.Generator, np.random.Generator]:
        """Of the inputs, and of random bits."""
        inputs, bits = np.random.SeedSequence(job.seed, spawn_key=(self.block,)).spawn(2)
        kind = getattr(np.random, job.bit_generator)
        return np.random.Generator(kind(inputs)), np.random.Generator(kind(bits))

    def stream(self, job: Job) -> Iterator[np.ndarray]:
        """The block's inputs call by call, as they are drawn; refused where they are no real numbers (rows, d)."""
        process, call = job.process, -1
        inputs = process.stream(self.generators(job)[0], self.rows, job.steps, first=self.start)
        for call, drawn in enumerate(inputs):
            plain = type(drawn) is np.ndarray and drawn.dtype.kind in "fiu"
            a = drawn if plain else reals(f"process {process.name}: input of step {call}", drawn)
            if a.shape != (self.rows, process.d):
                raise ValueError(
                    f"process {process.name}: input of step {call} has shape {a.shape}, asked for were "
                    f"{self.rows} trials of {process.d} entries"
                )
            yield a
        if call + 1 < job.steps:
            raise ValueError(f"process {process.name} ended after {call + 1} steps, asked for were {job.steps}")


def _as_made(Q: Quantizer) -> bool:
    return as_made(Q) and as_made(Q.granularity)


def refuses(job: Job) -> str:
    """Why ``fused`` cannot do this job; empty if it can.

    The kernel implements AbsMax with one scale per sample in the three standard recursions, in float64 and float32.
    Subclasses of any of these may compute something else and are declined.
    """
    Q = job.Q
    if type(Q) is not AbsMax or type(Q.granularity) not in (PerSample, PerToken) or not _as_made(Q):
        return f"{Q} is not AbsMax with one scale per sample"
    if _recursion.standard(job.recursion) is None:
        return f"{_recursion.label(job.recursion)} is none of {', '.join(r.name for r in STANDARD)}"
    if job.operator is not None:
        return "operators are not supported"
    if job.dtype not in (np.float64, np.float32):
        return f"{job.dtype} is not supported"
    if 4 * Q.qmax * float(np.finfo(job.dtype).eps) >= 1:
        return f"codes of {Q.bits} bits are clamped in {job.dtype}"
    return "" if find_spec("numba") else "numba is not installed (extra [fast])"


def _copy(drawn: np.ndarray, to: np.ndarray) -> None:
    """Write inputs into ``to`` in strips: from rows to columns, a line that was read is used while in the cache."""
    strip = max(1, 2**12 // to.shape[1])
    with np.errstate(over="ignore"):
        for row in range(0, len(to), strip):
            to[row : row + strip] = drawn[row : row + strip]


def _cast(job: Job, call: int, drawn: np.ndarray, to: np.ndarray) -> None:
    """Write a call's inputs into ``to``; ValueError where they are not finite there."""
    _copy(drawn, to)
    if not np.isfinite(to).all():
        raise job.not_finite(call, drawn)


# -- the definition ----------------------------------------------------------------------------------------------------


def arrays(job: Job, blocks: Sequence[Trials], out: keeping.Block) -> None:
    """Consecutive blocks together, one array operation after the other: any quantizer, recursion and operator."""
    generators = [block.generators(job)[1] for block in blocks] if job.Q.laws.randomised else []
    state, previous = None, None
    A = _recursion.nothing if job.output_is_reference else job.A
    known = ours(job.Q) and _recursion.standard(job.recursion) is not None
    size = np.getbufsize()  # of this thread
    if job.process.d >= LONG:
        np.setbufsize(16)
    try:
        for call, a in enumerate(_inputs(job, blocks)):
            if job.stopped.is_set():
                return
            if call == 0:
                job.Q.check(a)
                if not known:
                    check_own(job.Q, a)
            random = _random(job, call, generators, blocks) if generators else None
            state, info = job.scheme.advance(state, a, job.Q, A, random=random)
            if info.qparams is not None and not np.isfinite(job.Q.probe(info.residual, info.qparams)).all():
                raise job.overflow(call)
            if job.output_is_reference:
                info = replace(info, output=state.ref)
            if not known:
                check_output(job.Q, job.recursion, info, a, job.A, call)
            out.room(call)
            _measure(out.at(call), info, a, a if previous is None else previous, job.A)
            previous = a
    finally:
        np.setbufsize(size)
    out.finish()


def _inputs(job: Job, blocks: Sequence[Trials]) -> Iterator[np.ndarray]:
    """The inputs of the blocks under each other, (rows, d) per call; never the same memory twice."""
    start, rows = blocks[0].start, sum(block.rows for block in blocks)
    order: Any = "F" if job.row_by_row and job.process.d <= SHORT else "C"
    if job.process.values is not None and job.dtype == np.float64:  # checked when it was recorded
        for drawn in job.process.values[: job.steps, start : start + rows]:
            a = drawn if order == "C" else np.empty(drawn.shape, order=order)
            if order == "F":
                _copy(drawn, a)
            yield a
        return
    streams = [block.stream(job) for block in blocks]
    for call in range(job.steps):
        a = np.empty((rows, job.process.d), job.dtype, order)
        for block, stream in zip(blocks, streams, strict=True):
            _cast(job, call, next(stream), a[block.start - start :][: block.rows])
        yield a


def _random(job: Job, call: int, generators: Sequence[np.random.Generator], blocks: Sequence[Trials]) -> np.ndarray:
    """Random bits, uniform below 1: (rows, d), for the first call (feeds, rows, d)."""
    feeds = job.scheme.draws if call == 0 else 1
    draws = [g.random((feeds, b.rows, job.process.d)) for g, b in zip(generators, blocks, strict=True)]
    # below 1 after the cast, too
    bits = np.minimum(np.concatenate(draws, axis=1), 1 - np.finfo(job.dtype).epsneg).astype(job.dtype)
    return bits if call == 0 else bits[0]


def _measure(
    where: tuple[Mapping[str, np.ndarray], int, int],
    info: _recursion.Info,
    a: np.ndarray,
    previous: np.ndarray,
    A: _recursion.Operator,
) -> None:
    tables, row, start = where
    trials = slice(start, start + len(a))

    def norms(two: str, largest: str, x: Callable[[], np.ndarray]) -> None:
        if two in tables or largest in tables:
            values = x()
            if two in tables:
                tables[two][row, trials] = np.sqrt(_squares(values))
            if largest in tables:
                tables[largest][row, trials] = _largest(values)

    norms("error", "error_inf", lambda: A(a) - info.output)
    norms("d", "d_inf", lambda: a - previous)
    norms("a", "a_inf", lambda: a)
    if "c" not in tables and "kappa" not in tables:
        return
    lost = info.residual - info.residual_hat if info.quantized else None
    for name, size in (("c", _squares), ("kappa", _largest)):
        if name in tables:
            tables[name][row, trials] = np.nan if lost is None else _ratio(size(lost), size(info.residual))


def _squares(x: np.ndarray) -> np.ndarray:
    return np.einsum("ij,ij->i", x, x)


def _largest(x: np.ndarray) -> np.ndarray:
    return np.max(np.abs(x), axis=1)


def _ratio(lost: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(lost, whole, out=np.where(lost > 0, np.inf, 0.0), where=whole > 0)


# -- the same, fused ---------------------------------------------------------------------------------------------------


def fused(job: Job, block: Trials, out: keeping.Block) -> None:
    """One block with ``numba_kernel``; see there which results are equal bit for bit."""
    state = _FusedBlock(job, block, out)
    call = 0
    while call < job.steps and not job.stopped.is_set():
        calls = out.room(call)
        if call == 0 or not state.recorded:
            calls = 1
        state.draw(call)
        if call == 0:
            state.first()
        else:
            state.run(call, calls, [job.scheme.refreshed(k) for k in range(call, call + calls)])
        call += calls
    out.finish()


class _FusedBlock:
    """The inputs and the state of one block in the form that the kernel takes: flat arrays and where in them to begin.

    Rows are filled up with zeros to whole vectors, which add nothing to any norm.
    """

    def __init__(self, job: Job, block: Trials, out: keeping.Block) -> None:
        self.job, self.block, self.out = job, block, out
        lanes = LANE_BYTES // job.dtype.itemsize
        self.d = -(-job.process.d // lanes) * lanes
        self.recorded = job.process.values is not None and job.dtype == np.float64 and self.d == job.process.d
        # recorded inputs are read where they are; others are written here in turns, so that the call before is there
        self.values: Any = job.process.values if self.recorded else np.zeros((2, block.rows, self.d), job.dtype)
        self.state = np.zeros(block.rows * self.d, job.dtype) if job.recursion.has_state else None
        self.open_loop = _recursion.standard(job.recursion) == "open_loop"
        self._drawn: Iterator[np.ndarray] = iter(()) if self.recorded else block.stream(job)

    def _begin(self, call: int) -> int:
        """Where in the values the block's inputs of this call begin."""
        if self.recorded:
            return (call * self.values.shape[1] + self.block.start) * self.d
        return call % 2 * self.block.rows * self.d

    def draw(self, call: int) -> None:
        """Write the inputs of this call, unless they are recorded; ValueError where they are not finite."""
        if self.recorded:
            return
        inputs = np.ascontiguousarray(next(self._drawn), np.float64)
        copy = numba_kernel.compiled(numba_kernel.copy)
        if copy(inputs, self.values.reshape(-1), self._begin(call), self.d):
            raise self.job.not_finite(call, inputs)

    def first(self) -> None:
        """Call 0: exact, or the first input fed as often as the warm-up says, an open loop's first feeding from 0."""
        for feed in range(max(self.job.scheme.feeds, 1)):
            nothing = np.zeros(self.block.rows * self.d, self.job.dtype) if feed == 0 and self.open_loop else None
            self.run(0, 1, [self.job.scheme.feeds == 0], nothing)

    def run(self, call: int, calls: int, exact: Sequence[bool], base: np.ndarray | None = None) -> None:
        """These calls, an open loop's from ``base`` or else from the input before."""
        kernel, job = numba_kernel.compiled(numba_kernel.kernel), self.job
        flat = self.values.reshape(-1)
        begins = np.array([self._begin(max(call - 1, 0)), *map(self._begin, range(call, call + calls))])
        bases = None
        if self.open_loop:
            base, bases = (flat, begins[:-1]) if base is None else (base, np.zeros(1, np.int64))
        tables, row, column = self.out.at(call)
        trials = next(iter(tables.values())).shape[1]
        measured = [tables[name].reshape(-1) if name in tables else None for name in QUANTITIES]
        qmax = job.dtype.type(2 ** (job.Q.bits - 1) - 1)
        bad = kernel(
            flat,
            begins,
            self.block.rows,
            self.d,
            self.state,
            base,
            bases,
            np.array(exact),
            qmax,
            row * trials + column,
            trials,
            *measured,
        )
        if bad >= 0:
            raise job.overflow(call + bad)
