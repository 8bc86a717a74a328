"""Pickles of plain data and NumPy arrays, read without running anything.

``pickle`` and NumPy's own reconstructors trust a file: it may call functions, forge the flags of a dtype so that its
bytes become pointers, or ask for gigabytes in one opcode. Here the standard library's disassembler takes a pickle
apart and checks every length against what is there. A small stack machine then executes the opcodes of numbers, text,
bytes, lists, tuples, dicts and arrays of numbers, and refuses all others; arrays are views of bytes in the file. So no
code of the file is run, and what is made is limited by the size of the file and the number of its opcodes.
"""

from __future__ import annotations

import math
import pickle
import pickletools
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

import numpy as np
from numpy.typing import NDArray

OPCODES = 2**20  # a batch of CIFAR-10 has 60,000
DTYPES = frozenset({"b1"} | {f"{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)} | {"f2", "f4", "f8"})
_MARK = object()


class _Named(Enum):
    """The functions and classes that a pickle may name."""

    DTYPE, NDARRAY, RECONSTRUCT, SCALAR, FROMBUFFER, ENCODE, BYTES = (auto() for _ in range(7))


NAMES = {
    ("numpy", "dtype"): _Named.DTYPE, ("numpy", "ndarray"): _Named.NDARRAY, ("_codecs", "encode"): _Named.ENCODE,
    ("__builtin__", "bytes"): _Named.BYTES, ("builtins", "bytes"): _Named.BYTES,
} | {
    (f"numpy.{core}.{module}", name): named for core in ("core", "_core") for module, name, named in (
        ("multiarray", "_reconstruct", _Named.RECONSTRUCT), ("multiarray", "scalar", _Named.SCALAR),
        ("numeric", "_frombuffer", _Named.FROMBUFFER),
    )
}  # fmt: skip


class RefusedPickle(pickle.UnpicklingError):
    """A pickle that is damaged, or that asks for more than plain data."""


@dataclass(eq=False)
class _DType:
    """A dtype of numbers, as the pickle describes it."""

    word: str
    order: str = "="

    @property
    def real(self) -> np.dtype[Any]:
        return np.dtype(self.order + self.word)


@dataclass(eq=False)
class _Array:
    """An array that ``_reconstruct`` has announced. Its content comes with a later opcode."""

    value: NDArray[Any] | None = None


def loads(content: bytes) -> Any:
    """Return what a pickle holds. Byte strings of Python 2 become bytes, and arrays are read-only.

    Raises ``RefusedPickle`` for a pickle of more than plain data, and ValueError and others for a damaged one.
    """
    machine = _Machine()
    for count, (opcode, argument, _) in enumerate(pickletools.genops(content)):
        if count == OPCODES:
            raise RefusedPickle(f"it has more than {OPCODES} opcodes, and a batch of CIFAR-10 has 60,000")
        if opcode.name == "STOP":
            return machine.result()
        machine.step(opcode.name, argument)
    raise RefusedPickle("it has no end")


class _Machine:
    """The stack and the memo of a pickle, without the opcodes that run code."""

    #: opcodes whose argument is the value itself
    VALUES = frozenset({
        "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "BINBYTES",
        "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
    })  # fmt: skip
    STRINGS = frozenset({"STRING", "BINSTRING", "SHORT_BINSTRING"})  # of Python 2
    CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "MARK": _MARK, "EMPTY_TUPLE": ()}  # noqa: RUF012
    TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}  # noqa: RUF012
    PUTS = frozenset({"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"})
    GETS = frozenset({"GET", "BINGET", "LONG_BINGET"})

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def result(self) -> Any:
        if len(self.stack) != 1:
            raise RefusedPickle(f"it ends with {len(self.stack)} values instead of one")
        return _finished(self.stack[0])

    def step(self, name: str, argument: Any) -> None:
        if name in self.VALUES:
            self.stack.append(argument)
        elif name in self.STRINGS:
            self.stack.append(argument.encode("latin-1"))
        elif name in self.CONSTANTS:
            self.stack.append(self.CONSTANTS[name])
        elif name in self.TUPLES:
            self.stack.append(tuple(reversed([self.pop() for _ in range(self.TUPLES[name])])))
        elif name in self.PUTS:
            self.memo[len(self.memo) if name == "MEMOIZE" else argument] = self.top()
        elif name in self.GETS:
            self.stack.append(self.memo[argument])
        elif name not in ("PROTO", "FRAME"):
            method = getattr(self, f"on_{name.lower()}", None)
            if method is None:
                raise RefusedPickle(f"it uses {name}, which plain data does not need")
            method(*(() if argument is None else (argument,)))

    def pop(self) -> Any:
        value = self.top()
        del self.stack[-1]
        return value

    def top(self) -> Any:
        if not self.stack or self.stack[-1] is _MARK:
            raise RefusedPickle("its stack is empty where a value is needed")
        return self.stack[-1]

    def since_mark(self) -> list[Any]:
        start = len(self.stack) - 1
        while start >= 0 and self.stack[start] is not _MARK:
            start -= 1
        if start < 0:
            raise RefusedPickle("a mark is missing")
        values = self.stack[start + 1 :]
        del self.stack[start:]
        return values

    def on_empty_list(self) -> None:
        self.stack.append([])

    def on_empty_dict(self) -> None:
        self.stack.append({})

    def on_tuple(self) -> None:
        self.stack.append(tuple(self.since_mark()))

    def on_list(self) -> None:
        self.stack.append(self.since_mark())

    def on_dict(self) -> None:
        values = self.since_mark()
        self.stack.append({})
        self.extend_dict(values)

    def on_append(self) -> None:
        self.extend_list([self.pop()])

    def on_appends(self) -> None:
        self.extend_list(self.since_mark())

    def on_setitem(self) -> None:
        value, key = self.pop(), self.pop()
        self.extend_dict([key, value])

    def on_setitems(self) -> None:
        self.extend_dict(self.since_mark())

    def extend_list(self, values: list[Any]) -> None:
        if type(self.top()) is not list:
            raise RefusedPickle("it appends to something that is not a list")
        self.top().extend(values)

    def extend_dict(self, values: list[Any]) -> None:
        keys = values[::2]
        if type(self.top()) is not dict or len(values) % 2 or not all(type(k) in (bytes, str) for k in keys):
            raise RefusedPickle("it holds a dict whose keys are not text")  # hashing nested tuples may take for ever
        self.top().update(zip(keys, values[1::2], strict=True))

    def on_global(self, argument: str) -> None:
        self.name(*argument.rsplit(" ", 1))

    def on_stack_global(self) -> None:
        name, module = self.pop(), self.pop()
        self.name(module, name)

    def name(self, module: Any, name: Any) -> None:
        found = NAMES.get((module, name)) if type(module) is type(name) is str else None
        if found is None:
            asked = f"{module}.{name}" if type(module) is type(name) is str else "something without a name"
            raise RefusedPickle(f"a batch of CIFAR holds only arrays, and this one asks for {asked[:80]}")
        self.stack.append(found)

    def on_reduce(self) -> None:
        arguments, function = self.pop(), self.pop()
        if type(arguments) is not tuple:
            raise RefusedPickle("it calls something without a tuple of arguments")
        self.stack.append(_called(function, arguments))

    def on_build(self) -> None:
        state, made = self.pop(), self.top()
        if isinstance(made, _DType):
            order = _text(state[1]) if type(state) is tuple and len(state) == 8 else ""
            if order not in ("<", ">", "|", "=") or state != (3, state[1], None, None, None, -1, -1, 0):
                raise RefusedPickle("it holds a dtype that is not one of plain numbers")
            made.order = order
        elif isinstance(made, _Array) and type(state) is tuple and len(state) == 5 and state[0] == 1:
            made.value = _array(*state[1:])
        else:
            raise RefusedPickle("it sets the state of something other than an array")


