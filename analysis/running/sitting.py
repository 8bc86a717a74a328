"""One sitting of a training run, and what is kept of it when it ends for whatever reason."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from .interrupts import Stopped, finished_first

if TYPE_CHECKING:
    from ..training.loop import Training


class Sitting:
    """Saves a run. ``kept`` is the step of the checkpoint on disk, and 0 where there is no checkpoint."""

    def __init__(self, run: Training, checkpoint: Path, kept: int) -> None:
        self.run, self.checkpoint, self.kept, self.whole = run, checkpoint, kept, True

    def __str__(self) -> str:
        if not self.kept:
            return "no step is kept"
        return f"step {self.kept} of {self.run.settings.steps} is kept in {self.checkpoint}; go on with --resume"

    def one_step(self) -> None:
        """Train one step, which Ctrl-C lets finish."""
        with finished_first():
            self.whole = False
            self.run.one_step()
            self.whole = True

    def save(self) -> None:
        """Write a checkpoint, if there have been steps since the last one."""
        if self.kept < self.run.step:
            with self.kept_if_full(str(self.checkpoint)):
                self.run.save(self.checkpoint)
            self.kept = self.run.step

    @contextmanager
    def kept_if_full(self, what: str) -> Iterator[None]:
        """Turn an OSError while ``what`` is written into one that says what is kept."""
        try:
            yield
        except OSError as error:
            raise OSError(f"could not write {what} ({error.strerror or error}): {self}") from error

    @contextmanager
    def interrupted(self) -> Iterator[None]:
        """Save the run on Ctrl-C, and raise Stopped, which says what is kept."""
        try:
            yield
        except KeyboardInterrupt:
            if self.whole:  # a second Ctrl-C leaves a step half done
                with suppress(KeyboardInterrupt, OSError):  # the message says what is kept in any case
                    self.save()
            raise Stopped(f"interrupted: {self}") from None
