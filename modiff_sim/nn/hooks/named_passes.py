"""``apart(name)``: contexts, one inside another, that say which calls of a model belong together.

Generators and coroutines may hold such contexts open while they are advanced in turns. It would be unknown then which
calls belong to which context, so contexts that are not nested are refused. Refused are a call, or a further context, of
a generator that has been resumed inside of a context which it did not open, and leaving a context before those that
were opened inside of it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from types import FrameType

from . import frames
from .undo import Context, Undo

_RESUMED = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
_REFUSED = (
    "leave apart(...) contexts last first, and open them around the calls that they are for, not across the "
    "yield of generators, or the await of tasks, that are advanced in turns"
)


class _Open:
    """An open context: its name, the generator in which it was opened, and the contexts that were at rest then."""

    def __init__(self, name: str, others: list[_Open]) -> None:
        self.name, self.left = name, False
        self._generator = _resumed()
        self._at_rest = [other for other in others if not other._runs()]

    def _runs(self) -> bool:
        return self._generator is not None and frames.running(self._generator)

    def crossed(self) -> bool:
        """Whether a generator runs that was at rest when this was opened, with a context of its own around this."""
        return any(other._runs() for other in self._at_rest)


def _resumed() -> FrameType | None:
    """The innermost running generator or coroutine, except those that contexts are made of."""
    for frame in frames.stack():
        outer = frame.f_back
        of_contexts = (f is not None and f.f_globals.get("__name__") == "contextlib" for f in (frame, outer))
        if frame.f_code.co_flags & _RESUMED and not any(of_contexts):
            return frame
    return None


class Aparts:
    """The contexts that are open, outermost first; ``changed`` is called when one is opened or left."""

    def __init__(self, changed: Callable[[], object] = lambda: None) -> None:
        self._open: list[_Open] = []
        self._changed = changed

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the open contexts, outermost first."""
        return tuple(one.name for one in self._open)

    def check(self) -> None:
        """Raise RuntimeError where a call of the present generator could be mistaken for one of another."""
        for one in self._open:
            if one.left:
                raise _left_early(one.name)
            if one.crossed():
                raise RuntimeError(
                    f"apart({one.name!r}) is open, and a generator goes on that has a context around it: {_REFUSED}"
                )

    def inside(self, name: str) -> Context[None]:
        """A further context inside the others. RuntimeError is raised where it is left before those inside it."""
        return _Apart(self, name)

    def _enter(self, one: _Open, undo: Undo) -> None:
        self.check()
        undo.note(partial(self._leave, one))
        self._open.append(one)
        self._changed()

    def _leave(self, one: _Open) -> None:
        one.left = True
        while self._open and self._open[-1].left:  # contexts below an open one stay, since no call may be made in it
            self._open.pop()
        self._changed()

    def holds(self, one: _Open) -> bool:
        """Whether this context is open; after it was left, whether contexts inside it are."""
        return one in self._open


def _left_early(name: str) -> RuntimeError:
    return RuntimeError(f"apart({name!r}) was left before a context that was opened inside it: {_REFUSED}")


class _Apart(Context[None]):
    def __init__(self, aparts: Aparts, name: str) -> None:
        self._aparts, self._name = aparts, name
        self._one: _Open | None = None
        super().__init__(self._begin)

    def _begin(self, undo: Undo) -> None:
        self._one = one = _Open(self._name, list(self._aparts._open))
        self._aparts._enter(one, undo)

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        failed = error and error[0] is not None
        if not failed and self._one is not None and self._aparts.holds(self._one):
            raise _left_early(self._name)
