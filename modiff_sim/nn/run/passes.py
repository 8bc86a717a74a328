"""States for a denoiser that is called several times within a step, once per prompt: each pass has its own.

Classifier-free guidance without a doubled batch calls the model in turns with and without the prompt. Its inputs change
slowly within each of these passes and not from one to the next, so the two share no state, as if they were two models.

``run.apart(name)`` says which pass a call belongs to; where nobody says it, ``pass_finder`` finds it. Where a pass
begins again without a reset, ``batches`` warns.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from ..hooks.batches import Batches
from ..hooks.named_passes import Aparts
from ..hooks.pass_finder import Finder
from ..states import RunStates


class Passes:
    """Which pass a model call belongs to: it puts the states of that pass in place.

    Parameters
    ----------
    states : RunStates
        The states of all passes.
    matter : bool
        Whether anything is kept that two passes could mix.
    goes_on : bool
        Whether a batch gets other numbers where it goes on after another one.
    """

    def __init__(self, states: RunStates, *, matter: bool, goes_on: bool) -> None:
        self._states, self._matter = states, matter
        self._batches = Batches("run.reset()") if goes_on else None
        self._aparts = Aparts(self._said)
        self._now: tuple[tuple[str, ...], int] = ((), 0)
        self._found = 0  # of the passes that nobody has named
        self._finders: dict[int, Finder] = {}
        self._watched = False

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
        if self._matter and not self._aparts.names:  # else it is said, or there is no state to mix
            finder = self._finders.setdefault(root, Finder(watched=self._watched))
            self._found = finder.find(arguments)
            self._go(((), self._found))
        if self._batches is not None:
            self._batches.see(arguments, (root, self._now))

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
        """What was found about passes and seen of batches, for ``restore``."""
        finders = {names: finder.copy() for names, finder in self._finders.items()}
        return finders, None if self._batches is None else self._batches.snapshot()

    def restore(self, snapshot: Any) -> None:
        """Go back to a snapshot."""
        self._finders, seen = snapshot
        if self._batches is not None:
            self._batches.restore(seen)

    def _go(self, where: tuple[tuple[str, ...], int]) -> None:
        if where != self._now:
            self._states.go(where)
            self._now = where

    def forget(self) -> None:
        """Forget all states, and what was found about passes."""
        self._finders.clear()
        if self._batches is not None:
            self._batches.forget()
        self._found, self._now = 0, (self._aparts.names, 0)
        self._states.forget(self._now)
