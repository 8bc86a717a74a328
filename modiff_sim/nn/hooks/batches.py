"""A second batch that goes on where the first ended: its times begin again although nothing was reset.

A batch of the same shape can be the next step of the one before, as far as states know, and would silently get other
numbers than by itself. What tells is the time of the model calls. It moves away from where it began, and in a second
batch it is back there at once. This is said as a warning and not as an error, since a sampler may go back by itself.

* The time is back where the calls of this pass began, from the farthest point, after at least two others.
* What is denoised has nothing to do with that of the call before, as new noise. If it is that of the first call (a
  second sampling from the same noise, or a step that an adaptive solver has rejected), the second time of the first
  batch must follow as well.

So neither midpoints (Heun, DPM-Solver-2), noise that is added anew at every step, repetitions of a part of the way
(RePaint, restarts), nor inversion and the way back are taken for a batch. What is not noticed: a batch that begins at
another time than the first one, batches of two steps or fewer, calls without a time, and calls whose samples have times
of their own.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor

from . import frames
from .call_arguments import CallArguments, size

#: a batch has this many times at least, before it is known that others begin again
FEWEST = 3
#: what is denoised goes on from the call before where the cosine between the two is larger
RELATED = 0.5
#: packages between a line of the user's and a model call
BETWEEN = frozenset({"modiff_sim", "torch", "diffusers", "contextlib"})


@dataclass(frozen=True)
class _Way:
    """The times of one pass since the reset: where they began, how they went on, how far from there they were.

    ``mark`` identifies what was denoised at the first call, and ``x`` is that of the last one. ``times`` counts those
    that were farther than all before. ``again``: the first call may have come again.
    """

    first: float
    mark: Any
    last: float
    x: Any
    second: float | None = None
    far: float = 0.0
    times: int = 1
    again: bool = False

    def begins_again(self, time: float, x: Any) -> tuple[bool, bool]:
        """Whether a second batch begins with a call at this time, and whether the next call could tell."""
        if self.again and time == self.second:
            return True, False
        if self.times < FEWEST or time != self.first or abs(self.last - self.first) < self.far:
            return False, False
        if _mark(x) == self.mark:
            return False, True
        return not _related(x, self.x), False

    def on(self, time: float, x: Any, again: bool) -> _Way:
        """The way with one more time."""
        second, away = time if self.second is None else self.second, abs(time - self.first)
        times, far = self.times + (away > self.far), max(self.far, away)
        return replace(self, last=time, x=_kept(x), second=second, far=far, times=times, again=again)


class Batches:
    """Sees all model calls since a reset, and warns once where a second batch begins.

    Parameters
    ----------
    reset : str
        What has to be called between two batches, for the warning.
    """

    def __init__(self, reset: str) -> None:
        self._reset, self._said = reset, False
        self._ways: dict[Hashable, _Way] = {}

    def see(self, arguments: Mapping[str, Any], where: Hashable) -> None:
        """A model call with these arguments, of the pass ``where``. Warns if a second batch begins with it."""
        if self._said:
            return
        call = CallArguments.of(arguments, copied=False)
        time, way = _time(call), self._ways.get(where)
        if time is None:
            self._ways.pop(where, None)
        elif way is None:
            self._ways[where] = _Way(time, _mark(call.x), time, _kept(call.x))
        else:
            begins, again = way.begins_again(time, call.x) if time != way.last else (False, way.again)
            self._ways[where] = way.on(time, call.x, again)
            if begins:
                self._said = True
                _warn(
                    "a second batch goes on where the first one ended, as if it were its next step: the time of the "
                    f"model calls is {way.first:g} again, where they began. Call {self._reset} before every batch"
                )

    def forget(self) -> None:
        """The next call begins a batch."""
        self._said = False
        self._ways.clear()

    def snapshot(self) -> Any:
        """What was seen, for ``restore``."""
        return dict(self._ways)

    def restore(self, snapshot: Any) -> None:
        """Go back to a snapshot: a model call has failed."""
        self._ways = snapshot


def _time(call: CallArguments) -> float | None:
    """The time of a call as one number; None without one, and where samples have several."""
    for value in call.when.values():
        try:
            found = np.unique(value.detach().double().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value))
            time = float(found[0]) if found.size == 1 else math.nan
        except (TypeError, ValueError, NotImplementedError):  # no number, or without a value
            continue
        return time if math.isfinite(time) else None
    return None


def _kept(x: Any) -> Any:
    """A copy of what is denoised, which may be written to before the next call; None for what is no tensor."""
    return x.detach().clone() if isinstance(x, Tensor) and not x.is_meta else None


def _mark(x: Any) -> Any:
    """Two numbers by which an array is known again; None for what has none."""
    return None if not isinstance(x, Tensor) or x.is_meta else (float(x.double().sum()), size(x))


def _related(x: Any, last: Any) -> bool:
    """Whether an array goes on from another one; False where that is unknown."""
    if not isinstance(x, Tensor) or not isinstance(last, Tensor) or x.shape != last.shape:
        return False
    both = size(x) * size(last)
    return both > 0 and float((x.double() * last.to(x.device).double()).sum()) > RELATED * both


def _warn(said: str) -> None:
    """Warn at the line of the user's from which the model was called."""
    level = 1
    for level, frame in enumerate(frames.stack(), start=1):  # noqa: B007 - used after the loop
        if str(frame.f_globals.get("__name__")).partition(".")[0] not in BETWEEN:
            break
    warnings.warn(said, stacklevel=level)
