"""Lanes: the numbers of one vector register, in NumPy as they stand here, and as instructions once numba compiles.

A vector is 32 bytes of an array (4 doubles or 8 floats). What is written over ``load``, ``store`` and the like runs
without numba too (slowly), with the same bytes: this file fixes the order of every sum, whatever the processor.
"""

from __future__ import annotations

import functools
import operator
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np

LANE_BYTES = 32


# -- lanes: NumPy here, vector instructions once compiled -------------------------------------------------------------


def width(array: np.ndarray) -> int:
    """How many entries of ``array`` are lanes of one vector."""
    return LANE_BYTES // array.itemsize


def load(array: np.ndarray, j: int) -> np.ndarray:
    """The lanes at array[j], array[j+1], ..."""
    return array[j : j + width(array)].copy()


def store(array: np.ndarray, j: int, lanes: np.ndarray) -> None:
    """Put them there; floats may be put into an array of doubles."""
    array[j : j + len(lanes)] = lanes


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


def store_first(array: np.ndarray, j: int, lanes: np.ndarray, count: int) -> None:
    """Put the first ``count`` lanes there, or all if there are fewer."""
    first = lanes[:count]
    array[j : j + len(first)] = first


def totals(array: np.ndarray, j: int) -> np.ndarray:
    """Sums of w vectors that follow each other from array[j] on, each as ``total`` adds it up: one lane for each."""
    w = width(array)
    return np.array([total(load(array, j + i * w)) for i in range(w)], array.dtype)


def maxima(array: np.ndarray, j: int) -> np.ndarray:
    """Maxima of w vectors that follow each other from array[j] on: one lane for each."""
    w = width(array)
    return np.array([largest(load(array, j + i * w)) for i in range(w)], array.dtype)


def root(x: np.ndarray) -> np.ndarray:
    """Square roots."""
    return np.sqrt(x)