def _finished(value: Any) -> Any:
    """Put the arrays into their places, in the value itself and in the entries of a dict, which is what a batch is."""
    if isinstance(value, _Array):
        return value.value
    return {k: _finished(v) if isinstance(v, _Array) else v for k, v in value.items()} if type(value) is dict else value


def _text(value: Any) -> str:
    """Return text, which Python 2 wrote as bytes; "" for anything else."""
    return value.decode("latin-1") if type(value) is bytes else value if type(value) is str else ""


def _called(function: Any, arguments: tuple[Any, ...]) -> Any:
    """Return what the few functions return that a pickle of arrays may call."""
    match function, arguments:
        case _Named.DTYPE, (word, 0, 1) if _text(word) in DTYPES:
            return _DType(_text(word))
        case _Named.RECONSTRUCT, (_Named.NDARRAY, (0,), b"b" | "b"):
            return _Array()
        case _Named.SCALAR, (_DType(), content):
            return _array((), arguments[0], False, content)[()]
        case _Named.FROMBUFFER, (content, _DType(), shape, "C" | "F" as order):
            return _Array(_array(shape, arguments[1], order == "F", content))
        case _Named.ENCODE, (str() as text, "latin1" | "latin-1"):
            return text.encode("latin-1")
        case _Named.BYTES, ():
            return b""
    what = function.name.lower() if isinstance(function, _Named) else "something that is not a function"
    raise RefusedPickle(f"it calls {what} with arguments that do not make an array of plain numbers")


def _array(shape: Any, dtype: Any, columns_first: Any, content: Any) -> NDArray[Any]:
    """Return an array that is a view of the bytes. Raises RefusedPickle where their number is not that of the shape."""
    if type(shape) is not tuple or len(shape) > 4 or not all(type(n) is int and n >= 0 for n in shape):
        raise RefusedPickle("it holds an array of an impossible shape")
    if not isinstance(dtype, _DType) or type(content) not in (bytes, bytearray):
        raise RefusedPickle("it holds an array that is not one of plain numbers")
    wanted = math.prod(shape) * dtype.real.itemsize
    if wanted != len(content):
        raise RefusedPickle(f"it holds an array of shape {str(shape)[:80]} with {len(content)} bytes")
    return np.frombuffer(content, dtype.real).reshape(shape, order="F" if columns_first is True else "C")
