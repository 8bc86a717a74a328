"""What the trials of a simulation have in common per step, whatever their number."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..arguments import number
from ..shown import LEVELS, Said, Shown, frame, pictures
from .params import headline, restored, setting, stored

if TYPE_CHECKING:
    from .pictures import SummaryPlots

#: what can be measured at every call, in the order of columns and rows
QUANTITIES = ("error", "error_inf", "d", "d_inf", "a", "a_inf", "c", "kappa")

#: the arrays of a summary
STATISTICS = ("mean", "max", "rms", "counts")
#: the levels that its frame has besides those of its pictures
QUARTILES = (0.25, 0.75)
#: The histogram of a summary cuts every power of two from 2^-64 to 2^64 into 2^5 equal parts. The index of a bin is
#: made of exponent and leading bits of the value itself (float64 has 52 bits after the leading one).
PART_BITS = 5
SHIFT = 52 - PART_BITS
FIRST = (1023 - 64) << PART_BITS
BINS = 128 << PART_BITS


def chosen(measure: Sequence[str] | None) -> tuple[str, ...]:
    """The quantities to measure, in the order of ``QUANTITIES``; None is all. ValueError if one is unknown."""
    if measure is None:
        return QUANTITIES
    names = (measure,) if isinstance(measure, str) else tuple(measure)
    unknown = [name for name in names if name not in QUANTITIES]
    if unknown or not names:
        what = f"unknown {', '.join(map(repr, unknown))}" if unknown else "nothing to measure"
        raise ValueError(f"measure: {what}; known: {', '.join(QUANTITIES)}")
    return tuple(name for name in QUANTITIES if name in names)


@dataclass(frozen=True, eq=False, repr=False)
class Summary(Shown):
    """Every quantity of ``Result`` over the trials, name -> array, one row per step, whatever the number of trials.

    Parameters
    ----------
    mean, max, rms : dict of str to numpy.ndarray, shape (steps,)
        Mean, maximum, and root of the mean square, float64. NaN where the quantity is NaN.
    counts : dict of str to numpy.ndarray, shape (steps, BINS)
        Histogram, 16 KiB per step and quantity; NaN is not counted.
    params : mapping, optional
        What was run, as of ``Result``.

    Examples
    --------
    >>> import modiff_sim as ms
    >>> r = ms.simulate(ms.processes.random_walk(d=8), ms.AbsMax(4), steps=5, trials=300, keep="summary")
    >>> summary = r.summary()
    >>> summary.mean["error"].shape, bool(summary.quantile("error", 0.9)[-1] > summary.mean["error"][-1])
    ((5,), True)
    """

    mean: dict[str, np.ndarray]
    max: dict[str, np.ndarray]
    rms: dict[str, np.ndarray]
    counts: dict[str, np.ndarray]
    params: Mapping[str, Any] = field(default_factory=dict)

    def quantile(self, name: str, q: float) -> np.ndarray:
        """The q-quantile of a quantity at each step, shape (steps,); NaN where nothing was counted.

        It is the ceil(q·n)-th smallest value (the smallest for q = 0), to the middle of its bin: within 1/64
        relative. Values below 2^-63 count as 0, and values above 2^63 as Inf. Raises ValueError unless 0 <= q <= 1,
        and for a quantity that was not measured.
        """
        if not 0 <= number("q", q, least=-math.inf) <= 1:
            raise ValueError(f"a quantile needs 0 <= q <= 1, got {q}")
        if name not in self.counts:
            raise ValueError(f"{name!r} was not measured, only {', '.join(self.counts)}")
        below = np.cumsum(self.counts[name], axis=1, dtype=np.int64)
        n = below[:, -1]
        rank = np.clip(np.ceil(q * n), 1, None)
        index = np.argmax(below >= rank[:, None], axis=1)
        edges = ((np.arange(BINS + 1) + FIRST).astype(np.int64) << SHIFT).view(np.float64)
        middle = (edges[:-1] + edges[1:]) / 2
        middle[0], middle[-1] = 0.0, np.inf
        return np.where(n > 0, middle[index], np.nan)

    def _said(self) -> Said:
        steps = len(next(iter(self.mean.values()), ()))
        facts = {
            "arrays": f"{steps} steps of {', '.join(self.mean)}: mean, rms, max, quantiles",
            **setting(self.params),
        }
        head = ["over trials", "mean, first call", "mean, last call", "largest, last call"]
        rows = ([name, *map(float, (v[0], v[-1], self.max[name][-1]))] for name, v in self.mean.items() if len(v))
        return Said(headline("Summary", self.params), facts, head, rows)

    def frame(self) -> Any:
        """A pandas DataFrame (extra [plot]), a row per quantity and step.

        The columns are "quantity"; "step", the model call in sampling order (0 is t = T); "mean", "rms" and "max" over
        trials; and the quantiles "q05", "q25", "q50", "q75" and "q95", to 1/64. Norms are in the units of the inputs; c
        and kappa are ratios.
        """
        levels = {f"q{100 * level:02.0f}": level for level in sorted({*LEVELS, *QUARTILES})}
        names, steps = list(self.mean), len(next(iter(self.mean.values()), ()))
        columns: dict[str, Any] = {"quantity": np.repeat(names, steps), "step": np.tile(np.arange(steps), len(names))}
        for what in ("mean", "rms", "max"):
            columns[what] = np.concatenate([getattr(self, what)[name] for name in names])
        for what, level in levels.items():
            columns[what] = np.concatenate([self.quantile(name, level) for name in names])
        return frame(columns)

    @property
    def plot(self) -> SummaryPlots:
        """Pictures (extra [plot]): ``errors``."""
        found: SummaryPlots = pictures(self, f"{__package__}.pictures", "SummaryPlots")
        return found

    def arrays(self) -> dict[str, np.ndarray]:
        """All arrays, as "mean.error" and so on; ``from_arrays`` makes a summary of them."""
        return {f"{what}.{name}": v for what in STATISTICS for name, v in getattr(self, what).items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], params: Mapping[str, Any]) -> Summary:
        """The summary that ``arrays`` made these arrays of. Raises StoreError where they are of another version."""
        from ..sweeps.saved import same_names
        from ..sweeps.store import StoreError

        quantities = [name for name in QUANTITIES if any(f"{what}.{name}" in arrays for what in STATISTICS)]
        same_names("Summary", "its file", arrays, [f"{what}.{name}" for what in STATISTICS for name in quantities])
        found = {what: {name: arrays[f"{what}.{name}"] for name in quantities} for what in STATISTICS}
        if any(counts.shape[1:] != (BINS,) for counts in found["counts"].values()):
            raise StoreError(f"this Summary is of another version of modiff-sim: histograms have {BINS} bins here")
        return cls(**found, params=params)

    def save(self, path: str | Path) -> None:
        """Write the summary into the folder ``path``, with a manifest (``modiff_sim.sweeps.saved``).

        Raises ValueError where the path is that of something else.
        """
        from ..sweeps import saved

        saved.save(path, "Summary", self.arrays(), stored(self.params))

    @classmethod
    def load(cls, path: str | Path) -> Summary:
        """Read a saved summary. Raises FileNotFoundError, and StoreError where it is damaged or something else."""
        from ..sweeps import saved

        arrays, about = saved.load(path, "Summary")
        return cls.from_arrays(arrays, restored(about))
