"""Which thread a sequence of calls belongs to, and who has claimed a model. States belong to one sequence of calls."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable
from threading import Thread
from typing import Any

_claims: dict[int, Ownership] = {}  # by the id of a module


class Turn:
    """Which thread a sequence of calls belongs to, from its first call to the next reset.

    A thread that has ended leaves its sequence to whoever continues it. A thread that resets for itself, and whose
    sequence another thread has cut off by a reset, expects to continue its own sequence: it gets no other until it has
    reset again. This tells two threads that sample on one model from two threads that take turns.

    ``needed`` is False where no call depends on another one, so that any thread may make it.
    """

    def __init__(self, *, needed: bool = True) -> None:
        self._needed = needed
        self._owner: Thread | None = None
        self._resetters: weakref.WeakSet[Thread] = weakref.WeakSet()
        self._cut: weakref.WeakSet[Thread] = weakref.WeakSet()

    def take(self) -> bool:
        """Whether the present thread may continue the sequence, which is its own from here on."""
        me = threading.current_thread()
        if not self._needed or self._owner is me:
            return True
        free = self._owner is None or not self._owner.is_alive()
        if not free or me in self._cut:
            return False
        self._owner = me
        return True

    def anew(self) -> None:
        """The present thread has reset: the next call begins a sequence, whoever makes it."""
        me, owner = threading.current_thread(), self._owner
        if owner is not None and owner is not me and owner in self._resetters:
            self._cut.add(owner)
        self._cut.discard(me)
        self._resetters.add(me)
        self._owner = None


class Ownership:
    """A change (see ``undo``): these modules belong to one owner, even if two want them at the same moment.

    Each is taken in one step, without a lock that an interrupt could leave locked.
    """

    def __init__(self, modules: Iterable[Any], owner: Any) -> None:
        self.owner, self._modules = owner, tuple(modules)

    def put(self) -> None:
        """Claim all modules. Raises ``Claimed`` where another owner has one of them."""
        for module in self._modules:
            if (first := _claims.setdefault(id(module), self)) is not self:
                raise Claimed(first.owner)

    def remove(self) -> None:
        """Release the modules."""
        for module in self._modules:
            if _claims.get(id(module)) is self:
                del _claims[id(module)]


class Claimed(Exception):
    """Another owner has a module that was to be claimed."""

    def __init__(self, owner: Any) -> None:
        super().__init__(repr(owner))
        self.owner = owner
