"""States for a denoiser that is called several times within a step, once per prompt: each pass has its own.

Classifier-free guidance without a doubled batch calls the model in turns with and without the prompt. Its inputs change
slowly within each of these passes and not from one to the next, so the two share no state, as if they were two models.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .run import Run

#: what a run and its parts (products, reused branches) hold between model calls
STATES = ("_states", "_like", "_work")


class Passes:
    """The states of the passes that are not running now, by name."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._kept: dict[str, dict] = {}
        self._outside: list[dict] = []  # what the passes that are open now have put aside

    def __len__(self) -> int:
        return len(self._kept) + len(self._outside)

    @contextmanager
    def inside(self, name: str) -> Iterator[None]:
        """The states of this pass are the run's; nested passes are separate, too."""
        self._run._occurrences.settle()
        outside = self._exchange(self._kept.pop(name, None))
        self._outside.append(outside)
        try:
            yield
        finally:
            self._run._occurrences.settle()
            self._outside.pop()
            self._kept[name] = self._exchange(outside)

    def _exchange(self, other: dict | None) -> dict:
        """Put these states in place, none at all for None; returns those that were there. Counts stay."""
        owners: tuple[Any, ...] = (self._run, self._run._products, self._run._branches)
        held = {(x, name): vars(x)[name] for x in owners for name in STATES if name in vars(x)}
        for owner, name in held:
            setattr(owner, name, {} if other is None else other[owner, name])
        return held

    def clear(self) -> None:
        """Forget all states but the present ones, those put aside by an open pass as well."""
        self._kept.clear()
        for outside in self._outside:
            for states in outside.values():
                states.clear()

    def state_bytes(self) -> int:
        """Bytes of the states kept here."""
        total = 0
        for other in (*self._kept.values(), *self._outside):
            present = self._exchange(other)
            total += self._run.held_bytes()
            self._exchange(present)
        return total
