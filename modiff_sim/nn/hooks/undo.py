"""Changes to a model, or to torch, that are undone at the end, wherever an interrupt comes between.

Ctrl-C arrives between any two steps: after a hook was registered and before its handle is stored, or while hooks are
being removed. The step that undoes a change is therefore noted *before* the change is made. Such a step may be taken
twice, or without the change, and an interrupt that comes while changes are undone is raised when all of them are.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")


class Change(Protocol):
    """Protocol of a change that can undo itself."""

    def put(self) -> None:
        """Make the change."""
        ...  # pragma: no cover - protocol

    def remove(self) -> None:
        """Undo the change. May be called before, after or in the midst of ``put``, and more than once."""
        ...  # pragma: no cover - protocol


class Undo:
    """The changes that were made, in order; ``all`` undoes them, last first."""

    def __init__(self) -> None:
        self._steps: list[Callable[[], object]] = []

    def note(self, step: Callable[[], object]) -> None:
        """``step`` undoes what is going to be done next; it must tolerate being called twice, or without the change."""
        self._steps.append(step)

    def put(self, change: Change) -> None:
        """Note how this change is undone, then make it."""
        self._steps.append(change.remove)
        change.put()

    def enter(self, context: AbstractContextManager[T]) -> T:
        """Enter a context, which is left with all the rest."""
        self._steps.append(partial(context.__exit__, None, None, None))
        return context.__enter__()

    def all(self) -> None:
        """Undo everything. A step that fails does not keep the others from being taken; neither does an interrupt."""
        try:
            while self._steps:
                try:
                    self._steps[-1]()
                except Exception:
                    self._steps.pop()  # a second try would fail as well
                    raise
                self._steps.pop()
        finally:
            if self._steps:
                self.all()


class Listed:
    """A change: an object is in a list, such as that of a run's observers."""

    def __init__(self, everyone: list[Any], one: Any) -> None:
        self._everyone, self._one = everyone, one

    def put(self) -> None:
        """Append the object."""
        self._everyone.append(self._one)

    def remove(self) -> None:
        """Remove the object, if it is there."""
        if self._one in self._everyone:
            self._everyone.remove(self._one)


class Context(Undo, AbstractContextManager[T], Generic[T]):
    """A context whose changes are all undone at its end: ``enter`` makes them, and returns what ``as`` binds.

    Python's own contexts made of generators do not suffice: an interrupt between two of their frames leaves the
    generator suspended, with whatever it has changed, for as long as somebody holds the exception.
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
            if self._steps:  # an interrupt came before the first step
                self.all()

    def __del__(self) -> None:
        """For a context that nobody has left, or an interrupt before the first line of ``__exit__``."""
        if vars(self).get("_steps"):
            self.all()
