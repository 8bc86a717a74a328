"""States for a denoiser that is called several times within a step, once per prompt: each pass has its own.

Classifier-free guidance without a doubled batch calls the model in turns with and without the prompt. Its inputs change
slowly within each of these passes and not from one to the next, so the two share no state, as if they were two models.

``run.apart(name)`` says which pass a call belongs to; where nobody says it, ``pass_finder`` finds it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from ..hooks.aparts import Aparts
from ..hooks.pass_finder import Finder

#: what a run and its parts (products, reused branches) hold between model calls
STATES = ("_states", "_like", "_work")


class Passes:
    """The states of all passes of a run: those of the present one are the run's, the others are kept here by name."""

    def __init__(self, owners: Callable[[], tuple[Any, ...]], *, matter: bool) -> None:
        """owners: gives those whose states these are, the run and its parts."""
        self._owners: Callable[[], tuple[Any, ...]] | None = owners
        self._matter = matter
        self._kept: dict[tuple[tuple[str, ...], int], dict] = {}
        self._aparts = Aparts(self._said)
        self._now: tuple[tuple[str, ...], int] = ((), 0)
        self._found = 0  # of the passes that nobody has named
        self._finders: dict[int, Finder] = {}
        self._watched = False
        self._most = 1

    def __len__(self) -> int:
        return len(self._kept)

    def _used(self) -> int:
        return any(self._owned().values()) + sum(any(held.values()) for held in self._kept.values())

    @property
    def most(self) -> int:
        """How many passes had states at one time, at most; at least 1."""
        return max(self._most, self._used())

    @property
    def now(self) -> str:
        """The name of the present pass; empty while there is one only."""
        names, index = self._now
        return "/".join([*names, *([str(index)] if index else [])])

    @property
    def key(self) -> Hashable:
        """What tells the present pass from all others."""
        return self._now

    def follow(self) -> None:
        """Somebody who listens wants to know the pass of every call: find it even where no state is kept."""
        self._matter = True

    def inside(self, name: str) -> AbstractContextManager[None]:
        """The states of this pass are the run's; nested passes are separate, too."""
        return self._aparts.inside(name)

    def _said(self) -> None:
        """Put the states of the pass in place that the open contexts name."""
        names = self._aparts.names
        self._go((names, 0 if names else self._found))

    def choose(self, arguments: Mapping[str, Any], root: int = 0) -> None:
        """Put the states of the pass in place that a call of this root with these arguments belongs to."""
        self._aparts.check()
        if self._aparts.names or not self._matter:  # it is said, or there is no state to mix
            return
        finder = self._finders.setdefault(root, Finder(watched=self._watched))
        self._found = finder.find(arguments)
        self._go(((), self._found))

    def watch(self, watched: bool) -> None:
        """Whether ``step`` will be called after every step of a scheduler."""
        self._watched = watched
        for finder in self._finders.values():
            finder.watched = watched

    def step(self) -> None:
        """A scheduler has made a step."""
        for finder in self._finders.values():
            finder.step()

    def snapshot(self) -> Any:
        return {names: finder.copy() for names, finder in self._finders.items()}

    def restore(self, snapshot: Any) -> None:
        self._finders = snapshot

    def _go(self, where: tuple[tuple[str, ...], int]) -> None:
        if where == self._now:
            return
        held = self._owned()
        present = {key: {} for key in held} if (other := self._kept.get(where)) is None else other
        try:
            self._place(present)
        except BaseException:  # all or none
            self._place(held)
            raise
        self._kept[self._now] = held
        self._kept.pop(where, None)
        self._now = where
        self._most = max(self._most, self._used())

    def _owned(self) -> dict[tuple[Any, str], dict]:
        """The states in place: by who holds them, and under which name."""
        owners = () if self._owners is None else self._owners()
        return {(owner, name): vars(owner)[name] for owner in owners for name in STATES if name in vars(owner)}

    @staticmethod
    def _place(states: dict[tuple[Any, str], dict]) -> None:
        """Put these states in place. Counts stay."""
        for (owner, name), value in states.items():
            setattr(owner, name, value)

    def clear(self) -> None:
        """Forget all states but the present ones, and what was found about passes."""
        self._most = self.most
        self._kept.clear()
        self._finders.clear()
        self._found, self._now = 0, (self._aparts.names, 0)

    def close(self) -> None:
        """The run has ended."""
        self.clear()
        self._owners = None

    def state_bytes(self) -> int:
        """Bytes of the states kept here."""
        every = [item for other in self._kept.values() for item in other.items()]
        return sum(owner.bytes_of(states) for (owner, name), states in every if name == "_states")
