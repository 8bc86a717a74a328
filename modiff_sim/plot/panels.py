"""What single panels share: where objects are drawn, ticks and limits, and curves that may coincide."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, NullLocator

from . import style

SIZE = (6.4, 4.0)  # inches, of a picture of one panel
LETTER, HANDLE = 0.075, 0.55  # inches of a legend: of a letter, and of what stands before the text
NOTHING = "all are 0"  # said where a logarithmic axis has nothing to show


@contextmanager
def panel(ax: Axes | None, *, size: tuple[float, float] = SIZE, where: str = "outside upper center") -> Iterator[Axes]:
    """Yield the Axes to draw on; on leaving, make a legend of what has a label.

    ``ax`` itself is drawn on with the caller's settings. Its legend lies to the right of it where the figure has a
    layout that makes room (``layout="constrained"``), and else inside. None stands for new Axes of pyplot with this
    project's style, whose legend lies outside of them, at ``where``; where more is drawn on them, it is made anew.
    Raises TypeError for what is no Axes.
    """
    if ax is None:
        with panels(1, 1, size=size) as made:
            yield made[0, 0]
            _outside[made[0, 0]] = where
            _legend(made[0, 0])
        return
    if not isinstance(ax, Axes):
        raise TypeError(f"ax must be Axes of matplotlib's, such as of pyplot.subplots(), got {type(ax).__name__}")
    if ax in _outside:
        with style.applied():
            yield ax
            _legend(ax)
        return
    yield ax
    if handles := _labelled(ax):
        room: Any = ax.figure
        beside: dict[str, Any] = (
            {} if room.get_layout_engine() is None else {"loc": "upper left", "bbox_to_anchor": (1, 1)}
        )
        ax.legend(handles=handles, **beside)


#: Axes that ``panel`` has made, and where their legend lies
_outside: WeakKeyDictionary[Axes, str] = WeakKeyDictionary()


def _legend(axes: Axes) -> None:
    """Make the legend of Axes of our own, in as many columns as fit, in place of the one that they had."""
    figure: Any = axes.figure
    for old in list(figure.legends):
        old.remove()
    if handles := _labelled(axes):
        longest = max(len(str(handle.get_label())) for handle in handles)
        fit = int(figure.get_figwidth() // (LETTER * longest + HANDLE))
        columns = 1 if "right" in _outside[axes] else max(1, min(3, fit))
        style.legend(figure, handles, columns=columns, where=_outside[axes])


def _labelled(axes: Axes) -> list[Any]:
    """Return what has a label, once for each."""
    found: dict[str, Any] = {}
    for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
        found.setdefault(label, handle)
    return list(found.values())


@contextmanager
def panels(rows: int, columns: int, *, size: tuple[float, float], **options: Any) -> Iterator[np.ndarray]:
    """Yield new Axes of pyplot, (rows, columns), with this project's style; ``options`` are those of ``subplots``."""
    from matplotlib import pyplot  # here, since it chooses a backend

    with style.applied():
        _, made = pyplot.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained", **options)
        for axes in made.flat:  # ticks are made when a figure is drawn, which is after the style
            axes.tick_params(labelsize=8.5, color=style.EDGE, labelcolor="black", gridOn=True)
            axes.tick_params(grid_color=style.GRID, grid_linewidth=0.5)
        yield made


def positive(values: Any) -> np.ndarray:
    """Return values with gaps where they are not above 0, since a logarithmic axis cannot show them."""
    values = np.asarray(values, np.float64)
    return np.where(values > 0, values, np.nan)


def whole_numbers(axes: Axes) -> None:
    """Put the ticks of the x axis at whole numbers only, since calls are counted."""
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def doublings(axes: Axes, values: Sequence[int], most: int = 9) -> None:
    """Make the x axis log2 with these numbers as ticks. Numbers too close to others are left out."""
    shown = sorted(set(values))
    apart = (shown[-1] / shown[0]) ** (1 / most)
    ticks = [shown[-1]]
    for value in shown[-2::-1]:
        if ticks[-1] >= apart * value:
            ticks.append(value)
    axes.set_xscale("log", base=2)
    axes.set_xticks(ticks, [str(v) for v in ticks])
    axes.xaxis.set_minor_locator(NullLocator())


def logarithmic(axes: Axes) -> None:
    """Make the y axis logarithmic, with at least a decade; where nothing is above 0, say so on a linear one."""
    for said in [text for text in axes.texts if text.get_gid() == NOTHING]:
        said.remove()  # more may have been drawn since
    drawn = np.concatenate([np.ravel(np.asarray(line.get_ydata(), np.float64)) for line in axes.lines])
    if (drawn > 0).any():  # what is not shown is NaN
        axes.set_yscale("log")
        decade(axes)
    else:
        axes.set_ylim(0, 1, auto=True)
        axes.text(0.5, 0.5, NOTHING, transform=axes.transAxes, ha="center", gid=NOTHING)


def decade(axes: Axes) -> None:
    """Show at least a factor of 10 on a log y axis, so that its ticks are readable numbers."""
    low, high = axes.get_ylim()
    if high < 10 * low:
        middle = (low * high) ** 0.5
        axes.set_ylim(middle / 10**0.5, middle * 10**0.5, auto=True)


def bounds(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the looks of these bounds, such as "sharp" and "printed/paper".

    They may coincide: in this order each leaves a rim of those below visible. The two printed ones have one colour, and
    markers of two shapes.
    """
    found, most = {}, len(names) - 1
    for i, name in enumerate(names):
        look, marker = style.BOUND[name.replace("/", "_")], "s" if name == "printed/paper" else "o"
        size = {"lw": 1.2 + 0.5 * (most - i), "ms": 3.5 + 2 * (most - i)}
        found[name] = {"color": look.colour, "ls": look.line, "marker": marker, "mfc": "none", **size}
    return found
