"""The fused kernel of ``simulate`` (extra [fast]): AbsMax with one scale per row, recursion and norms in one walk.

``engines.arrays`` is the definition. Here the same operations are done in the same order for every entry, so states,
max norms and kappa are equal bit for bit; a 2-norm or a c sums the same squares in another order, so it differs by the
rounding of a sum, at most d·eps relative.

The kernel is written over *lanes* (32 bytes of a row: 4 doubles or 8 floats). ``load``, ``store`` and the like are
NumPy as they stand here, and single instructions of the processor when numba compiles: so the kernel runs without numba
too (slowly), with the same bytes, and the order of every sum is fixed by this file whatever the processor.
"""

from __future__ import annotations

import functools
import math
import operator
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

LANE_BYTES = 32
#: entries of a tile of rows, which is taken through all steps at hand before the next one: 32 KiB of state, as L1 holds
TILE = 2**12
Table = np.ndarray | None


# -- lanes: NumPy here, vector instructions once compiled -------------------------------------------------------------


def width(array: np.ndarray) -> int:
    """How many entries of ``array`` are lanes of one vector."""
    return LANE_BYTES // array.itemsize


def load(array: np.ndarray, j: int) -> np.ndarray:
    """The lanes at array[j], array[j+1], ..."""
    return array[j : j + width(array)].copy()


def store(array: np.ndarray, j: int, lanes: np.ndarray) -> None:
    """Put them back."""
    array[j : j + width(array)] = lanes


def spread(array: np.ndarray, value: float) -> np.ndarray:
    """Lanes that all hold ``value``, in the dtype of ``array``."""
    return np.full(width(array), value, array.dtype)


