"""c and kappa of quantizers, against bits or dimension, so that no two curves of a panel look alike.

The colour says which quantizer a curve belongs to. Where there are several bits (or dimensions) as well, the line style
and the filling of markers tell them apart, or the colour if there is one quantizer only. More of them than there are
styles or colours are refused, because nobody could tell them apart. Declared values are lines with dashes, searched
ones rings, and measured ones the distributions' markers. Grey lines are the conditions of the theory (``LEVELS``).

What is drawn are the rows of an atlas: mappings with the columns of ``contraction.atlas``.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from string import ascii_lowercase
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from .panels import doublings, whole_numbers
from .style import EDGE, PALETTE, legend

ROW = 6  # quantizers of one granularity in a panel
LINES = ("-", "--", ":", "-.")
MARKERS = "so^vDPX*"
FILLS = ("full", "none", "bottom", "right")  # of the markers, beside ``LINES``
NORMS = {"c": "c (squared 2-norm)", "kappa": "kappa (max norm)"}
RATIOS = {"c": "‖x - Q(x)‖² / ‖x‖²", "kappa": "max |x - Q(x)| / max |x|"}  # ∞ would lie on its side, as an 8
WORDS = {"bits": "{} bits", "d": "d = {}"}
NOTHING = 1e-12  # an error up to this is the rounding of an exact quantizer, and is drawn as 0
#: norm -> conditions of the theory (for the closed loop): value, line style, and what holds where
LEVELS: dict[str, tuple[tuple[float, Any, str], ...]] = {
    "c": (
        (1.0, "-", "c = 1: below it,\nthe sharp bounds hold"),
        (0.5, (0, (1, 1.5)), "c = ½: up to it,\nthe paper's (31) holds"),
    ),
    "kappa": ((1.0, "-", "kappa = 1: below it,\nthe max-norm bounds hold"),),
}
BOTH = "c = 1, kappa = 1: below it,\nsharp, max-norm bounds hold"  # for lines that look alike
NEAR = 20.0  # a level is shown where the largest value is at most so many times smaller
#: decades below the curves that points may take up, at least and as a multiple of the decades that the curves span
BELOW = (2.0, 1.0)
TICKS = 8  # decades with a number beside a 0
BENEATH = r"$\downarrow$"

Row = Mapping[str, Any]


class TooMany(ValueError):
    """There are more curves than can be told apart.

    Attributes
    ----------
    most : int
        How many can be.
    what, other : str
        "lines" or "colours", and the column ("bits" or "d") that has more values.
    values : int
        How many it has.
    """

    def __init__(self, most: int, what: str, other: str, values: int) -> None:
        super().__init__(
            f"a panel can show {most} {what}, but {other} has {values} values beside another axis: "
            f"choose at most {most}, as with where({other}=...)"
        )
        self.most, self.what, self.other, self.values = most, what, other, values


@dataclass(frozen=True)
class Keys:
    """How the curves of some rows are told apart.

    Parameters
    ----------
    x, other : str
        The column of the x axis, and the one that lines or colours stand for: "d" and "bits", or the reverse.
    several : bool
        Whether colours stand for quantizers.
    own : dict
        Quantizer -> its values of ``other``.
    lines, markers : dict
        Value of ``other`` -> line style, distribution -> marker.
    searched : bool
        Whether worst cases were searched.
    """

    x: str
    other: str
    several: bool
    own: dict[str, set[int]]
    lines: dict[int, str]
    markers: dict[str, str]
    searched: bool

    @property
    def values(self) -> list[int]:
        """Values of ``other`` that are told apart: a format has only one number of bits."""
        return sorted(set().union(*(v for v in self.own.values() if len(v) > 1)))

    def colours(self, group: Sequence[Row]) -> dict[Any, str]:
        """The colour of each quantizer, or of each number of bits (or d) where there is only one quantizer.

        It is the same in all panels where there are colours for all quantizers.
        """
        named = list(dict.fromkeys(row["quantizer" if self.several else self.other] for row in group))
        every = list(self.own) if self.several and len(self.own) <= len(PALETTE) else named
        return {name: PALETTE[every.index(name)] for name in named}

    def named(self, group: Sequence[Row]) -> list[Line2D]:
        """The entries of a legend for the colours of a panel."""
        word, texts = WORDS[self.other], {}
        for name in self.colours(group):
            only = self.several and bool(self.values) and len(self.own[name]) == 1
            texts[name] = f"{name}, {word.format(*self.own[name])}" if only else name
            if not self.several:
                texts[name] = word.format(name)
        return [Line2D([], [], color=c, lw=5, label=texts[k]) for k, c in self.colours(group).items()]

    def marks(self, rows: Sequence[Row]) -> list[Line2D]:
        """The entries of a legend for what the marks and lines are that are drawn of these rows."""
        black: dict[str, Any] = {"color": "black"}
        word = WORDS[self.other]
        found = [
            Line2D([], [], ls=s, label=f"declared and mean, {word.format(v)}", marker="s", ms=5, **fill(s), **black)
            for v, s in self.lines.items()
        ]
        found = found or [Line2D([], [], marker="_", ms=9, lw=1.2, label="declared", **black)]
        if self.searched:
            found.append(Line2D([], [], ls="", marker="o", ms=8, mfc="none", label="searched", **black))
        found += [Line2D([], [], ls="", marker=m, ms=4, label=f"{n}, mean", **black) for n, m in self.markers.items()]
        norms = list(dict.fromkeys(row["norm"] for row in rows))
        if any(_beneath(rows, norm) for norm in norms):
            found.append(Line2D([], [], ls="", marker=BENEATH, ms=8, label="mean below the axis", **black))
        levels: dict[Any, str] = {}
        for _, line, said in (level for norm in norms for level in _levels(rows, norm)):
            levels[line] = BOTH if line in levels else said
        return found + [Line2D([], [], ls=line, label=said, color=EDGE, lw=0.9) for line, said in levels.items()]


def fill(line: str) -> dict[str, Any]:
    """Return how the markers beside this line are filled, so that means show whose they are as well."""
    return {"fillstyle": FILLS[LINES.index(line)], "markerfacecoloralt": "white"}


def keys(rows: Sequence[Row]) -> Keys:
    """Return how these rows are told apart: against d where there are several, else against bits.

    Raises ``TooMany``, a ValueError, where there are more values than line styles or colours.
    """
    x, other = ("d", "bits") if len({row["d"] for row in rows}) > 1 else ("bits", "d")
    several = max(len({row["quantizer"] for row in group}) for group in groups(rows)) > 1
    names = dict.fromkeys(row["quantizer"] for row in rows)
    own = {name: {row[other] for row in rows if row["quantizer"] == name} for name in names}
    markers = dict(zip(dict.fromkeys(row["distribution"] for row in rows), MARKERS, strict=False))
    found = Keys(x, other, several, own, {}, markers, any(row["searched"] is not None for row in rows))
    most, what = (len(LINES), "lines") if several else (len(PALETTE), "colours")
    if len(found.values) > most:
        raise TooMany(most, what, other, len(found.values))
    return replace(found, lines=dict(zip(found.values, LINES, strict=False)) if several else {})


def groups(rows: Sequence[Row]) -> list[list[Row]]:
    """Return the rows of each panel: one granularity, at most ``ROW`` quantizers."""
    found: list[list[Row]] = []
    for granularity in dict.fromkeys(row["granularity"] for row in rows):
        names = list(dict.fromkeys(row["quantizer"] for row in rows if row["granularity"] == granularity))
        for start in range(0, len(names), ROW):
            some = set(names[start : start + ROW])
            found.append([row for row in rows if row["granularity"] == granularity and row["quantizer"] in some])
    return found


def titles(rows: Sequence[Row]) -> list[str]:
    """Return the titles of the panels that ``multiples`` draws, with letters, two for each of ``groups``."""
    found = groups(rows)
    each = [title(group, norm, len(found) > 1) for group, norm in itertools.product(found, NORMS)]
    return [f"({ascii_lowercase[i]}) {text}" if i < len(ascii_lowercase) else text for i, text in enumerate(each)]


def title(group: Sequence[Row], norm: str, which: bool = False) -> str:
    """Return the title of a panel; ``which`` says whether it names the granularity."""
    names = {row["quantizer"] for row in group}
    about = [*(names if len(names) == 1 else ()), *([f"one scale per {group[0]['granularity']}"] if which else ())]
    return "\n".join([NORMS[norm], ", ".join(about)]) if about else NORMS[norm]


def multiples(figure: Figure, panels: Sequence[Axes], rows: Sequence[Row]) -> None:
    """Draw all rows, c and kappa side by side for each of ``groups``, with legends."""
    told = keys(rows)
    for axes, (group, norm) in zip(panels, itertools.product(groups(rows), NORMS), strict=True):
        panel(axes, group, norm, told, rows)
        axes.set_ylabel(RATIOS[norm])
        if norm == "kappa":
            axes.legend(handles=told.named(group), loc="upper left", bbox_to_anchor=(1.0, 1.0))
    legend(figure, told.marks(rows), columns=4, where="outside lower center")


def panel(axes: Axes, group: Sequence[Row], norm: str, told: Keys, rows: Sequence[Row]) -> None:
    """Draw the rows of one panel in one norm; the limits are those of all ``rows``."""
    colours = told.colours(group)
    series = list(dict.fromkeys((row["quantizer"], row[told.other]) for row in group))
    for i, (name, value) in enumerate(series):
        of = [r for r in group if r["norm"] == norm and (r["quantizer"], r[told.other]) == (name, value)]
        look = {"color": colours[name if told.several else value]}
        look["ls"] = told.lines.get(value, "-") if len(told.own[name]) > 1 else "-"
        below = {id(row) for row in _beneath(rows, norm)}
        _curve(axes, of, told, look, (i - (len(series) - 1) / 2) / max(len(series), 4), below)
    for level, line, _ in _levels(rows, norm):
        axes.axhline(level, color=EDGE, ls=line, lw=0.9, zorder=1.5)
    _scales(axes, told.x, [row[told.x] for row in rows], _limits(rows, norm))


def _curve(
    axes: Axes, of: Sequence[Row], told: Keys, look: dict[str, Any], aside: float, below: Collection[int]
) -> None:
    """Draw one quantizer at one setting. ``aside``, in [-1/2, 1/2], moves its points beside those of others.

    ``below`` are rows, by id, whose mean lies below the axis.
    """

    def at(row: Row) -> float:
        value = row[told.x]
        return float(value * 2 ** (0.5 * aside)) if told.x == "d" else value + 0.5 * aside

    worst = {at(row): row["declared"] for row in of}
    axes.plot(list(worst), list(worst.values()), marker="_", ms=9, lw=1.2, **look)
    filled = fill(look["ls"])
    look = {"color": look["color"], "ls": ""}
    found = {at(row): row["searched"] for row in of if row["searched"] is not None}
    axes.plot(list(found), list(found.values()), marker="o", ms=8, mfc="none", mew=0.8, **look)
    for name, marker in told.markers.items():
        points = [row for row in of if row["distribution"] == name and id(row) not in below]
        mean, low, high = (np.array([row[k] for row in points]) for k in ("mean", "low", "high"))
        spread = np.maximum([mean - low, high - mean], 0)
        size: dict[str, Any] = {"ms": 4.5 if told.lines else 3.5, "elinewidth": 1}
        axes.errorbar([at(p) for p in points], mean, spread, marker=marker, **size, **filled, **look)

    lost = [at(row) for row in of if id(row) in below]
    axes.plot(lost, [0.03] * len(lost), transform=axes.get_xaxis_transform(), marker=BENEATH, ms=8, **look)


def _drawn(rows: Sequence[Row], norm: str, *columns: str) -> list[float]:
    """Return the values of these columns that are drawn: a constant that is not promised is infinite."""
    found = (row[k] for row in rows if row["norm"] == norm for k in columns)
    return [value for value in found if value is not None and value < math.inf]


def _limits(rows: Sequence[Row], norm: str) -> tuple[float, float, bool]:
    """Return the smallest and the largest positive value that is shown, and whether a zero is.

    Measured values far below all curves are not, where the curves would be squeezed into a line.
    """
    drawn = _drawn(rows, norm, "declared", "searched", "mean")
    positive = [v for v in drawn if v > NOTHING] or [1.0]
    curves = [v for v in _drawn(rows, norm, "declared", "searched") if v > NOTHING] or positive
    high = max([max(positive), *(level for level, *_ in LEVELS[norm] if level < NEAR * max(positive))])
    most = max(BELOW[0], BELOW[1] * math.log10(high / min(curves)))
    return max(min(positive), min(curves) / 10**most), high, min(drawn) <= NOTHING


def _levels(rows: Sequence[Row], norm: str) -> list[tuple[float, Any, str]]:
    """Return the conditions of the theory that lie within the limits."""
    low, high, _ = _limits(rows, norm)
    return [each for each in LEVELS[norm] if low / 2 <= each[0] <= high]


def _beneath(rows: Sequence[Row], norm: str) -> list[Row]:
    """Return the rows whose mean lies below a logarithmic axis; one that has a 0 goes on to it."""
    low, _, zero = _limits(rows, norm)
    return [] if zero else [row for row in rows if row["norm"] == norm and row["mean"] < low / 2]


def _scales(axes: Axes, x: str, values: Sequence[int], limits: tuple[float, float, bool]) -> None:
    low, high, zero = limits
    if zero:  # linear below the smallest value, so that 0 can be shown
        first, last = math.ceil(math.log10(low)), math.floor(math.log10(2 * high))
        axes.set_yscale("symlog", linthresh=low, linscale=max(1.0, (last - first) / 6))
        axes.set_ylim(-0.2 * low, 2 * high)
        step = 1 + (last - first) // TICKS
        axes.set_yticks([0.0, *(10.0**k for k in range(last, first - 1, -step))])
    else:
        axes.set(yscale="log", ylim=(low / 2, high * 2))
    if x == "d":
        doublings(axes, values)
    else:
        whole_numbers(axes)
        axes.set_xlim(min(values) - 0.6, max(values) + 0.6)
    axes.set_xlabel("d, entries of a sample" if x == "d" else "bits")
