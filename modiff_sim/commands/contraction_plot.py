"""The picture of ``modiff-sim contraction --plot``: small multiples, so that no two curves of a panel look alike.

A row of panels (c, kappa) holds at most ``ROW`` quantizers of one granularity. The colour says which quantizer a
curve belongs to. Where there are several bits (or dimensions) as well, the line style tells them apart, or the
colour if there is one quantizer only. More of them than there are styles or colours are refused, because nobody
could tell them apart.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from .plotting import COLOURS, doublings, legend_below, picture, whole_numbers

ROW = 6
LINES = ("-", "--", ":", "-.")
MARKERS = "so^vDPX*"
NOTHING = 1e-12  # an error up to this is the rounding of an exact quantizer, and is drawn as 0


def plot(path: str, rows: Sequence[dict[str, Any]]) -> None:
    """Draw the rows against d where there are several, else against bits.

    Declared values are lines with dashes, searched ones rings, and measured ones the distributions' markers.
    """
    from matplotlib.lines import Line2D

    x, other = ("d", "bits") if len({row["d"] for row in rows}) > 1 else ("bits", "d")
    groups = _rows_of(rows)
    several = max(len({row["quantizer"] for row in group}) for group in groups) > 1
    own = {
        name: {row[other] for row in rows if row["quantizer"] == name} for name in {row["quantizer"] for row in rows}
    }
    values = sorted(set().union(*(v for v in own.values() if len(v) > 1)))  # a format has only one number of bits
    _fits(values, other, several)
    lines = dict(zip(values, LINES, strict=False)) if several else {}
    markers = dict(zip(dict.fromkeys(row["distribution"] for row in rows), MARKERS, strict=False))
    cells = list(itertools.product(groups, ("c", "kappa")))
    with picture(path, [_title(group, norm, len(groups) > 1) for group, norm in cells], columns=2, height=3.6) as drawn:
        figure, panels = drawn
        limits = {norm: _limits(rows, norm) for norm in ("c", "kappa")}
        for axes, (group, norm) in zip(panels, cells, strict=True):
            colours = _colours(group, other, several)
            series = list(dict.fromkeys((row["quantizer"], row[other]) for row in group))
            for i, (name, value) in enumerate(series):
                of = [r for r in group if r["norm"] == norm and (r["quantizer"], r[other]) == (name, value)]
                look = {"color": colours[name if several else value]}
                look["ls"] = lines.get(value, "-") if len(own[name]) > 1 else "-"
                _curve(axes, of, x, look, markers, (i - (len(series) - 1) / 2) / max(len(series), 4))
            _scales(axes, x, [row[x] for row in rows], limits[norm])
            if norm == "kappa":
                word = "{} bits" if other == "bits" else "d = {}"
                only = (
                    {k: f"{k}, {word.format(*own[k])}" if len(own[k]) == 1 and values else k for k in colours}
                    if several
                    else {}
                )
                texts = {k: only[k] if several else word.format(k) for k in colours}
                keys = [Line2D([], [], color=c, marker="_", label=texts[k]) for k, c in colours.items()]
                axes.legend(handles=keys, loc="upper left", bbox_to_anchor=(1.0, 1.0))
        keys = [
            Line2D([], [], color="black", marker="_", ms=9, label="declared"),
            Line2D([], [], color="black", ls="", marker="o", ms=8, mfc="none", label="searched"),
        ]
        keys += [Line2D([], [], color="black", ls="", marker=m, ms=4, label=f"{n}, mean") for n, m in markers.items()]
        if lines:
            keys += [Line2D([], [], color="black", ls=lines[v], label=word.format(v)) for v in values]
        legend_below(figure, keys, columns=6)


def _rows_of(rows: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Return the rows for each row of panels: one granularity, at most ``ROW`` quantizers."""
    groups = []
    for granularity in dict.fromkeys(row["granularity"] for row in rows):
        names = list(dict.fromkeys(row["quantizer"] for row in rows if row["granularity"] == granularity))
        for start in range(0, len(names), ROW):
            some = set(names[start : start + ROW])
            groups.append([row for row in rows if row["granularity"] == granularity and row["quantizer"] in some])
    return groups


def _fits(values: Sequence[int], other: str, several: bool) -> None:
    """Raise ValueError where there are more values than line styles or colours."""
    most, what = (len(LINES), "lines") if several else (len(COLOURS), "colours")
    if len(values) > most:
        hint = f"at most {most}, or a single --quantizer with {len(COLOURS)}" if several else f"at most {most}"
        raise ValueError(
            f"--plot can show {most} {what}, but --{other} has {len(values)} values beside another axis: pass {hint}"
        )


def _title(group: Sequence[dict[str, Any]], norm: str, which: bool) -> str:
    title = {"c": "c (squared 2-norm)", "kappa": "kappa (max norm)"}[norm]
    names = {row["quantizer"] for row in group}
    about = [*(names if len(names) == 1 else ()), *([str(group[0]["granularity"])] if which else ())]
    return "\n".join([title, ", ".join(about)]) if about else title


def _colours(group: Sequence[dict[str, Any]], other: str, several: bool) -> dict[Any, str]:
    """Return the colour of each quantizer, or of each number of bits (or d) where there is only one quantizer."""
    return dict(zip(dict.fromkeys(row["quantizer" if several else other] for row in group), COLOURS, strict=False))


def _curve(
    axes: Any, of: Sequence[dict[str, Any]], x: str, look: dict[str, Any], markers: dict[str, str], aside: float
) -> None:
    """Draw one quantizer at one setting. ``aside``, in [-1/2, 1/2], moves its points beside those of others."""

    def at(value: int) -> float:
        return float(value * 2 ** (0.5 * aside)) if x == "d" else value + 0.5 * aside

    worst = {at(row[x]): row["declared"] for row in of}
    axes.plot(list(worst), list(worst.values()), marker="_", ms=9, lw=1.2, **look)
    look = {"color": look["color"], "ls": ""}
    found = {at(row[x]): row["searched"] for row in of if row["searched"] is not None}
    axes.plot(list(found), list(found.values()), marker="o", ms=8, mfc="none", mew=0.8, **look)
    for name, marker in markers.items():
        points = [row for row in of if row["distribution"] == name]
        mean, low, high = (np.array([row[k] for row in points]) for k in ("mean", "low", "high"))
        spread = np.maximum([mean - low, high - mean], 0)
        axes.errorbar([at(p[x]) for p in points], mean, spread, marker=marker, ms=3.5, elinewidth=1, **look)


def _limits(rows: Sequence[dict[str, Any]], norm: str) -> tuple[float, float, bool]:
    """Return the smallest and the largest positive value that is drawn, and whether a zero is drawn."""
    keys = ("declared", "searched", "mean")
    drawn = [row[k] for row in rows if row["norm"] == norm for k in keys if row[k] is not None]
    positive = [v for v in drawn if v > NOTHING] or [1.0]
    return min(positive), max(positive), min(drawn) <= NOTHING


def _scales(axes: Any, x: str, values: Sequence[int], limits: tuple[float, float, bool]) -> None:
    low, high, zero = limits
    if zero:  # linear below the smallest value, so that 0 can be shown
        axes.set_yscale("symlog", linthresh=low)
        axes.set_ylim(-0.2 * low, 2 * high)
    else:
        axes.set(yscale="log", ylim=(low / 2, high * 2))
    if x == "d":
        doublings(axes, values)
    else:
        whole_numbers(axes)
        axes.set_xlim(min(values) - 0.6, max(values) + 0.6)
    axes.set_xlabel("d, entries of a sample" if x == "d" else "bits")
