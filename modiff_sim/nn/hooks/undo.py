"""Changes to a model, or to torch, that are taken back at the end, wherever an interrupt comes between.

Ctrl-C arrives between any two steps: after a hook was registered and before its handle is stored, or while hooks are
being taken off. So what takes a change back is noted *before* the change is made, it may be done twice or for nothing,
and an interrupt that comes while changes are taken back is raised when all of them are.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")


class Change(Protocol):
    """A change that knows how to take itself back."""

    def put(self) -> None:
        """Make it."""
        ...  # pragma: no cover - protocol

    def remove(self) -> None:
        """Take it back. To be called before, after or in the midst of ``put``, and more than once."""
        ...  # pragma: no cover - protocol


class Undo:
    """What has been changed, in order; ``all`` takes it back, last first."""

    def __init__(self) -> None:
        self._steps: list[Callable[[], object]] = []

    def note(self, step: Callable[[], object]) -> None:
        """``step`` takes back what is going to be done next; it must bear being taken twice, and for nothing."""
        self._steps.append(step)

    def put(self, change: Change) -> None:
        """Note how this change is taken back, then make it."""
        self._steps.append(change.remove)
        change.put()

    def enter(self, context: AbstractContextManager[T]) -> T:
        """Enter a context, to be left with all the rest."""
        self._steps.append(partial(context.__exit__, None, None, None))
        return context.__enter__()

    def all(self) -> None:
        """Take everything back. A step that fails does not keep the others from it; neither does an interrupt."""
        try:
            while self._steps:
                try:
                    self._steps[-1]()
                except Exception:
                    self._steps.pop()  # it would fail again
                    raise
                self._steps.pop()
        finally:
            if self._steps:
                self.all()


class Listed:
    """A change: this is in a list, such as that of a run's observers."""

    def __init__(self, everyone: list[Any], one: Any) -> None:
        self._everyone, self._one = everyone, one

    def put(self) -> None:
        self._everyone.append(self._one)

    def remove(self) -> None:
        if self._one in self._everyone:
            self._everyone.remove(self._one)


class Context(Undo, AbstractContextManager[T], Generic[T]):
    """A context whose changes are all taken back at its end: ``enter`` makes them, and returns what ``as`` binds.

    Nothing of Python's own contexts made of generators will do: an interrupt between two of their frames leaves the
    generator standing, with whatever it has changed, for as long as somebody holds on to the exception.
    """

    def __init__(self, enter: Callable[[Undo], T]) -> None:
        super().__init__()
        self._enter = enter

    def __enter__(self) -> T:
        if self._steps:
            raise RuntimeError("this context is open already: make another one")
        try:
            found = self._enter(self)
        except BaseException:
            self.all()
            raise
        return found

    def __exit__(self, *_: object) -> None:
        try:
            self.all()
        finally:
            if self._steps:  # the interrupt came before the first step
                self.all()

    def __del__(self) -> None:
        """Of a context that nobody has left; or the interrupt came before the first line of ``__exit__``."""
        if vars(self).get("_steps"):
            self.all()