def ratio(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Lane by lane x / y where y > 0, else 0."""
    return np.divide(x, y, out=np.zeros_like(x), where=y > 0)


def nonzero(x: np.ndarray) -> np.ndarray:
    """Lane by lane x, and 1 for 0."""
    return np.where(x == 0, np.ones_like(x), x)


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

    def mask(lanes: list[int]) -> Any:
        return ir.Constant(ir.VectorType(index, len(lanes)), lanes)

    def shuffled(builder: Any, x: Any, lanes: list[int]) -> Any:
        return builder.shuffle_vector(x, x, mask(lanes))

    def same(x: Any, number: float) -> Any:
        return ir.Constant(x.type, [number] * x.type.count)

    def quotient(builder: Any, x: Any, y: Any) -> Any:
        return builder.select(builder.fcmp_ordered(">", y, same(y, 0.0)), builder.fdiv(x, y), same(x, 0.0))

    def greater(builder: Any, x: Any, y: Any) -> Any:
        return builder.select(builder.fcmp_ordered(">", x, y), x, y)

    @intrinsic
    def lanes_load(typing: Any, array: Any, j: Any) -> Any:
        def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            # aligned as its entries are: a row begins anywhere
            return builder.load(address(context, builder, array, *values), align=array.dtype.bitwidth // 8)

        return Lanes(array.dtype)(array, types.intp), emit

    def put(context: Any, builder: Any, kind: Any, array: Any, j: Any, lanes: Any) -> None:
        to = builder.gep(context.make_array(kind)(context, builder, array).data, [j])
        builder.store(lanes, builder.bitcast(to, lanes.type.as_pointer()), align=kind.dtype.bitwidth // 8)

    def widened(context: Any, builder: Any, kind: Any, lanes: Any) -> Any:
        number = context.get_value_type(kind.dtype)
        return lanes if lanes.type.element == number else builder.fpext(lanes, ir.VectorType(number, lanes.type.count))

    @intrinsic
    def lanes_store(typing: Any, array: Any, j: Any, x: Any) -> Any:
        def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            to, first, lanes = values
            put(context, builder, array, to, first, widened(context, builder, array, lanes))
            return context.get_dummy_value()

        return types.none(array, types.intp, x), emit

    @intrinsic
    def lanes_store_first(typing: Any, array: Any, j: Any, x: Any, count: Any) -> Any:
        def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            to, first, lanes, n = values
            lanes = widened(context, builder, array, lanes)
            data = context.make_array(array)(context, builder, to).data
            with builder.if_else(builder.icmp_signed(">=", n, n.type(x.count))) as (every, some):
                with every:
                    put(context, builder, array, to, first, lanes)
                with some:
                    for i in range(x.count - 1):
                        with builder.if_then(builder.icmp_signed("<", n.type(i), n)):
                            lane = builder.extract_element(lanes, index(i))
                            builder.store(lane, builder.gep(data, [builder.add(first, first.type(i))]))
            return context.get_dummy_value()

        return types.none(array, types.intp, x, types.intp), emit

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

    def folded_each(fold: Callable[[Any, Any, Any], Any]) -> Any:
        """So many vectors in memory as one has lanes to one vector, each folded as ``folded`` does."""

        @intrinsic
        def lanes_folded_each(typing: Any, array: Any, j: Any) -> Any:
            kind = Lanes(array.dtype)

            def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
                count = left = kind.count
                data = context.make_array(array)(context, builder, values[0]).data
                pointer = context.get_value_type(kind).as_pointer()

                def vector(i: int) -> Any:
                    first = builder.add(values[1], values[1].type(i * count))
                    return builder.load(
                        builder.bitcast(builder.gep(data, [first]), pointer), align=array.dtype.bitwidth // 8
                    )

                # a pair becomes one vector: the lower halves of all parts, and on them the upper ones
                vectors = [vector(i) for i in range(count)]
                while left > 1:
                    left //= 2
                    lower = [i for i in range(2 * count) if i // left % 2 == 0]
                    upper = [i + left for i in lower]
                    halves = [
                        [builder.shuffle_vector(x, y, mask(half)) for half in (lower, upper)]
                        for x, y in zip(vectors[::2], vectors[1::2], strict=True)
                    ]
                    vectors = [fold(builder, low, high) for low, high in halves]
                return vectors[0]

            return kind(array, types.intp), emit

        return lambda array, j: lambda array, j: lanes_folded_each(array, j)

    @intrinsic
    def lanes_nonzero(typing: Any, x: Any) -> Any:
        def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            empty = builder.fcmp_ordered("==", values[0], same(values[0], 0.0))
            return builder.select(empty, same(values[0], 1.0), values[0])

        return x(x), emit

    def constant(number: int) -> Any:
        return lambda array: number

    meanings: dict[Any, Any] = {
        # a constant of the compiled code, as loops divide by it
        width: lambda array: constant(LANE_BYTES * 8 // array.dtype.bitwidth),
        load: lambda array, j: lambda array, j: lanes_load(array, j),
        store: lambda array, j, lanes: lambda array, j, lanes: lanes_store(array, j, lanes),
        store_first: lambda array, j, lanes, count: (
            lambda array, j, lanes, count: lanes_store_first(array, j, lanes, count)
        ),
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
        totals: folded_each(lambda builder, x, y: builder.fadd(x, y)),
        maxima: folded_each(greater),
        root: one("sqrt"),
        ratio: two(quotient),
        nonzero: lambda x: (lambda x: lanes_nonzero(x)) if isinstance(x, Lanes) else None,
    }
    for function, meaning in meanings.items():
        extending.overload(function)(meaning)


_lock = threading.Lock()
_taught = False


@functools.cache
def _compiled(function: Callable[..., int]) -> Callable[..., int]:
    import numba

    options: Any = {"nogil": True, "error_model": "numpy"}
    # numba takes kept code by a function's name and the time of its file; what the lanes mean is in this one
    named = FunctionType(function.__code__, function.__globals__, function.__name__, function.__defaults__)
    named.__qualname__ = f"{function.__name__}_{zlib.crc32(Path(__file__).read_bytes()):08x}"
    try:
        return numba.njit(cache=True, **options)(named)
    except RuntimeError:  # nowhere to write compiled code to
        return numba.njit(**options)(named)


def compiled(function: Callable[..., int]) -> Callable[..., int]:
    """A function over lanes, compiled when it is first called with arguments of these types (None is a type).

    That takes seconds; the code is kept in ``__pycache__`` (or NUMBA_CACHE_DIR). Raises ImportError without numba.
    """
    global _taught
    with _lock:
        if not _taught:
            _teach_numba()
            _taught = True
        return _compiled(function)
