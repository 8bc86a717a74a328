"""Quality against cost: points with names, and the front of those that nothing beats in both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes

from . import style


class Point(NamedTuple):
    """An arm: its name, what it costs, how good it is, and its recursion, which decides its colour."""

    name: str
    cost: float
    quality: float
    recursion: str = "closed_loop"


def front(points: Sequence[Point], *, more_is_better: bool = True) -> list[Point]:
    """Return the points that no other one beats: as cheap and better, or cheaper and as good; by cost.

    Examples
    --------
    >>> [point.name for point in front([Point("a", 1, 10.0), Point("b", 2, 30.0), Point("c", 3, 20.0)])]
    ['a', 'b']
    """
    sign = 1 if more_is_better else -1
    found: list[Point] = []
    for point in sorted(points, key=lambda p: (p.cost, -sign * p.quality)):
        if not found or sign * point.quality > sign * found[-1].quality:
            found.append(point)
    return found


def arms(axes: Axes, points: Sequence[Point], *, more_is_better: bool = True) -> None:
    """Draw the points with their names in the colours of their recursions, and join those of the front."""
    best = front(points, more_is_better=more_is_better)
    axes.plot([p.cost for p in best], [p.quality for p in best], color=style.NEUTRAL[0], lw=1, zorder=2)
    looks = style.recursions(list(dict.fromkeys(point.recursion for point in points)))
    for name, look in looks.items():
        chosen = [point for point in points if point.recursion == name]
        axes.plot(
            [p.cost for p in chosen], [p.quality for p in chosen], ls="", marker=look.marker or "o", color=look.colour,
            ms=5, zorder=3, label=look.label,
        )  # fmt: skip
    for point in points:
        axes.annotate(
            point.name, (point.cost, point.quality), (6, 4), textcoords="offset points", fontsize=style.SMALLEST
        )
    axes.margins(x=0.15, y=0.12)


def percent(axes: Axes) -> None:
    """Write the numbers along x as shares in percent."""
    for kind in ("major", "minor"):
        getattr(axes.xaxis, f"set_{kind}_formatter")(lambda x, _: f"{100 * x:.3g} %")


def full_precision(axes: Axes, quality: float) -> None:
    """Draw the quality of full precision as a line, where it is finite and not 0."""
    if np.isfinite(quality) and quality != 0:
        axes.axhline(quality, color="black", lw=1, zorder=1)
