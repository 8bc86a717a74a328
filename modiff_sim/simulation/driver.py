"""Many trials of one recursion on one process: in cache-sized blocks of trials, over the cores.

Trials are cut into blocks whose size depends on d alone, and each block has its own generator
``SeedSequence(seed, spawn_key=(block,))``: the result has the same bytes whatever the number of workers.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from .. import quantizers
from .. import recursion as _recursion
from ..arguments import affordable, count, reals
from ..arguments import seed as whole_seed
from ..keywords import suggested
from ..quantizers.base import Quantizer, as_made
from ..quantizers.granularity import GRANULARITIES, Granularity
from ..typing import ArrayLike
from . import engines, keeping, processes
from .processes import Process
from .results import Result
from .summary import BINS, Summary, chosen

__all__ = ["AUTO_FLOATS", "BLOCK_FLOATS", "Result", "Summary", "simulate"]

#: floats of one block of inputs: 2^15 doubles are 256 KiB, about half a core's L2 cache
BLOCK_FLOATS = 2**15
#: steps·trials·d from which ``engine="auto"`` takes the fused kernel: below, compiling it may cost more than it saves
AUTO_FLOATS = 2**26
ENGINES = ("auto", "numpy", "numba")
GENERATORS = ("PCG64", "PCG64DXSM", "SFC64", "Philox", "MT19937")
#: more threads than that no machine has cores for, and systems refuse
MOST_THREADS = 1024


@suggested
def simulate(
    process: Process | str | Path | ArrayLike,
    Q: Quantizer | str,
    recursion: str | _recursion.Recursion = "closed_loop",
    *,
    steps: int = 100,
    trials: int = 64,
    seed: int = 0,
    warmup: _recursion.Warmup = "exact",
    refresh: _recursion.Refresh = "never",
    operator: np.ndarray | None = None,
    dtype: Any = np.float64,
    workers: int | None = None,
    measure: Sequence[str] | None = None,
    keep: str = "trials",
    engine: str = "auto",
    bit_generator: str = "PCG64",
) -> Result:
    """Run ``trials`` independent sequences of ``steps`` model calls through one layer.

    Parameters
    ----------
    process : Process, str, Path or array_like
        The inputs, such as ``processes.random_walk()``, or what ``processes.get`` takes for one: "random_walk:256",
        a file of recorded inputs, an array (steps, trials, d).
    Q : Quantizer or str
        What the inputs or residuals are quantized by, such as ``AbsMax(4)`` or "absmax:4" (``quantizers.parse``).
    recursion : str or Recursion, default "closed_loop"
        A name in ``RECURSIONS``, or a ``Recursion`` of your own.
    steps, trials : int
        Model calls per sequence, and number of sequences.
    seed : int, default 0
        Root seed. The same seed gives the same bytes, for any number of workers.
    warmup : {"exact", "quantized"} or int
        What the first call does: full precision, quantized, or quantized with the first input fed so many times.
    refresh : str, int or collection of int
        Later calls in full precision: "never", every how many calls, or which ones.
    operator : array_like, shape (m, d), optional
        Matrix of the layer's linear map A, applied as a @ operator.T; by default the identity.
    dtype : numpy float type, default numpy.float64
        Type of the recursion. The process is drawn in float64 and cast.
    workers : int, optional
        Threads; by default one per core. The result does not depend on it.
    measure : sequence of str, optional
        The quantities of ``Result`` that are wanted; by default all. All norms together cost more than the
        recursion itself.
    keep : {"trials", "summary"}
        "trials" keeps all, 8 bytes per step, trial and quantity. "summary" keeps ``Result.summary()`` alone, so
        that memory is bounded whatever the number of trials.
    engine : {"auto", "numpy", "numba"}
        "numpy" is the definition. "numba" is the fused ``numba_kernel`` (extra [fast]). It implements AbsMax, one
        scale per sample, the three standard recursions, no operator, float64 or float32, and nothing else. Its max
        norms and kappa have the same bytes; 2-norms and c differ by the rounding of a sum (d·eps). "auto" takes it
        where it can do the job, numba is installed and steps·trials·d is at least AUTO_FLOATS. ``params["engine"]``
        says which one ran.
    bit_generator : {"PCG64", "PCG64DXSM", "SFC64", "Philox", "MT19937"}
        NumPy's generator of the random bits that inputs are drawn from. "SFC64" draws normals in 0.82 of the time
        of the default, which is most of the time where inputs are drawn. Each has its own inputs for a seed, and
        for each the same seed gives the same bytes.

    Returns
    -------
    Result
        What was measured at every step of every trial.

    Raises
    ------
    ValueError
        ``steps``, ``trials`` or ``workers`` is below 1; recursion, warm-up, refresh, quantity or engine is unknown;
        the operator does not fit or has NaN or Inf; the engine cannot do the job; more trials or steps are asked
        for than were recorded; or, with the step named, inputs have NaN or Inf or what is quantized overflows.
    TypeError, ValueError
        A process, quantizer or recursion of your own returns what it must not; the message has its name.
    MemoryError
        This machine cannot hold the result. Nothing is run then.

    Examples
    --------
    >>> import modiff_sim as ms
    >>> Q, walk = ms.AbsMax(bits=4), ms.processes.random_walk(d=16)
    >>> loops = [ms.simulate(walk, Q, name, steps=20, trials=8) for name in ("open_loop", "closed_loop")]
    >>> open_loop, closed_loop = (r.error[-1].mean() for r in loops)
    >>> bool(open_loop > 2 * closed_loop)
    True
    >>> ms.simulate("ar1:16", "minmax:3", steps=20, trials=8).params["quantizer"]
    MinMax(bits=3, granularity=PerSample())
    """
    Q = quantizers.get(Q, "Q of simulate")
    process = processes.get(process, Q)
    steps, trials, seed = count("steps", steps), count("trials", trials), whole_seed(seed)
    threads = os.cpu_count() or 1 if workers is None else count("workers", workers)
    words = (
        ("keep", keep, tuple(keeping.KEEP)), ("engine", engine, ENGINES), ("bit_generator", bit_generator, GENERATORS),
    )  # fmt: skip
    for name, word, known in words:
        if word not in known:
            raise ValueError(f"{name} must be one of {', '.join(known)}, got {word!r}")
    kind = _float_type(dtype)
    if operator is not None:
        # in one layout, because some BLAS kernels round the product of a transposed matrix otherwise
        operator = np.ascontiguousarray(reals("operator", operator, kind, finite=True))
        if operator.ndim != 2 or operator.shape[1] != process.d:
            raise ValueError(f"operator must have shape (m, {process.d}) for this process, got {operator.shape}")
    scheme = _recursion.Scheme(recursion, warmup, refresh)
    process.require(trials, steps)
    job = engines.Job(
        process=process,
        Q=Q,
        scheme=scheme,
        steps=steps,
        seed=seed,
        bit_generator=bit_generator,
        operator=operator,
        dtype=kind,
        measure=chosen(measure),
    )
    fused = _fused(job, engine, trials)
    affordable(f"{steps:,} steps × {trials:,} trials, {process.d:,} entries each,", _bytes(job, trials, keep))
    kept = keeping.KEEP[keep](job.measure, job.steps, trials)
    _run(job, _cut(job, trials), fused, kept, threads)
    params: dict[str, Any] = {
        "process": process.name, "process_params": dict(process.params), "d": process.d, "quantizer": Q,
        "recursion": _recursion.label(scheme.recursion), "steps": steps, "trials": trials, "seed": seed,
        "warmup": warmup, "refresh": refresh, "dtype": job.dtype.name,
        "operator": None if operator is None else list(operator.shape), "measure": job.measure, "keep": keep,
        "engine": "numba" if fused else "numpy", "bit_generator": bit_generator,
    }  # fmt: skip
    arrays, summary = kept.found(params)
    return Result(arrays, params, summary)


def _float_type(dtype: Any) -> np.dtype:
    try:
        kind = np.dtype(dtype)
    except TypeError:
        kind = np.dtype(object)
    if kind.kind != "f":
        raise TypeError(f"dtype must be a float type of NumPy's, such as numpy.float32, got {dtype!r}")
    return kind


def _bytes(job: engines.Job, trials: int, keep: str) -> int:
    """Memory at least: what is kept, and a block's inputs, residual and its parts (at first those of all feeds)."""
    bits, rows = job.scheme.draws if job.Q.laws.randomised else 0, _rows(job, trials)
    each = 8 * trials if keep == "trials" else 4 * BINS
    arrays = (4 + bits) * min(rows, trials) * job.process.d * job.dtype.itemsize
    return job.steps * each * len(job.measure) + arrays + trials // rows * 100


