"""One look for all pictures: colours, labels, sizes, legends. A picture picks names from here rather than set colours.

Colours are those of Okabe and Ito, which can be told apart with every common colour blindness; line styles and markers
repeat the information. A recursion and a bound have the same colour in every picture. Measured curves have markers, and
bounds do not. Sizes are for print at ``WIDTH`` inches, where text has at least ``SMALLEST`` points.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import NullLocator

from ..shown import LEVELS
from .lone import lone

WIDTH = 9.0  # inches; fits a landscape page and a report column
SMALLEST = 8.0  # points
GRID, EDGE = "#d9d9d9", "#4d4d4d"  # lines of the grid; axes and their ticks
ALARM = "#b2182b"  # only for a bound that is exceeded
NEUTRAL = ("#b3b3b3", "#737373", "#1a1a1a")  # where a colour would be mistaken for that of a recursion or a bound


@dataclass(frozen=True)
class Look:
    """How one thing is drawn and labelled in every picture."""

    label: str
    colour: str
    line: Any = "-"
    marker: str = ""


RECURSION = {
    "direct": Look("direct", "#E69F00", "-", "s"),
    "open_loop": Look("open loop (no compensation)", "#D55E00", "-", "^"),
    "closed_loop": Look("closed loop (MoDiff)", "#0072B2", "-", "o"),
    "full_precision": Look("full precision", "#000000", "-", "D"),
}
LOOPS = ("direct", "open_loop", "closed_loop")  # the paper's recursions
BOUND = {
    "printed_paper": Look("printed, paper's index", "#CC79A7", (0, (4, 1.5))),
    "printed_sampling": Look("printed, sampling order", "#CC79A7", (0, (1, 1.2))),
    "young": Look("Young, corrected", "#009E73", (0, (5, 1.5, 1, 1.5))),
    "ef21": Look("Young, EF21's constants", "#009E73", (0, (2, 2))),
    "sharp": Look("sharp 2-norm", "#56B4E9", "-"),
    "max_norm": Look("max norm", "#4d4d4d", "-"),
}
#: what a recursion quantizes has the colour and marker of that recursion
QUANTITY = {
    "a": replace(RECURSION["direct"], label="$a_t$, the input (direct)"),
    "d": replace(RECURSION["open_loop"], label="$a_t-a_{t+1}$ (open loop)"),
    "r": replace(RECURSION["closed_loop"], label=r"$a_t-\hat a_{t+1}$ (closed loop)"),
}
#: ways of computing less; some of their colours are those of bounds, so the two are never drawn together
SCHEME = {
    "cached": Look("all layers cached", "#CC79A7", "-", "s"),
    "deepcache": Look("DeepCache, depth 1", "#009E73", "-", "^"),
    "shallow": Look("DeepCache, 1 skip connection", "#009E73", (0, (2, 1.5)), "v"),
    "threshold": Look(r"threshold $\tau$", "#56B4E9", "-", "D"),
    "dead_zone": Look("closed loop with a dead zone, 4 bits", "#56B4E9", (0, (2, 1.5)), "P"),
}
#: quantizers, bits and other things that are neither a recursion nor a bound, where many are told apart in one panel
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#737373", "#000000")
#: the largest error that is accepted, in every picture
TOLERANCE = Look("tolerance", "#000000", (0, (4, 2)))
SHORT = {"direct": "direct", "open_loop": "open loop", "closed_loop": "closed loop", "full_precision": "full precision"}

_RC: Any = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so that letters are the same on every machine
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.labelsize": 9.0,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.fontsize": 9.0,
    "figure.titlesize": 10.5,
    "mathtext.fontset": "dejavusans",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": EDGE,
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.5,
    "lines.markersize": 3.5,
    "legend.frameon": False,
    "legend.handlelength": 2.4,
    "xtick.color": EDGE,
    "ytick.color": EDGE,
    "xtick.labelcolor": "black",
    "ytick.labelcolor": "black",
    "svg.hashsalt": "modiff-sim",  # otherwise the ids in an SVG would be random
    "svg.fonttype": "path",
    "text.hinting": "none",  # a text then has the same width at every resolution, so that PNG and SVG share one layout
    "figure.constrained_layout.use": True,
    "figure.dpi": 100,
    "savefig.facecolor": "white",
}


@contextmanager
def applied() -> Iterator[None]:
    """Apply the style within the context, on top of matplotlib's defaults rather than the user's settings."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_RC)
        yield