def larger(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Lane by lane x where x > y, else y."""
    return np.where(x > y, x, y)


def nearest(x: np.ndarray) -> np.ndarray:
    """Nearest integers, ties to even."""
    return np.rint(x)


def total(x: np.ndarray) -> float:
    """Sum of the lanes, upper half onto lower half until one is left."""
    while len(x) > 1:
        x = x[: len(x) // 2] + x[len(x) // 2 :]
    return x[0]


def largest(x: np.ndarray) -> float:
    """Maximum of the lanes."""
    while len(x) > 1:
        x = larger(x[: len(x) // 2], x[len(x) // 2 :])
    return x[0]


# -- the kernel -------------------------------------------------------------------------------------------------------


def kernel(
    x: np.ndarray, calls: np.ndarray, rows: int, d_all: int, state: np.ndarray | None, base: np.ndarray | None,
    bases: Any, exact: np.ndarray, qmax: Any, at: int, start: int, error: Table,
    error_inf: Table, d: Table, d_inf: Table, a: Table, a_inf: Table, c: Table, kappa: Table,
) -> int:  # fmt: skip
    """Some consecutive calls of some rows; returns the first call whose residual overflows, or -1. Arrays are flat.

    x, calls:    inputs, and where in x each call's first row begins; calls[0] is the call before, for differences.
                 A row has ``d_all`` entries, a multiple of ``width``, and rows follow each other
    state:       (rows·d_all,) ô, overwritten; with A = 1 and a closed loop it is â as well. None: direct
    base, bases: what call k is compared with, from base[bases[k]] on; None: with the state (closed loop)
    exact:       (calls,) bool: calls in full precision
    qmax:        in the dtype of x
    error, ...:  float64 tables (steps, trials), filled from row ``at`` and column ``start`` on; None is not measured
    """
    w = width(x)
    zero = spread(x, 0.0)
    tile = max(1, TILE // d_all)
    for top in range(0, rows, tile):
        for k in range(len(exact)):
            here, earlier, in_full, up = calls[k + 1], calls[k], exact[k], at + k
            other = 0
            if base is not None:
                other = bases[k]
            for i in range(top, min(top + tile, rows)):
                to, mine = start + i, i * d_all
                row, before, against = here + mine, earlier + mine, other + mine

                r_max, d_sum, d_max, a_sum, a_max = zero, zero, zero, zero, zero
                for j in range(0, d_all, w):
                    now = load(x, row + j)
                    residual, step = now, now - load(x, before + j)
                    if base is not None:
                        residual = now - load(base, against + j)
                    elif state is not None:
                        residual = now - load(state, against + j)
                    r_max = larger(r_max, abs(residual))
                    if d is not None:
                        d_sum = d_sum + step * step
                    if d_inf is not None:
                        d_max = larger(d_max, abs(step))
                    if a is not None:
                        a_sum = a_sum + now * now
                    if a_inf is not None:
                        a_max = larger(a_max, abs(now))
                size = largest(r_max)
                if not in_full and not np.isfinite(size):
                    return k
                scale = spread(x, size / qmax)
                if size / qmax == 0.0:
                    scale = spread(x, 1.0)

                e_sum, e_max, l_sum, l_max, r_sum = zero, zero, zero, zero, zero
                if in_full:
                    if state is not None:
                        for j in range(0, d_all, w):
                            store(state, mine + j, load(x, row + j))
                else:
                    for j in range(0, d_all, w):
                        now = load(x, row + j)
                        residual = now
                        if base is not None:
                            residual = now - load(base, against + j)
                        elif state is not None:
                            residual = now - load(state, against + j)
                        hat = scale * nearest(residual / scale)
                        o_hat = hat
                        if state is not None:
                            o_hat = load(state, mine + j) + hat
                            store(state, mine + j, o_hat)
                        off, lost = now - o_hat, residual - hat
                        if error is not None:
                            e_sum = e_sum + off * off
                        if error_inf is not None:
                            e_max = larger(e_max, abs(off))
                        if c is not None:
                            l_sum = l_sum + lost * lost
                            r_sum = r_sum + residual * residual
                        if kappa is not None:
                            l_max = larger(l_max, abs(lost))

                if error is not None:
                    error[up, to] = np.sqrt(total(e_sum))
                if error_inf is not None:
                    error_inf[up, to] = largest(e_max)
                if d is not None:
                    d[up, to] = np.sqrt(total(d_sum))
                if d_inf is not None:
                    d_inf[up, to] = largest(d_max)
                if a is not None:
                    a[up, to] = np.sqrt(total(a_sum))
                if a_inf is not None:
                    a_inf[up, to] = largest(a_max)
                if c is not None:
                    c[up, to] = total(l_sum) / total(r_sum) if total(r_sum) > 0 else 0.0
                    if in_full:
                        c[up, to] = math.nan
                if kappa is not None:
                    kappa[up, to] = largest(l_max) / size if size > 0 else 0.0
                    if in_full:
                        kappa[up, to] = math.nan
    return -1


def copy(drawn: np.ndarray, x: np.ndarray, begin: int, d_all: int) -> int:
    """Write drawn (rows, d) into rows of ``d_all`` entries, from x[begin] on; returns how many are not finite there."""
    rows, d = drawn.shape
    bad = 0
    for i in range(rows):
        for j in range(d):
            x[begin + i * d_all + j] = drawn[i, j]
            if not abs(x[begin + i * d_all + j]) < math.inf:
                bad += 1
    return bad


# -- compiling --------------------------------------------------------------------------------------------------------


def _teach_numba() -> None:
    """What the lane functions above are to numba: instructions on one vector value."""
    import numba.extending
    from numba.core import cgutils, types

    extending: Any = numba.extending
    utils: Any = cgutils
    intrinsic, ir = extending.intrinsic, utils.ir  # ir: llvmlite's
    index = ir.IntType(32)

    class Lanes(types.Type):
        def __init__(self, scalar: Any) -> None:
            self.scalar, self.count = scalar, LANE_BYTES * 8 // scalar.bitwidth
            super().__init__(name=f"Lanes({scalar} × {self.count})")

    @extending.register_model(Lanes)
    class LanesModel(extending.models.PrimitiveModel):
        def __init__(self, manager: Any, lanes: Any) -> None:
            super().__init__(manager, lanes, ir.VectorType(manager.lookup(lanes.scalar).get_value_type(), lanes.count))

    def address(context: Any, builder: Any, kind: Any, array: Any, j: Any) -> Any:
        data = builder.gep(context.make_array(kind)(context, builder, array).data, [j])
        return builder.bitcast(data, context.get_value_type(Lanes(kind.dtype)).as_pointer())

    def shuffled(builder: Any, x: Any, lanes: list[int]) -> Any:
        return builder.shuffle_vector(x, x, ir.Constant(ir.VectorType(index, len(lanes)), lanes))

    def greater(builder: Any, x: Any, y: Any) -> Any:
        return builder.select(builder.fcmp_ordered(">", x, y), x, y)

    @intrinsic
    def lanes_load(typing: Any, array: Any, j: Any) -> Any:
        def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            # aligned as its entries are: a row begins anywhere
            return builder.load(address(context, builder, array, *values), align=array.dtype.bitwidth // 8)

        return Lanes(array.dtype)(array, types.intp), emit

    @intrinsic
    def lanes_store(typing: Any, array: Any, j: Any, x: Any) -> Any:
        def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            to = address(context, builder, array, *values[:2])
            builder.store(values[2], to, align=array.dtype.bitwidth // 8)
            return context.get_dummy_value()

        return types.none(array, types.intp, x), emit

    @intrinsic
    def lanes_spread(typing: Any, array: Any, value: Any) -> Any:
        def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            kind = context.get_value_type(Lanes(array.dtype))
            first = builder.insert_element(ir.Constant(kind, ir.Undefined), values[1], index(0))
            return shuffled(builder, first, [0] * kind.count)

        return Lanes(array.dtype)(array, array.dtype), emit

    def two(instruction: Callable[[Any, Any, Any], Any]) -> Any:
        """Lanes and lanes to lanes."""

        @intrinsic
        def lanes_two(typing: Any, x: Any, y: Any) -> Any:
            return x(x, x), lambda context, builder, signature, values: instruction(builder, *values)

        return lambda x, y: (lambda x, y: lanes_two(x, y)) if isinstance(x, Lanes) and isinstance(y, Lanes) else None

    def one(name: str) -> Any:
        """Lanes to lanes, by LLVM's function of this name."""

        @intrinsic
        def lanes_one(typing: Any, x: Any) -> Any:
            def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
                kind, full = context.get_value_type(x), f"llvm.{name}.v{x.count}f{x.scalar.bitwidth}"
                function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [kind]), full)
                return builder.call(function, values)

            return x(x), emit

        return lambda x: (lambda x: lanes_one(x)) if isinstance(x, Lanes) else None

    def folded(fold: Callable[[Any, Any, Any], Any]) -> Any:
        """Lanes to one number, halves onto each other."""

        @intrinsic
        def lanes_folded(typing: Any, x: Any) -> Any:
            def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
                kept, left = values[0], x.count
                while left > 1:
                    left //= 2
                    lower, upper = list(range(left)), list(range(left, 2 * left))
                    kept = fold(builder, shuffled(builder, kept, lower), shuffled(builder, kept, upper))
                return builder.extract_element(kept, index(0))

            return x.scalar(x), emit

        return lambda x: lambda x: lanes_folded(x)

    meanings: dict[Any, Any] = {
        load: lambda array, j: lambda array, j: lanes_load(array, j),
        store: lambda array, j, lanes: lambda array, j, lanes: lanes_store(array, j, lanes),
        spread: lambda array, value: lambda array, value: lanes_spread(array, value),
        operator.add: two(lambda builder, x, y: builder.fadd(x, y)),
        operator.sub: two(lambda builder, x, y: builder.fsub(x, y)),
        operator.mul: two(lambda builder, x, y: builder.fmul(x, y)),
        operator.truediv: two(lambda builder, x, y: builder.fdiv(x, y)),
        larger: two(greater),
        abs: one("fabs"),
        nearest: one("rint"),
        total: folded(lambda builder, x, y: builder.fadd(x, y)),
        largest: folded(greater),
    }
    for function, meaning in meanings.items():
        extending.overload(function)(meaning)
    extending.register_jitable(width)


_lock = threading.Lock()
_taught = False


@functools.cache
def _compiled(function: Callable[..., int]) -> Callable[..., int]:
    import numba

    options: Any = {"nogil": True, "error_model": "numpy"}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # nowhere to write compiled code to
        return numba.njit(**options)(function)


def compiled(function: Callable[..., int]) -> Callable[..., int]:
    """``kernel`` or ``copy``, compiled when it is first called with arguments of these types (None is a type).

    That takes seconds; the code is kept in ``__pycache__`` (or NUMBA_CACHE_DIR). Raises ImportError without numba.
    """
    global _taught
    with _lock:
        if not _taught:
            _teach_numba()
            _taught = True
        return _compiled(function)
