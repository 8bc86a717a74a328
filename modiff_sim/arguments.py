"""Checks of arguments that come from outside. Their errors say what was given and what is needed.

``number`` and ``count`` are for one number. ``reals`` makes a NumPy array of real numbers from anything that holds them
(lists, arrays, tensors on the CPU, pandas). ``namespace`` is for arrays of any library of the array API, which are used
as they are. ``affordable`` refuses what does not fit into the memory of this machine before it is begun.

TypeError is raised for masked arrays (whose masked entries would be used), text, dates, complex numbers, truth values,
records and objects, and ValueError for ragged lists and, where asked for, NaN and Inf.
"""

from __future__ import annotations

import math
import os
from collections import UserList, deque
from collections.abc import Iterable, Iterator
from numbers import Integral, Real
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from .typing import Array, ArrayLike

_KINDS = {
    "b": "truth values", "c": "complex numbers", "M": "dates", "m": "time spans", "U": "text", "S": "bytes",
    "T": "text", "V": "records", "O": "objects",
}  # fmt: skip
UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def number(
    name: str, value: Any, *, least: float = 0.0, above: float = -math.inf, below: float = math.inf, what: str = ""
) -> float:
    """Return ``value`` if it is one real number with least <= value < below and value > above.

    ``what`` explains the name in the message. Raises TypeError for anything that is not a real number (text, truth
    values, arrays, None, complex), and ValueError for one that is out of range, NaN, or too large for a float.
    """
    who = f"{name} is {what} and" if what else name
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(f"{who} must be one real number, got {_shown(value)}")
    x: Any = value  # to a type checker a Real is not comparable with a float
    if not (least <= x < below and x > above and _is_float(x)):
        low, sign = (above, "<") if above >= least else (least, "<=")
        allowed = "finite" if low == -math.inf else f"finite and {'>=' if sign == '<=' else '>'} {low:g}"
        if below < math.inf:
            allowed = f"such that {low:g} {sign} {name.rpartition(': ')[2]} < {below:g}"
        raise ValueError(f"{who} must be {allowed}, got {_shown(value)}")
    return x


