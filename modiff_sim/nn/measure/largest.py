"""The layers of a recording with the largest values of one kind: the first question that a recording is asked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Self

import numpy as np

from ...shown import Said, Shown, aligned, frame
from .quantities import VALUES, WORDS

Row = dict[str, Any]

#: values of which a part of the input's is told: sizes, in its units
SIZES = ("absmax", "norm")


class Largest(Shown, list[Row]):
    """The layers with the largest values, a dict each; its text is a table. Made by ``Recorder.largest``.

    Parameters
    ----------
    rows : iterable of dict
        One per layer, with the columns of ``frame``.
    title : str
        What it is, for the text.
    value : str, default "value"
        The heading of the values.

    Examples
    --------
    >>> from modiff_sim.nn.measure.largest import Largest
    >>> row = {"layer": "conv_in", "step": 3, "value": 2.5, "of_median": 4.0, "of_inputs": 0.25}
    >>> Largest([row], "Largest |value| of d (differences), 1 of 31 layers")
    Largest |value| of d (differences), 1 of 31 layers
    layer    step  value  of median  of a
    conv_in     3    2.5          4  0.25
    """

    def __init__(self, rows: Iterable[Row], title: str, value: str = "value") -> None:
        list.__init__(self, rows)
        self._title, self._value = title, value

    @classmethod
    def of(cls, layers: Sequence[str], found: np.ndarray, inputs: np.ndarray, said: tuple[str, str], most: int) -> Self:
        """The first ``most`` layers of a table, shape (layers, calls). ``said``: its quantity and value by name."""
        quantity, value = said
        if not layers or np.isnan(found).all():
            kind = "nothing" if not layers else f"no {quantity}"
            raise ValueError(f"{kind} was recorded yet: call the model inside the context, twice for d and r")
        top = np.array([np.nan if np.isnan(row).all() else np.nanmax(row) for row in found])
        middle, rows = np.nanmedian(top), []
        for i in [i for i in np.argsort(-top, kind="stable") if not np.isnan(top[i])][:most]:
            step = int(np.nanargmax(found[i]))
            of_inputs = inputs[i, step] if quantity != "a" and value in SIZES else np.nan
            with np.errstate(divide="ignore", invalid="ignore"):
                ratios = {"of_median": float(top[i] / middle), "of_inputs": float(top[i] / of_inputs)}
            rows.append({"layer": layers[i], "step": step, "value": float(top[i])} | ratios)
        title = f"Largest {_short(value)} of {quantity} ({WORDS.get(quantity, 'inputs')})"
        return cls(rows, f"{title}, {len(rows)} of {len(layers)} layers", VALUES[value])

    def frame(self) -> Any:
        """A pandas DataFrame (extra [plot]), a row per layer.

        The columns are "layer"; "step", the model call at which the value is largest, in sampling order; "value", the
        largest one over all calls; "of_median", its ratio to the median over all recorded layers; and "of_inputs", its
        ratio to that of the layer's inputs at the same step, NaN for inputs themselves and for what is not a size.
        """
        return frame(list(self))

    def _said(self) -> Said:
        head = ["layer", "step", self._value, "of median"]
        columns = ["layer", "step", "value", "of_median"]
        if any(row["of_inputs"] == row["of_inputs"] for row in self):
            head, columns = [*head, "of a"], [*columns, "of_inputs"]
        return Said(self._title, {}, head, ([row[name] for name in columns] for row in self))

    def __repr__(self) -> str:
        said = self._said()
        return "\n".join([said.title, *aligned(said.head, said.rows)])


def _short(value: str) -> str:
    """What a value is called in a title."""
    return VALUES[value].removeprefix("largest ").partition(",")[0].partition(" of ")[0]
