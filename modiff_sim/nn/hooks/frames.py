"""A model's method that was taken before our context was entered, ``call = model.forward``, or is called on its class.

Such a call bypasses our patches on the model. It is found when the first layer is reached, because the method's frame
is on the stack. Its end is noticed later, when the frame has left the stack; the frame shows whether it returned.
"""

from __future__ import annotations

import dis
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator
from types import CodeType, FrameType
from typing import Any

from torch import nn

Codes = dict[int, tuple[CodeType, nn.Module]]


def codes(methods: Iterable[tuple[nn.Module, str]]) -> Codes:
    """The code of each method, also below decorators, with the module it is a method of; by the address of the code."""
    found: Codes = {}
    for module, name in methods:
        function: Any = getattr(type(module), name, None)
        if inspect.isfunction(innermost := inspect.unwrap(function) if function else None):
            found[id(innermost.__code__)] = (innermost.__code__, module)
    return found


def on_stack(known: Codes) -> FrameType | None:
    """The outermost frame in which one of these methods runs on its own module; None if there is none."""
    found = None
    for frame in stack():
        _, module = known.get(id(frame.f_code), (None, None))
        names = frame.f_code.co_varnames
        if module is not None and names and frame.f_locals.get(names[0]) is module:
            found = frame
    return found


def stack() -> Iterator[FrameType]:
    """The frames of this thread, innermost first. Those of another, running thread must not be walked."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back


def running(frame: FrameType) -> bool:
    """Whether the frame is on the stack of this thread."""
    return any(other is frame for other in stack())


def returned(frame: FrameType) -> bool:
    """Whether a frame that is no longer running ended with a return rather than an exception."""
    last = next((i.opname for i in dis.get_instructions(frame.f_code) if i.offset == frame.f_lasti), "")
    return last.startswith("RETURN")


def arguments(frame: FrameType) -> dict[str, Any]:
    """The arguments of the method by name, without its self."""
    names = frame.f_code.co_varnames[1 : frame.f_code.co_argcount + frame.f_code.co_kwonlyargcount]
    return {name: frame.f_locals[name] for name in names if name in frame.f_locals}


class Signature:
    """The parameters of a method."""

    def __init__(self, function: Callable[..., Any]) -> None:
        method = inspect.ismethod(function)
        try:
            every = list(inspect.signature(function.__func__ if method else function).parameters.values())  # type: ignore[attr-defined]
        except (TypeError, ValueError):
            every, method = [], False
        names = [p.name for p in every if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        self._names = names[method:]  # parameters that can be given by position
        self._defaults = {p.name: p.default for p in every if p.default is not p.empty}

    def named(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Arguments by name, in the order of the parameters, with defaults; those of ``*args`` by position."""
        names, defaults = self._names, self._defaults
        given = {names[i] if i < len(names) else str(i): value for i, value in enumerate(args)} | kwargs
        every = dict.fromkeys((*names, *defaults))
        ordered = {name: given.pop(name, defaults.get(name)) for name in every if name in given or name in defaults}
        return ordered | given
