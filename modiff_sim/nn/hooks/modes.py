"""Modes of torch that are restored as they were found, whoever has entered what in the meantime; see ``undo``."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import torch
from torch import overrides
from torch.overrides import TorchFunctionMode
from torch.utils import _python_dispatch as dispatch
from torch.utils._python_dispatch import TorchDispatchMode

from .undo import Context, Undo


class _Open(threading.local):
    """The changes below that are open in a thread, oldest first."""

    def __init__(self) -> None:
        self.changes: list[_OfThread] = []


_here = _Open()


class _OfThread:
    """A change of a switch that every thread has for itself.

    An interrupt may keep a change from being taken back in its turn. Then the next one around it takes it back as well,
    and taking it back later has no effect, because the setting before it is outdated by then.
    """

    def put(self) -> None:
        _here.changes.append(self)
        self._switch()

    def remove(self) -> None:
        while self in _here.changes:
            _here.changes[-1]._back()
            _here.changes.pop()

    def _switch(self) -> None:
        raise NotImplementedError

    def _back(self) -> None:
        """Restore the switch. May be called more than once, and also where the switch was not reached."""
        raise NotImplementedError


class Gradients(_OfThread):
    """A change: gradients are on or off."""

    def __init__(self, on: bool = False) -> None:
        self._on, self._before = on, torch.is_grad_enabled()

    def _switch(self) -> None:
        torch._C._set_grad_enabled(self._on)

    def _back(self) -> None:
        torch._C._set_grad_enabled(self._before)


class Inference(_OfThread):
    """A change: torch's inference mode is on or off.

    Torch's own context keeps its guard where an interrupt comes as it is entered or left, and restores the mode before
    it whenever the guard is freed.
    """

    def __init__(self, on: bool) -> None:
        self._on = on
        self._guard: Any = None

    def _switch(self) -> None:
        self._guard = torch._C._InferenceMode(self._on)  # from here on, whatever is entered

    def _back(self) -> None:
        if self._guard is not None:
            self._guard.__exit__(None, None, None)


def inference(on: bool = True, *, gradients: bool = False) -> Context[None]:
    """A context with or without inference mode, and with or without gradients.

    Tensors made in inference mode cannot be written to outside of it.
    """

    def enter(undo: Undo) -> None:
        undo.put(Inference(on))  # this switches gradients as well
        undo.put(Gradients(gradients))

    return Context(enter)


class On:
    """A change: this mode is on top of this thread's stack of its kind.

    Another thread cannot take it off. The mode is then ``stale`` and has no effect; it is removed with the thread, or
    when that thread puts on or takes off another mode.
    """

    def __init__(self, mode: TorchFunctionMode | TorchDispatchMode) -> None:
        self.mode = mode
        kind: Any = overrides if isinstance(mode, TorchFunctionMode) else dispatch
        self._push: Callable[[Any], None] = kind._push_mode
        self._pop: Callable[[], Any] = kind._pop_mode
        function = isinstance(mode, TorchFunctionMode)
        name = "_get_current_function_mode_stack" if function else "_get_current_dispatch_mode_stack"
        self._stack: Callable[[], list[Any]] = getattr(kind, name)
        self._others: list[Any] | None = None  # the modes that have to be there afterwards

    def put(self) -> None:
        """Push the mode."""
        if any(_stale(mode) for mode in self._stack()):
            self.remove()
        self._push(self.mode)

    def remove(self) -> None:
        """Take the mode off, also from below others, and where it is there several times."""
        if self._others is None:
            self._others = [mode for mode in self._stack() if mode is not self.mode and not _stale(mode)]
        while len(self._stack()) > len(self._others) or not self._as_before():
            self._pop()
        for mode in self._others[len(self._stack()) :]:
            self._push(mode)
        self._others = None

    def _as_before(self) -> bool:
        """Whether the stack is the beginning of what has to be there."""
        stack = self._stack()
        return all(mode is other for mode, other in zip(stack, self._others or (), strict=False))


def _stale(mode: Any) -> bool:
    """Whether a mode has ended."""
    return getattr(mode, "stale", False) is True
