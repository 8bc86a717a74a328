"""A model's method that was taken before our context was entered, ``call = model.forward``, or is called on its class.

Such a call passes our patches on the model by. It is found when the first layer is reached: the method's frame is on
the stack. Its end is noticed afterwards, when the frame is there no more; whether it returned can be read off it.
"""

from __future__ import annotations

import dis
import inspect
import sys
from collections.abc import Iterable, Iterator
from types import CodeType, FrameType
from typing import Any

from torch import nn

Codes = dict[int, tuple[CodeType, nn.Module]]


def codes(methods: Iterable[tuple[nn.Module, str]]) -> Codes:
    """Code of each method, also below decorators, with the module that it is a method of; by the code's address."""
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
    """The frames of this thread, innermost first."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back


def running(frame: FrameType) -> bool:
    """Whether the frame is on the stack."""
    return any(other is frame for other in stack())


def returned(frame: FrameType) -> bool:
    """Whether a frame that does not run any more ended with a return, not with an exception."""
    last = next((i.opname for i in dis.get_instructions(frame.f_code) if i.offset == frame.f_lasti), "")
    return last.startswith("RETURN")


def arguments(frame: FrameType) -> dict[str, Any]:
    """What the method was called with, by name, without its self."""
    names = frame.f_code.co_varnames[1 : frame.f_code.co_argcount + frame.f_code.co_kwonlyargcount]
    return {name: frame.f_locals[name] for name in names if name in frame.f_locals}