def _fused(job: engines.Job, engine: str, trials: int) -> bool:
    if engine == "numpy" or (engine == "auto" and job.steps * trials * job.process.d < AUTO_FLOATS):
        return False
    why_not = engines.refuses(job)
    if why_not and engine == "numba":
        raise ValueError(f'engine="numba" cannot run this: {why_not}')
    return not why_not


def _rows(job: engines.Job, trials: int) -> int:
    """How many trials a block has, but for the last one."""
    if not _apart(job.Q.granularity, job.process.d):
        return trials  # the scale is shared across trials, or may be: they cannot be cut apart
    return max(1, BLOCK_FLOATS // job.process.d)


def _cut(job: engines.Job, trials: int) -> list[engines.Trials]:
    size = _rows(job, trials)
    return [engines.Trials(i, start, min(size, trials - start)) for i, start in enumerate(range(0, trials, size))]


def _apart(granularity: Granularity, d: int) -> bool:
    """Whether trials are known to share no scale; a granularity of the user's own may tie any number of them."""
    if type(granularity) not in GRANULARITIES.values() or not as_made(granularity):
        return False
    try:
        return granularity.scale_shape((2, d))[0] == 2
    except ValueError:  # two trials do not fit it, so it ties more of them
        return False


def _run(job: engines.Job, blocks: Sequence[engines.Trials], fused: bool, kept: keeping.Kept, threads: int) -> None:
    """Every block, on so many threads; ``kept`` takes them in their order."""
    together = 1 if fused else max(1, engines.ARRAY_FLOATS // (blocks[0].rows * job.process.d))

    def work(first: int) -> keeping.Block:
        mine = blocks[first : first + together]
        out = kept.block(mine[0].start, sum(block.rows for block in mine))
        if fused:
            engines.fused(job, mine[0], out)
        else:
            engines.arrays(job, mine, out)
        return out

    firsts = range(0, len(blocks), together)
    if threads == 1 or len(firsts) == 1:
        for first in firsts:
            kept.add(work(first))
        return
    with ThreadPoolExecutor(min(threads, len(firsts), MOST_THREADS)) as pool:
        try:
            for out in pool.map(work, firsts):
                kept.add(out)
        except BaseException:  # an error, or Ctrl-C: the other threads need not finish
            job.stopped.set()
            raise
