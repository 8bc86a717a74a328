"""Errors per call beside their bounds, their ratios to the bounds, and what many trials have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from . import panels, style
from .lone import lone

#: what is drawn of the errors of a recursion -> its words, line and marker
CURVES = {
    "mean": style.Look("mean error", "black", "-", ""),
    "error": style.Look("error of the worst trial", "black", "", "."),
    "largest": style.Look("largest", "black", "", "."),
    "rms": style.Look("root mean square", "black", "", "."),
    "together": style.Look("all trials together", "black", "", "."),
    "bound": style.Look("its bound", "black", "--", ""),
}
KINDS = ("mean", "error", "bound")  # those drawn of what was compared with its bounds
NORMS = ("2", "inf")
ALONE = {"mean": "s", "bound": "_"}  # the markers of points that no line reaches
SHADE: dict[str, Any] = {"facecolor": style.GRID, "alpha": 0.6, "lw": 0}
ROUNDING = 1e-18  # of the largest value: smaller ones are rounding, and are not shown


def errors(
    axes: Axes, curves: Mapping[str, np.ndarray], look: style.Look, *, named: str = "", marker: str = ""
) -> None:
    """Draw some of ``CURVES``, each an array (calls,), in the colour of a recursion.

    ``named`` begins their labels; without it they have none, and neither has a curve with nothing to show. ``marker``
    tells them from those of another result.
    """
    for kind, values in curves.items():
        shown, words = panels.positive(values), CURVES[kind].label.removesuffix(" error").removeprefix("its ")
        label = f"{named}, {words}" if named and _is_seen(values) else None
        mark = _mark(kind) | _told(marker, len(shown) if CURVES[kind].line else 0)
        style.curve(axes, np.arange(len(shown)), shown, color=look.colour, label=label, **mark)


def _is_seen(values: np.ndarray) -> bool:
    """Whether a curve has something to show, or is known to be 0 everywhere; not one that is unknown but for zeros."""
    return bool((values > 0).any() or not np.isnan(values).any())


def _mark(kind: str) -> dict[str, Any]:
    """Return line and markers of a curve, as ``style.curve`` takes them."""
    mark = CURVES[kind]
    return {"ls": mark.line, "marker": mark.marker, "alone": ALONE.get(kind, ""), "ms": 6, "mfc": "none"}


#: markers of one result on a curve, at most; more of them would hide it
FEW = 8


def _told(marker: str, calls: int) -> dict[str, Any]:
    """Return the marker by which a result is told from others: at a few of so many calls, or at all of them for 0."""
    every = max(1, calls // FEW)
    return {"marker": marker, "ms": 4.5, "markevery": (every // 2, every)} if marker else {}


def ratios(
    axes: Axes,
    ratio: np.ndarray,
    look: style.Look,
    *,
    named: str | None = None,
    outside: np.ndarray | None = None,
    marker: str = "",
) -> None:
    """Draw the ratios of errors to their bounds, (calls,). Infinite ones are triangles at the upper edge.

    ``outside`` says at which calls no bound was promised for any trial; these are left out. ``marker`` tells them from
    those of another result.
    """
    judged = np.ones(len(ratio), bool) if outside is None else ~outside
    seen = np.where(judged & np.isfinite(ratio), ratio, np.nan)
    mark: dict[str, Any] = {"marker": ".", "ms": 4, "mfc": "none" if marker else None} | _told(marker, len(ratio))
    axes.plot(seen, ls=look.line, color=look.colour, label=named, **mark)
    beyond = np.flatnonzero(judged & ~np.isfinite(ratio))
    edge = axes.get_xaxis_transform()
    axes.plot(beyond, np.full(len(beyond), 0.98), "^", ms=5, color=look.colour, transform=edge)


def outside(axes: Axes, start: int | None, calls: int, why: str, *, named: str = "") -> None:
    """Shade the calls from ``start`` on, of ``calls``: there a quantizer lost more than it declares, in some trial.

    ``named`` begins the label, and ``why`` ends it; without ``named`` there is none. Nothing is shaded for None.
    """
    if start is not None:
        label = f"{named}, {why}" if named else None
        axes.axvspan(start - 0.5, calls - 0.5, zorder=0, label=label, **SHADE)


def quantiles(axes: Axes, found: Mapping[str, np.ndarray], look: style.Look, *, named: str, marker: str = "") -> None:
    """Draw what trials have in common per call: a band between quantiles, their mean and the largest.

    ``found`` has "quantiles" (3, calls): the lower, middle and upper one; and "mean" and "largest", (calls,).
    ``marker`` tells them from those of another result.
    """
    calls, colour = np.arange(len(found["mean"])), look.colour
    told: dict[str, Any] = {"mfc": "none", **_told(marker, len(calls))}
    median = style.Look("", colour, marker=told.pop("marker", ""))
    style.band(axes, calls, panels.positive(found["quantiles"]), median, label=f"{named}, median and 5–95 %", **told)
    told["marker"] = marker
    style.curve(axes, calls, panels.positive(found["mean"]), ls=":", color=colour, label=f"{named}, mean", **told)
    dots: dict[str, Any] = {"mfc": "none", **_told(marker, 0)} if marker else {"marker": "."}
    axes.plot(panels.positive(found["largest"]), ls="", color=colour, label=f"{named}, largest", **dots)


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
    apart, seen, shaded = dict.fromkeys(KINDS, False), set(), set()
    for above, below, norm in zip(axes[:2], axes[2:], NORMS, strict=True):
        for name, look in looks.items():
            found = runs[name][norm]
            curves, start = _judged(found), fails_from(found)
            errors(above, curves, look)
            if found["ratio"] is not None:
                ratios(below, found["ratio"], look, outside=found["outside"])
            for panel in (above, below):
                outside(panel, start, len(found["mean"]), found["why"])
            apart |= {kind: apart[kind] or bool(lone(panels.positive(v)).any()) for kind, v in curves.items()}
            seen |= {kind for kind, values in curves.items() if _is_seen(values)}
            shaded |= set() if start is None else {found["why"]}
        error_axes(above)
        ratio_axes(below)
    handles: list[Any] = [
        Line2D([], [], color=look.colour, label=name.replace("_", " ")) for name, look in looks.items()
    ]
    handles += [_key(kind, alone) for kind, alone in apart.items() if kind in seen]
    handles.append(Line2D([], [], color="black", lw=0.8, label="error = bound (below)"))
    handles += map(shade, sorted(shaded))
    style.legend(figure, handles, columns=4, where="outside lower center")


def fails_from(found: Mapping[str, Any]) -> int | None:
    """Return from which call on the input of some trial was outside of the quantizer's domain; None if none was."""
    start: int | None = None if found["worst"] is None else found["worst"]["premise_fails_from"]
    return start


def _judged(found: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Return the curves of what was compared, without error and bound of the worst trial where none was judged."""
    curves = {kind: found[kind] for kind in KINDS if found[kind] is not None}
    judged = ("error", "bound") if found["bound"] is not None else ()
    return curves | {kind: np.where(found["outside"], np.nan, curves[kind]) for kind in judged}


def _key(kind: str, alone: bool) -> Line2D:
    """Return the legend entry of a curve, with the marker of points that no line reaches where there are such."""
    mark = _mark(kind)
    marker = mark.pop("alone")
    if alone and marker:
        mark["marker"] = marker
    return Line2D([], [], color="black", label=CURVES[kind].label, **mark)


def shade(why: str) -> Patch:
    """Return the legend entry of what ``outside`` shades."""
    return Patch(**SHADE, label=why)