def grid(rows: int, columns: int, *, height: float, width: float = WIDTH, **options: Any) -> tuple[Figure, np.ndarray]:
    """Make a figure with constrained layout, and its axes as a 2-d array, without pyplot and its global state."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def key(look: Look, *, band: bool = False, **options: Any) -> Any:
    """Return a legend entry for a look: a line with its marker, or a patch for an area."""
    if band:
        return Patch(facecolor=look.colour, alpha=0.35, label=look.label, **options)
    return Line2D([], [], color=look.colour, ls=look.line, marker=look.marker, label=look.label, **options)


def legend(figure: Any, handles: Iterable[Any], *, columns: int, where: str = "outside upper center") -> Any:
    """Put the figure's legend outside all axes, where constrained layout makes room, so that it covers nothing.

    It has fewer columns where so many would be wider than the figure.
    """
    handles = list(handles)
    for ncols in range(columns, 0, -1):
        made = figure.legend(handles=handles, loc=where, ncols=ncols, columnspacing=1.6, borderaxespad=0.2)
        if ncols == 1 or made.get_window_extent().width <= figure.bbox.width:
            return made
        made.remove()
    raise ValueError(f"a legend has at least one column, got {columns}")


def curve(axes: Axes, x: Any, y: Any, *, alone: str = "s", marker: str = "", **options: Any) -> None:
    """Draw a curve with gaps where it is NaN. Points between gaps, which no line reaches, have the marker ``alone``.

    They have the curve's own ``marker`` where there is one, also those that ``markevery`` would leave out.
    """
    apart, x = lone(y), np.asarray(x)
    (line,) = axes.plot(x, y, marker=marker, **options)
    if not marker and apart.any():
        line.set(marker=alone, markevery=apart)
    elif "markevery" in options and apart.any():
        same: dict[str, Any] = {
            "color": line.get_color(),
            "ms": line.get_markersize(),
            "mfc": line.get_markerfacecolor(),
        }
        axes.plot(x[apart], np.asarray(y)[apart], ls="", marker=marker, **same)


def spread(
    axes: Axes, x: Sequence[float] | np.ndarray, values: np.ndarray, look: Look, *, every: int = 1, **options: Any
) -> None:
    """Draw the median over the trials (axis 1 of ``values``) with a band from the 5th to the 95th percentile."""
    band(axes, x, np.quantile(values, LEVELS, axis=1), look, markevery=every, **options)


def band(
    axes: Axes, x: Sequence[float] | np.ndarray, values: np.ndarray, look: Look, *, alpha: float = 0.25, **options: Any
) -> None:
    """Draw ``values``, (3, calls): the middle one as a curve, the others as the edges of a band. NaN leaves a gap.

    Between gaps the band is a bar.
    """
    low, middle, high = np.asarray(values)
    axes.fill_between(x, low, high, color=look.colour, alpha=alpha, lw=0)
    if (apart := lone(low + high)).any():
        axes.vlines(np.asarray(x)[apart], low[apart], high[apart], color=look.colour, alpha=alpha, lw=5)
    curve(axes, x, middle, marker=look.marker, color=look.colour, ls=look.line, **options)


def bound(axes: Axes, x: Any, values: np.ndarray, look: Look, **options: Any) -> None:
    """Draw a bound: a line without markers, above what it bounds."""
    axes.plot(x, values, color=look.colour, ls=look.line, zorder=3, **options)


def logarithmic(*axes: Axes, which: str = "y") -> None:
    """Make an axis logarithmic with ticks at decades only, since minor ticks take most of the time of drawing."""
    for panel in axes:
        axis = panel.yaxis if which == "y" else panel.xaxis
        (panel.set_yscale if which == "y" else panel.set_xscale)("log")
        axis.set_minor_locator(NullLocator())


def recursions(names: Sequence[str]) -> dict[str, Look]:
    """Return the look of each recursion; one that is not known takes a colour that no known recursion has."""
    taken = {look.colour for look in RECURSION.values()}
    spare = [colour for colour in PALETTE if colour not in taken]
    others = [name for name in names if name not in RECURSION]
    return {
        name: RECURSION.get(name) or Look(name.replace("_", " "), spare[others.index(name) % len(spare)], "-", "v")
        for name in names
    }


def short(name: str) -> str:
    """Return the short name of a recursion, for where there is little room."""
    return SHORT.get(name, name.replace("_", " "))


def number(value: float) -> str:
    """Format a number with three digits, or as a power of ten where it is long."""
    if abs(value) < 1e4:
        return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    mantissa, exponent = f"{value:.0e}".split("e")
    return rf"${mantissa}\times10^{{{int(exponent)}}}$"
