"""Whose calls these are, and whose model: states are of one sequence of calls, and that is one thread's."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable
from threading import Thread
from typing import Any

_claims: dict[int, Claim] = {}  # by the id of a module


class Turn:
    """Which thread a sequence of calls belongs to, from its first call to the next reset.

    A thread that has ended leaves its sequence to whoever goes on with it. One that resets for itself expects its own
    sequence afterwards, so it gets no other's: two threads that sample on one model are told from two that take turns.
    """

    def __init__(self) -> None:
        self._owner: Thread | None = None
        self._by: Thread | None = None  # who reset last
        self._resetters: weakref.WeakSet[Thread] = weakref.WeakSet()

    def take(self) -> bool:
        """Whether the present thread may go on with the sequence, which is its own from here on."""
        me = threading.current_thread()
        if self._owner is me:
            return True
        free = self._owner is None or not self._owner.is_alive()
        if not free or (self._by is not me and me in self._resetters):
            return False
        self._owner = me
        return True

    def anew(self) -> None:
        """The present thread has reset: the next call begins a sequence, whoever makes it."""
        self._by, self._owner = threading.current_thread(), None
        self._resetters.add(self._by)


class Claim:
    """A change (see ``undo``): these modules are one owner's, of two that want them at the same moment.

    Each is taken in one step, without a lock that an interrupt could leave locked.
    """

    def __init__(self, modules: Iterable[Any], owner: Any) -> None:
        self.owner, self._modules = owner, tuple(modules)

    def put(self) -> None:
        for module in self._modules:
            if (first := _claims.setdefault(id(module), self)) is not self:
                raise Claimed(first.owner)

    def remove(self) -> None:
        for module in self._modules:
            if _claims.get(id(module)) is self:
                del _claims[id(module)]


class Claimed(Exception):
    """Somebody else has a module that was to be claimed."""

    def __init__(self, owner: Any) -> None:
        super().__init__(repr(owner))
        self.owner = owner
