"""What a layer's inputs look like, call by call: violins from stored quantiles, and largest values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from scipy.interpolate import PchipInterpolator

from . import panels, style

SHOWN = 10  # violins per quantity
EACH = 2.2  # inches of height for a layer
GRID: dict[str, Any] = {"sharex": "col", "gridspec_kw": {"width_ratios": [2.6, 1]}}  # options of ``subplots``


def violins(figure: Figure, axes: np.ndarray, data: Mapping[str, np.ndarray]) -> None:
    """Draw a row of two panels per layer, with a legend: violins of a and d, and the largest values of a, d and r.

    Axes are (layers, 2), made with the options ``GRID``. ``data`` has "layers" (names), "steps" (calls), "levels" of
    the quantiles, and for q in a, d and r "quantiles_q", (layers, steps, levels), and "absmax_q", (layers, steps); NaN
    where there is nothing.
    """
    steps, layers = data["steps"], [str(name) for name in data["layers"]]
    shown = np.unique(np.linspace(1, len(steps) - 1, SHOWN).round().astype(int)) if len(steps) > 1 else np.array([0])
    for i, name in enumerate(layers):
        left, right = axes[i]
        for order, (quantity, look) in enumerate(style.QUANTITY.items()):
            for x, step in enumerate(shown if quantity != "r" else ()):
                violin(left, x + 0.2 * (2 * order - 1), data[f"quantiles_{quantity}"][i, step], data["levels"], look)
            _largest(right, steps, data[f"absmax_{quantity}"][i], look, "--" if quantity == "r" else "-")
        _scale(right, np.array([data[f"absmax_{quantity}"][i] for quantity in "adr"]))
        tenth = replace(style.QUANTITY["a"], marker="_")
        _largest(right, steps, data["absmax_a"][i] / 10, tenth, ":", lw=1)
        left.set_title(name, loc="left")
        left.set_ylabel("value")
        right.set_ylabel("largest |value|")
        left.grid(axis="x", visible=False)
    axes[-1, 0].set_xticks(np.arange(len(shown)), [str(steps[s]) for s in shown])
    axes[-1, 0].set_xlim(-0.5, len(shown) - 0.5)
    end = max(steps[-1], 1)
    marked = any(line.get_marker() != "None" for panel in axes[:, 1] for line in panel.lines)
    axes[-1, 1].set_xlim(-0.04 * end * marked, end * (1 + 0.04 * marked))  # room for markers at the ends
    if end < SHOWN:
        panels.whole_numbers(axes[-1, 1])
    for panel in axes[-1]:
        panel.set_xlabel("model call")
    if len(shown) < len(steps) - 1:
        axes[-1, 0].set_xlabel(f"model call ({len(shown)} of {len(steps)} are shown)")
    style.legend(figure, _keys(), columns=4)


def _largest(
    axes: Axes, steps: Sequence[int] | np.ndarray, values: np.ndarray, look: style.Look, line: str, **options: Any
) -> None:
    """Draw the largest values as a line, with the look's marker where a call has no neighbours."""
    style.curve(axes, steps, values, alone=look.marker or "o", color=look.colour, ls=line, **options)


def _scale(axes: Axes, largest: np.ndarray) -> None:
    """Make the axis of largest values logarithmic, over a little more than two decades."""
    top = float(np.nanmax(largest)) if np.isfinite(largest).any() else 0.0
    if top > 0:  # a layer that is always zero has no decades
        style.logarithmic(axes)
        axes.set_ylim(10.0 ** np.floor(np.log10(top / 150)), 1.5 * top)


def _keys() -> list[Any]:
    looks = style.QUANTITY
    handles: list[Any] = [Patch(facecolor=looks[q].colour, label=looks[q].label) for q in "ad"]
    handles.append(Line2D([], [], color=looks["r"].colour, ls="--", label=looks["r"].label))
    return [*handles, Line2D([], [], color=looks["a"].colour, lw=1, ls=":", label="a tenth of the largest input")]


def violin(axes: Axes, x: float, quantiles: np.ndarray, levels: np.ndarray, look: style.Look) -> None:
    """Draw a violin whose half-width is the root of the density.

    The density comes from a monotone interpolation of the distribution through its quantiles.
    """
    if not np.isfinite(quantiles).all():
        return
    axes.vlines(x, quantiles[0], quantiles[-1], color=look.colour, lw=0.7)
    last = np.append(np.diff(quantiles) > 0, True)  # the highest level of equal quantiles: an atom is a jump
    values = quantiles[last]
    if len(values) > 1:
        y = np.unique(np.concatenate([np.linspace(values[0], values[-1], 200), _between(values)]))
        density = np.maximum(PchipInterpolator(values, levels[last]).derivative()(y), 0)  # negative by rounding only
        width = 0.19 * np.sqrt(density / density.max())
        axes.fill_betweenx(y, x - width, x + width, color=look.colour, lw=0)
    middle = quantiles[np.argmin(np.abs(levels - 0.5))]
    axes.plot(x, middle, ".", color="white", ms=2.5, mec="black", mew=0.4, zorder=4)


def _between(values: np.ndarray) -> np.ndarray:
    """Return points between neighbouring quantiles, which follow the middle of a long-tailed distribution closely."""
    return (values[:-1, None] + np.diff(values)[:, None] * np.linspace(0, 1, 9)).ravel()
