"""The yardstick of the ``simulate`` benchmark, and the rates that its roofline is drawn with. Needs numba.

``closed_loop`` does what a closed loop with AbsMax must do to its state, r = a - â, s = max|r|/qmax, â += s·round(r/s),
and nothing else: it computes no norms, checks nothing, draws no random numbers and has no options. It is written over
the lanes of ``modiff_sim.simulation.lanes``, because plain loops were slower (the compiler does not vectorise a
maximum).
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numba
import numpy as np

from modiff_sim.simulation import numba_kernel
from modiff_sim.simulation.lanes import larger, largest, load, nearest, spread, store, total, width

numba_kernel.compiled(numba_kernel.kernel)  # teaches numba the lanes
OPTIONS = {"nogil": True, "error_model": "numpy"}
TILE = numba_kernel.TILE


@numba.njit(**OPTIONS)
def closed_loop(a, state, qmax):
    """Run over the inputs ``a``, shape (steps, trials, d), and overwrite ``state``, which is â, shape (trials, d).

    d must be a multiple of the number of lanes.
    """
    steps, trials, d = a.shape
    x, a_hat, w = a.reshape(-1), state.reshape(-1), width(a)
    tile = max(1, TILE // d)
    for top in range(0, trials, tile):
        for k in range(steps):
            for i in range(top, min(top + tile, trials)):
                row, mine = (k * trials + i) * d, i * d
                m = spread(x, 0.0)
                for j in range(0, d, w):
                    m = larger(m, abs(load(x, row + j) - load(a_hat, mine + j)))
                size = largest(m) / qmax
                if size == 0.0:
                    size = 1.0
                s = spread(x, size)
                for j in range(0, d, w):
                    before = load(a_hat, mine + j)
                    store(a_hat, mine + j, before + s * nearest((load(x, row + j) - before) / s))


@numba.njit(**OPTIONS)
def _read(x):
    w = width(x)
    sums = spread(x, 0.0)
    for j in range(0, len(x), w):
        sums = larger(sums, load(x, j))
    return largest(sums)


@numba.njit(**OPTIONS)
def _operate(x, y, times):
    w = width(x)
    kept, most = spread(x, 0.0), spread(x, 0.0)
    for _ in range(times):
        for j in range(0, len(x), w):
            off = load(x, j) - load(y, j)
            kept = kept + off * off
            most = larger(most, abs(off))
    return total(kept) + largest(most)


@numba.njit(**OPTIONS)
def _divide(x, y, times):
    w = width(x)
    for _ in range(times):
        for j in range(0, len(x), w):
            store(y, j, load(x, j) / load(y, j))


def seconds(run: Callable[[], object], repeats: int) -> float:
    """Return the median processor time of a call in seconds. The first call, which compiles, is not counted."""
    run()
    taken = []
    for _ in range(repeats):
        start = time.process_time()
        run()
        taken.append(time.process_time() - start)
    return float(np.median(taken))


def rates(repeats: int) -> dict[str, float]:
    """Measure how much one core can do per second.

    bytes:      bytes read from memory, 128 MiB in a row
    operations: subtractions, multiplications, additions, absolute values and maxima of numbers in the first-level cache
    divisions:  divisions of numbers in the first-level cache
    normals:    standard normal numbers drawn by NumPy's default generator, PCG64
    normals, SFC64: the same by SFC64
    passes:     entries processed by one NumPy operation on an array of ``engines.ARRAY_FLOATS`` entries
    """
    from modiff_sim.simulation.engines import ARRAY_FLOATS

    big = np.ones(2**24)
    x, y, times = np.full(1024, 1.5), np.ones(1024), 2000
    left, right = np.ones(ARRAY_FLOATS), np.ones(ARRAY_FLOATS)
    rng, fast = np.random.default_rng(0), np.random.Generator(np.random.SFC64(0))
    return {
        "bytes": big.nbytes / seconds(lambda: _read(big), repeats),
        "operations": 5 * times * x.size / seconds(lambda: _operate(x, y, times), repeats),
        "divisions": times * x.size / seconds(lambda: _divide(x, y, times), repeats),
        "normals": 2**18 / seconds(lambda: rng.standard_normal(2**18), repeats),
        "normals, SFC64": 2**18 / seconds(lambda: fast.standard_normal(2**18), repeats),
        "passes": ARRAY_FLOATS / seconds(lambda: left - right, 10 * repeats),
    }
