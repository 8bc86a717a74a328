"""Errors per call beside their bounds, their ratios to the bounds, and what many trials have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from . import panels, style

#: what is drawn of the errors of a recursion -> its words, line and marker
CURVES = {
    "mean": style.Look("mean error", "black", "-", ""),
    "error": style.Look("error of the worst trial", "black", "", "."),
    "largest": style.Look("largest", "black", "", "."),
    "rms": style.Look("root mean square", "black", "", "."),
    "together": style.Look("all trials together", "black", "", "."),
    "bound": style.Look("its bound", "black", "--", ""),
}
ROUNDING = 1e-18  # of the largest value: smaller ones are rounding, and are not shown


def errors(axes: Axes, curves: Mapping[str, np.ndarray], look: style.Look, *, named: str = "") -> None:
    """Draw some of ``CURVES``, each an array (calls,), in the colour of a recursion.

    ``named`` begins their labels; without it they have none.
    """
    for kind, values in curves.items():
        label = f"{named}, {CURVES[kind].label.removesuffix(' error').removeprefix('its ')}" if named else None
        axes.plot(panels.positive(values), color=look.colour, label=label, **_mark(kind, len(values)))


def _mark(kind: str, calls: int) -> dict[str, Any]:
    """Return line and marker of a curve; a single call does not make a line."""
    mark = CURVES[kind]
    lone = {"mean": "s", "bound": "_"}.get(kind, mark.marker)
    return {"ls": mark.line, "marker": lone if calls == 1 else mark.marker, "ms": 6, "mfc": "none"}


def ratios(axes: Axes, ratio: np.ndarray, look: style.Look, *, named: str | None = None) -> None:
    """Draw the ratios of errors to their bounds, (calls,). Infinite ones are triangles at the upper edge."""
    seen = np.where(np.isfinite(ratio), ratio, np.nan)
    axes.plot(seen, ls=look.line, marker=".", ms=4, color=look.colour, label=named)
    beyond = np.flatnonzero(~np.isfinite(ratio))
    edge = axes.get_xaxis_transform()
    axes.plot(beyond, np.full(len(beyond), 0.98), "^", ms=5, color=look.colour, transform=edge)


def quantiles(axes: Axes, found: Mapping[str, np.ndarray], look: style.Look, *, named: str) -> None:
    """Draw what trials have in common per call: a band between quantiles, their mean and the largest.

    ``found`` has "quantiles" (3, calls): the lower, middle and upper one; and "mean" and "largest", (calls,).
    """
    calls = np.arange(len(found["mean"]))
    lone = "s" if len(calls) == 1 else ""
    median = style.Look("", look.colour, "-", lone)
    style.band(axes, calls, panels.positive(found["quantiles"]), median, label=f"{named}, median and 5–95 %")
    axes.plot(panels.positive(found["mean"]), ls=":", marker=lone, color=look.colour, label=f"{named}, mean")
    axes.plot(panels.positive(found["largest"]), ls="", marker=".", color=look.colour, label=f"{named}, largest")


def error_axes(axes: Axes, label: str = "error |a - ô|") -> None:
    """Make the axes those of errors per call."""
    axes.set(xlabel="call", ylabel=label)
    panels.logarithmic(axes)
    low, top = axes.get_ylim()
    axes.set_ylim(bottom=max(low, ROUNDING * top), auto=True)  # more may be drawn on them
    panels.whole_numbers(axes)


def ratio_axes(axes: Axes) -> None:
    """Make the axes those of ratios per call, with a line where an error is its bound."""
    axes.axhline(1, color="black", lw=0.8)
    axes.set(xlabel="call", ylabel="error / bound")
    axes.set_ylim(0, max(axes.get_ylim()[1], 1.05), auto=True)
    panels.whole_numbers(axes)


def against_bounds(figure: Figure, axes: Sequence[Axes], runs: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> None:
    """Draw the errors of several recursions in both norms, with ratios to the bounds below them, on four Axes.

    ``runs`` has, by recursion and norm ("2", "inf"), what ``simulation.against_bounds.compared`` returns.
    """
    looks = style.recursions(list(runs))
    kinds = ("mean", "error", "bound")
    for above, below, norm in zip(axes[:2], axes[2:], ("2", "inf"), strict=True):
        for name, look in looks.items():
            found = runs[name][norm]
            errors(above, {kind: found[kind] for kind in kinds if found[kind] is not None}, look)
            if found["ratio"] is not None:
                ratios(below, found["ratio"], look)
        error_axes(above)
        ratio_axes(below)
    calls = len(next(iter(runs.values()))["2"]["mean"])
    handles = [Line2D([], [], color=look.colour, label=name.replace("_", " ")) for name, look in looks.items()]
    handles += [Line2D([], [], color="black", label=CURVES[k].label, **_mark(k, calls)) for k in kinds]
    handles.append(Line2D([], [], color="black", lw=0.8, label="error = bound (below)"))
    style.legend(figure, handles, columns=4, where="outside lower center")
