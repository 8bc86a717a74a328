"""The result of a simulation: every trial (``Result``), or its summary alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from ..shown import Said, Shown, frame, pictures
from .against_bounds import unbounded, verdict
from .keeping import Tally
from .params import headline, restored, setting, stored
from .summary import QUANTITIES, Summary

if TYPE_CHECKING:
    from .pictures import ResultPlots


GLANCE = 2**20  # errors that are compared with their bounds for the text of a result, at most: 0.1 s


class _Quantity:
    """A measured quantity as an attribute of a result: its array, or AttributeError, which says why there is none."""

    def __init__(self, doc: str) -> None:
        self.__doc__ = f"{doc} Shape (steps, trials)."

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, result: None, owner: type) -> _Quantity: ...
    @overload
    def __get__(self, result: Result, owner: type) -> np.ndarray: ...
    def __get__(self, result: Result | None, owner: type) -> _Quantity | np.ndarray:
        """Look the array up in the result's ``arrays``."""
        if result is None:
            return self
        if self.name in result.arrays:
            return result.arrays[self.name]
        why = "was not measured: add it to measure="
        if not result.arrays:
            why = 'was summarised: see summary(), or keep="trials"'
        raise AttributeError(f"{self.name} {why}")


@dataclass(frozen=True, eq=False, repr=False)
class Result(Shown):
    """What one simulation measured. Every array is float64 (steps, trials), rows in sampling order (row 0 is t = T).

    The quantities are attributes (``r.error``) and the values of ``arrays``. AttributeError is raised for a
    quantity that was not measured and, with ``keep="summary"``, for all; ``dir`` lists those that there are.

    Parameters
    ----------
    arrays : mapping of str to numpy.ndarray
        The measured quantities by name.
    params : dict
        What was run, and on which engine.
    tallied : Summary, optional
        The summary, where nothing else was kept.

    Attributes
    ----------
    error, error_inf
        2-norm and max norm of the output error o - ô (o = A(a); A is the identity by default).
    d, d_inf
        Norms of the difference a_k - a_{k-1} (row 0 is 0).
    a, a_inf
        Norms of the input.
    c, kappa
        Measured ||x - Q(x)||²/||x||² and ||x - Q(x)||_inf/||x||_inf of what was quantized in this call: NaN where
        nothing was quantized; 0 where an exact zero was, and infinite where a zero did not stay one.

    Examples
    --------
    >>> import modiff_sim as ms
    >>> r = ms.simulate(ms.processes.random_walk(d=8), ms.AbsMax(4), steps=5, trials=3)
    >>> r.error.shape, r.params["recursion"], bool((r.kappa[1:] <= 1 / 14).all())
    ((5, 3), 'closed_loop', True)
    >>> r.frame().columns.tolist()
    ['step', 'trial', 'error', 'error_inf', 'd', 'd_inf', 'a', 'a_inf', 'c', 'kappa']
    """

    arrays: Mapping[str, np.ndarray]
    params: dict[str, Any]
    tallied: Summary | None = None

    error = _Quantity("2-norm of the output error o - ô.")
    error_inf = _Quantity("Max norm of the output error o - ô.")
    d = _Quantity("2-norm of the difference a_k - a_{k-1}; row 0 is 0.")
    d_inf = _Quantity("Max norm of the difference a_k - a_{k-1}; row 0 is 0.")
    a = _Quantity("2-norm of the input.")
    a_inf = _Quantity("Max norm of the input.")
    c = _Quantity("Measured ||x - Q(x)||²/||x||² of what was quantized; NaN where nothing was.")
    kappa = _Quantity("Measured ||x - Q(x)||_inf/||x||_inf of what was quantized; NaN where nothing was.")

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if name not in QUANTITIES or name in self.arrays]

    def _said(self) -> Said:
        title = headline("Result", self.params)
        if self.tallied is not None:
            said = self.tallied._said()
            return said._replace(title=f"{title}, summarised", facts={**said.facts, "see": "summary()"})
        steps, trials = next((v.shape for v in self.arrays.values()), (0, 0))
        facts: dict[str, Any] = {"arrays": f"{steps} steps × {trials} trials of {', '.join(self.arrays)}"}
        facts |= setting(self.params)
        for name in ("error", "error_inf") if steps else ():
            if name in self.arrays:
                last = self.arrays[name][-1]
                facts[name] = f"{last.mean():.4g} in the mean of the last call, {last.max():.4g} at most"
        facts |= {f"of its bound, {words}": verdict(self, norm) for norm, words in self._judged()}
        calls = sorted({0, steps // 2, steps - 1} if steps else ())
        rows = ([name, *(float(v[call].mean()) for call in calls)] for name, v in self.arrays.items())
        return Said(title, facts, ["mean over trials", *(f"call {call}" for call in calls)], rows)

    def _judged(self) -> list[tuple[str, str]]:
        """The norms, with their words, in which errors have a bound; none where there are too many for a glance."""
        every = (("2", "2-norm", "error"), ("inf", "max norm", "error_inf"))
        there = [(norm, words, self.arrays[name]) for norm, words, name in every if name in self.arrays]
        small = [(norm, words) for norm, words, errors in there if 0 < errors.size <= GLANCE]
        return [(norm, words) for norm, words in small if not unbounded(self, norm)]

    def summary(self) -> Summary:
        """The summary of every quantity over the trials, step by step."""
        if self.tallied is not None:
            return self.tallied
        tally = Tally(tuple(self.arrays), self.params["steps"], self.params["trials"])
        for start in range(0, tally.trials, 2**15):
            block = tally.block(start, min(2**15, tally.trials - start))
            for call in range(self.params["steps"]):
                block.room(call)
                tables, row, _ = block.at(call)
                for name, table in tables.items():
                    table[row] = self.arrays[name][call, start : start + 2**15]
            block.finish()
            tally.add(block)
        return tally.summary(self.params)

    def rows(self) -> Iterator[dict[str, float]]:
        """Yield tidy rows, one per step and trial."""
        steps, trials = self.params["steps"], self.params["trials"]
        for step in range(steps):
            for trial in range(trials):
                yield {"step": step, "trial": trial} | {k: float(v[step, trial]) for k, v in self.arrays.items()}

    def frame(self) -> Any:
        """A pandas DataFrame (extra [plot]), a row per step and trial; of a summary alone, that of ``Summary``.

        The columns are "step", the model call in sampling order (0 is t = T), "trial", and the measured quantities:
        norms in the units of the inputs; c and kappa are ratios, NaN where nothing was quantized.
        """
        if self.tallied is not None:
            return self.tallied.frame()
        steps, trials = self.params["steps"], self.params["trials"]
        index = {"step": np.repeat(np.arange(steps), trials), "trial": np.tile(np.arange(trials), steps)}
        return frame(index | {k: v.ravel() for k, v in self.arrays.items()})

    @property
    def plot(self) -> ResultPlots:
        """Pictures (extra [plot]): ``errors`` against their bounds, and the ``ratios`` to them."""
        found: ResultPlots = pictures(self, f"{__package__}.pictures", "ResultPlots")
        return found

    def save(self, path: str | Path) -> None:
        """Write the result into the folder ``path``, with a manifest (``modiff_sim.sweeps.saved``).

        A quantizer of your own, also as a part of ``Split``, is kept as its text alone. An older result there is
        replaced: see ``saved`` for what a kill leaves. Raises ValueError where the path is that of something else, and
        where a parameter is NaN or Inf.
        """
        from ..sweeps import saved

        arrays = self.arrays if self.tallied is None else self.tallied.arrays()
        saved.save(path, "Result", arrays, stored(self.params))

    @classmethod
    def load(cls, path: str | Path) -> Result:
        """Read a saved result.

        Raises FileNotFoundError, and StoreError where it is damaged, something else, or of a version of modiff-sim
        that measures or sets other things.
        """
        from ..sweeps import saved

        arrays, about = saved.load(path, "Result")
        params = restored(about)
        if any("." in name for name in arrays):  # "mean.error"
            return cls({}, params, Summary.from_arrays(arrays, params))
        saved.same_names("Result", "its file", arrays, [name for name in QUANTITIES if name in arrays])
        return cls({name: arrays[name] for name in QUANTITIES if name in arrays}, params)