def count(name: str, value: Any, least: int = 1, *, most: float = math.inf, why: str = "") -> int:
    """Return ``value`` if it is an int (not a bool) from ``least`` to ``most``; raise ValueError otherwise.

    ``why`` explains the upper end in the message.
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise ValueError(f"{name} must be an int >= {least}, got {_shown(value)}")
    if int(value) > most:
        raise ValueError(f"{name} must be at most {most:,}{why and f', {why}'}, got {_shown(value)}")
    return int(value)


def listed(values: Any) -> list[Any]:
    """Return several values in a list, or a single one: numbers, text and objects that hold no others.

    Examples
    --------
    >>> listed(3), listed("absmax"), listed(range(2, 4)), listed(None)
    ([3], ['absmax'], [2, 3], [None])
    """
    if hasattr(values, "tolist"):  # an array, a number of one, a column of a frame
        values = values.tolist()
    return list(values) if isinstance(values, Iterable) and not isinstance(values, str | bytes) else [values]


def seed(value: Any, name: str = "seed") -> int:
    """Return ``value`` if it is an int >= 0, with which a generator can be seeded; raise ValueError otherwise."""
    return count(name, value, 0)


def reals(name: str, value: ArrayLike, dtype: Any = np.float64, *, finite: bool = False) -> np.ndarray:
    """Return ``value`` as a NumPy array of real numbers; ``dtype`` None keeps its own. NaN and Inf pass unless
    ``finite``.
    """
    _plain(name, value)
    for part in _parts(value):
        _plain(name, part)
    try:
        found = np.asarray(value)
        if (
            found.dtype == object
            and not hasattr(value, "dtype")
            and all(isinstance(v, Real) and not isinstance(v, bool | np.bool_) for v in found.flat)
        ):
            found = found.astype(np.float64)  # for whole numbers beyond 64 bits, and fractions
    except ValueError as error:
        raise ValueError(f"{name} must be an array of real numbers: {error}") from None
    except (TypeError, RuntimeError, OverflowError) as error:
        raise TypeError(f"{name} must be an array of real numbers, got {type(value).__name__}: {error}") from None
    if found.dtype.kind not in "iuf":
        raise TypeError(f"{name} must be an array of real numbers, got {_given(found, value)}")
    if dtype is not None:
        with np.errstate(over="ignore"):  # what overflows the dtype becomes Inf, which ``finite`` refuses
            found = found.astype(dtype, copy=False)
    if finite and not np.isfinite(found).all():
        where = [int(i) for i in np.argwhere(~np.isfinite(found))[0]]
        raise ValueError(f"{name} must be finite, but holds NaN or Inf, first at {where}")
    return found


def namespace(who: str, a: Array) -> Any:
    """Return the array-API namespace of ``a``, and raise TypeError unless ``a`` is a plain array."""
    _plain(who, a)
    try:
        return array_namespace(a)
    except TypeError:
        raise TypeError(
            f"{who} takes an array of real floats, got {_shown(a)}: make it one first (numpy.asarray)"
        ) from None


def affordable(what: str, size: float) -> None:
    """Raise MemoryError, before anything is allocated, where ``what`` needs more bytes than this machine has."""
    have = memory()
    if size > have:
        raise MemoryError(
            f"{what} would take {said_bytes(size)}, and this machine has {said_bytes(have)} of memory: ask for less"
        )


def memory() -> float:
    """Return the bytes of memory of this machine, or inf where the system does not say."""
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not a POSIX system
        return math.inf
    return float(size) if size > 0 else math.inf


def said_bytes(size: float) -> str:
    """Return a number of bytes in the unit that people would use, such as 1.5 GiB."""
    for unit in UNITS:
        if size < 1024 or unit == UNITS[-1]:
            break
        size /= 1024
    return f"{size:.3g} {unit}"


def said_seconds(seconds: float) -> str:
    """Return a duration in the unit that people would use, such as 40 s or 3 min."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5940 else f"{seconds / 3600:.1f} h"


def _is_float(x: Any) -> bool:
    try:
        return not math.isinf(float(x))
    except OverflowError:
        return False


def _parts(value: Any) -> Iterator[Any]:
    """Yield the elements of nested lists and tuples, to any depth."""
    if isinstance(value, list | tuple | UserList | deque):
        for part in value:
            yield part
            yield from _parts(part)


def _plain(who: str, value: Any) -> None:
    """Raise TypeError for values that NumPy would silently take for something else."""
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(
            f"{who} must not be masked, as what is masked would be used: fill it or leave it out (filled())"
        )
    if isinstance(value, np.matrix):
        raise TypeError(f"{who} must not be a numpy.matrix, whose * is another product: pass numpy.asarray(...)")
    if isinstance(value, bool | np.bool_) or (isinstance(value, np.ndarray) and value.dtype == bool):
        raise TypeError(f"{who} must be real numbers, got the truth value {value}")


def _given(found: np.ndarray, value: Any) -> str:
    if found.dtype == object and not isinstance(value, np.ndarray | list | tuple):
        return f"a {type(value).__name__}"
    kind = _KINDS.get(found.dtype.kind, "something else")
    own = "" if isinstance(value, np.ndarray | list | tuple) else f" in a {type(value).__name__}"
    return f"{kind} ({found.dtype}){own}"


def _shown(value: Any) -> str:
    """Return ``value`` as Python writes it, cut where that is long, for a message."""
    try:
        text = " ".join(repr(value).split())
    except ValueError:  # an int with more digits than Python prints
        return f"an int of about {int(math.log10(2) * value.bit_length()):,} digits"
    return text if len(text) <= 200 else f"{text[:150]}... ({type(value).__name__})"
