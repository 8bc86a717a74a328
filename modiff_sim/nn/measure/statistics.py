"""What was recorded of layers' inputs, with what it shows of itself: statistics, tables, frames, pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ... import quantizers
from ...arguments import count
from ...names import one_of
from ...quantizers.base import Quantizer
from ...shown import Said, Shown, frame, pictures
from .histogram import Streaming
from .largest import Largest
from .quantities import COLUMNS, QUANTITIES, VALUES, WORDS

if TYPE_CHECKING:
    from .pictures import RecorderPlots


@dataclass(repr=False)
class Recorded(Shown):
    """Statistics of one quantity in one layer at one call, over all batches so far.

    ``c`` and ``kappa`` are measured ratios of the quantizer, one value per block of every batch.
    """

    values: Streaming = field(default_factory=Streaming)
    norms: list[np.ndarray] = field(default_factory=list)  # 2-norm per sample
    c: list[np.ndarray] = field(default_factory=list)
    kappa: list[np.ndarray] = field(default_factory=list)

    def ratio(self, name: str) -> np.ndarray:
        """All measured values of "c" or "kappa", one per block (for PerSample: per image); none without a quantizer."""
        return np.concatenate([np.zeros(0), *getattr(self, name)])

    @property
    def norm(self) -> np.ndarray:
        """2-norm of every sample, in the order in which the samples came."""
        return np.concatenate(self.norms)

    def _said(self) -> Said:
        v = self.values
        facts: dict[str, Any] = {
            "largest |value|": v.absmax,
            "mean": v.mean,
            "variance": v.variance,
            "kurtosis": v.kurtosis,
        }
        facts |= {"norm": float(np.median(self.norm)), "samples": len(self.norm)} if self.norms else {}
        for name in ("c", "kappa") if self.c else ():
            facts[name] = f"{np.median(self.ratio(name)):.4g} (median over blocks)"
        return Said(f"Recorded: {v.count} values", facts if v.count else {})


class Statistics(Shown):
    """Statistics of layers' inputs by layer, call and quantity; ``Recorder`` fills them."""

    def __init__(self, quantizer: Quantizer | None, unsupported: Sequence[str] = ()) -> None:
        self.quantizer = quantizer
        self.layers: list[str] = []
        self.stats: dict[tuple[str, int, str], Recorded] = {}
        self.unsupported = list(unsupported)

    @property
    def calls(self) -> int:
        """How many calls of a layer were recorded: the largest index + 1."""
        return 1 + max((call for _, call, _ in self.stats), default=-1)

    @property
    def quantities(self) -> tuple[str, ...]:
        """What is recorded: "a", "d" and, with a quantizer, "r"."""
        return QUANTITIES if self.quantizer is not None else tuple(q for q in QUANTITIES if q != "r")

    def _needs_quantizer(self, quantity: str, value: str) -> None:
        """Raise ValueError for what nobody can know without a quantizer."""
        if self.quantizer is None and (quantity == "r" or value in ("c", "kappa")):
            what = "r" if quantity == "r" else value
            raise ValueError(f"{what} is of a quantizer, and this recording has none: record(model, 'absmax:4') has")

    def table(self, quantity: str = "d", value: str = "absmax", *, reduce: Any = np.median) -> np.ndarray:
        """A (layers, calls) array of one number: the largest |difference| where nothing else is asked for.

        ``value`` is "absmax", "variance", "kurtosis" or "mean", or "c", "kappa" or "norm" reduced over samples. NaN
        stands where a quantity does not exist (differences at call 0). Raises ValueError for an unknown name, and for
        what takes a quantizer in a recording without one.
        """
        one_of("quantity", quantity, QUANTITIES)
        self._needs_quantizer(quantity, one_of("value", value, VALUES))
        out = np.full((len(self.layers), self.calls), np.nan)
        for i, name in enumerate(self.layers):
            for call in range(self.calls):
                if (entry := self.stats.get((name, call, quantity))) is not None:
                    if value in ("c", "kappa"):
                        out[i, call] = reduce(entry.ratio(value))
                    elif value == "norm":
                        out[i, call] = reduce(entry.norm)
                    else:
                        out[i, call] = getattr(entry.values, value)
        return out

    def largest(self, quantity: str = "d", value: str = "absmax", *, layers: int = 5) -> Largest:
        """The layers with the largest differences, inputs or residuals: which ones are the problem.

        Parameters
        ----------
        quantity : {"d", "a", "r"}, default "d"
            The differences, the inputs, or the residuals of the closed loop.
        value : str, default "absmax"
            What they are compared by, a value as of ``table``: "absmax", which decides the scale; "norm", "c" or
            "kappa" (medians over samples or blocks); "variance" or "kurtosis".
        layers : int, default 5
            How many layers at most.

        Returns
        -------
        Largest
            A list of dicts, the layer with the largest value first. It prints as a table.

        Raises
        ------
        ValueError
            For an unknown name, for less than one layer, and where nothing of that quantity was recorded.

        Examples
        --------
        >>> import torch
        >>> from modiff_sim.nn import record
        >>> model = torch.nn.Sequential(*(torch.nn.Linear(n, 2, bias=False) for n in (4, 2, 2)))
        >>> _ = [layer.weight.data.fill_(1.0) for layer in model]
        >>> with record(model, "absmax:4") as log:
        ...     out = model(torch.ones(3, 4)), model(2 * torch.ones(3, 4)), model(2.5 * torch.ones(3, 4))
        >>> log.largest(layers=2)
        Largest |value| of d (differences), 2 of 3 layers
        layer  step  largest |value|  of median  of a
        2         1                8          2   0.5
        1         1                4          1   0.5
        """
        one_of("value", value, [name for name in VALUES if name != "mean"])  # whose sign would count
        tables = self.table(quantity, value), self.table("a", value)
        return Largest.of(self.layers, *tables, (quantity, value), count("layers", layers))

    def _said(self) -> Said:
        first, last = (self.layers[0], self.layers[-1]) if self.layers else ("", "")
        samples = len(self.stats[first, 0, "a"].norm) if first else 0
        middle = self.calls // 2
        facts: dict[str, Any] = {"layers": f"{first} to {last}" if first else "nothing was recorded yet"}
        sizes = {q: self._at(middle, q, "norm") for q in self.quantities}
        for quantity, words in ((q, words) for q, words in WORDS.items() if q in sizes):
            found = sizes[quantity][sizes["a"] > 0] / sizes["a"][sizes["a"] > 0]
            if np.isfinite(found).any():
                facts[quantity] = f"{np.nanmedian(found):.3g} of the norm of a at call {middle} (median): {words}"
        of = "no quantizer was given" if self.quantizer is None else quantizers.name(self.quantizer)
        facts |= {"c, kappa, r of": of}
        facts |= {"not recorded": self.unsupported} if self.unsupported else {}
        ratios = {f"{value} of r": self._at(middle, "r", value) for value in ("c", "kappa") if "r" in sizes}
        columns = [*sizes.values(), *ratios.values()]
        rows = ([name, *map(float, row)] for name, *row in zip(self.layers, *columns, strict=True))
        head = ["layer", *(f"norm of {q}, call {middle}" for q in sizes), *ratios]
        return Said(f"Recorder: {len(self.layers)} layers, {self.calls} calls, {samples} samples", facts, head, rows)

    def _at(self, call: int, quantity: str, value: str) -> np.ndarray:
        """The medians of "norm", "c" or "kappa" per layer at one call; NaN where there are none."""
        entries = [self.stats.get((name, call, quantity)) for name in self.layers]
        found = (None if e is None else e.norm if value == "norm" else e.ratio(value) for e in entries)
        return np.array([np.nan if values is None else np.median(values) for values in found])

    def frame(self) -> Any:
        """A pandas DataFrame (extra [plot]), a row per layer, step and quantity; none where nothing was recorded.

        The columns are "layer"; "step", the model call since ``reset`` in sampling order; "quantity", "a", "d" or "r";
        "values", how many were seen; "mean", "variance", "kurtosis" (3 for a normal distribution) and "absmax" of all
        values, in the units of the input; "norm", the median over samples of the 2-norm; and "c" and "kappa", medians
        over the blocks that share a scale, ratios of norms, squared for c (NaN without a quantizer).
        """
        rows = []
        for (layer, call, quantity), entry in self.stats.items():
            row: dict[str, Any] = {"layer": layer, "step": call, "quantity": quantity, "values": entry.values.count}
            row |= {name: getattr(entry.values, name) for name in ("mean", "variance", "kurtosis", "absmax")}
            row["norm"] = np.median(entry.norm)
            rows.append(row | {name: np.median(entry.ratio(name)) if entry.c else np.nan for name in ("c", "kappa")})
        return frame({name: [row[name] for row in rows] for name in COLUMNS})

    @property
    def plot(self) -> RecorderPlots:
        """Pictures (extra [plot]): ``violins`` of layers, ``sizes`` of a, d and r, ``table`` of one value."""
        found: RecorderPlots = pictures(self, f"{__package__}.pictures", "RecorderPlots")
        return found
