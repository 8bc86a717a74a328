"""Quality against cost: points with names, and the front of those that nothing beats in both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.text import Annotation
from matplotlib.ticker import FuncFormatter, Locator, MaxNLocator, NullFormatter
from matplotlib.transforms import Bbox, blended_transform_factory

from . import style

#: what it means that an arm lies at the edge of the costs, and of the qualities: with some images or with all of them
BEYOND = ("costs nothing", "equal in the median", "equal")


class Point(NamedTuple):
    """An arm: its name, what it costs, how good it is, and its recursion, which decides its colour.

    ``equal`` says whether all of its images are equal to those that it is compared with.
    """

    name: str
    cost: float
    quality: float
    recursion: str = "closed_loop"
    equal: bool = False


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
    """Draw the points with their names in the colours of their recursions, and join those of the front.

    The scales of the Axes are set before. What they cannot show (an infinite value, or 0 on a logarithmic axis) is an
    arrow at the edge, with its name.
    """
    places = [_place(axes, point) for point in points]
    best = [point for point in front(points, more_is_better=more_is_better) if not any(_place(axes, point).edge)]
    axes.plot([p.cost for p in best], [p.quality for p in best], color=style.NEUTRAL[0], lw=1, zorder=2)
    looks = style.recursions(list(dict.fromkeys(point.recursion for point in points)))
    for name, look in looks.items():
        chosen = [(place, point.equal) for point, place in zip(points, places, strict=True) if point.recursion == name]
        inner = [place for place, _ in chosen if not any(place.edge)]
        options: dict[str, Any] = {"ls": "", "color": look.colour, "ms": 5, "zorder": 3}
        axes.plot(
            [p.x for p in inner], [p.y for p in inner], marker=look.marker or "o", label=look.label, **options
        )  # fmt: skip
        for place, equal in chosen:
            if any(place.edge):
                options |= {"marker": _arrow(place.edge, equal), "ms": 9}
                axes.plot(place.x, place.y, transform=_transform(axes, place), **options)
    beyond = [(place.edge, point.equal) for point, place in zip(points, places, strict=True)]
    for says, along, kinds in zip(BEYOND, (0, 1, 1), ((False, True), (False,), (True,)), strict=True):
        if edge := next((edge for edge, equal in beyond if edge[along] and equal in kinds), None):
            arrow = _arrow((edge[0] * (1 - along), edge[1] * along), says == BEYOND[2])
            axes.plot([], [], ls="", marker=arrow, ms=9, color=style.NEUTRAL[1], label=says)
    axes.margins(x=0.15, y=0.12)
    for axis, edges in ((axes.xaxis, [p.edge[0] for p in places]), (axes.yaxis, [p.edge[1] for p in places])):
        if all(edges):  # no number is shown
            axis.set_ticks([])
            axis.set_ticks([], minor=True)
    _names(axes, [point.name for point in points], places)


class _Place(NamedTuple):
    """Where a point is drawn: in data, or along an axis that cannot show it at the edge, in the axis's fractions."""

    x: float
    y: float
    edge: tuple[int, int]  # along x and y: -1 at the lower end, 1 at the upper one, 0 within


_BESIDE = 0.03  # of an axis: how far from its end what lies at the edge is drawn


def _place(axes: Axes, point: Point) -> _Place:
    found, edges = [], []
    for value, scale in ((point.cost, axes.get_xscale()), (point.quality, axes.get_yscale())):
        low = value == -np.inf or (scale == "log" and value <= 0)
        edge = -1 if low else int(value == np.inf)
        edges.append(edge)
        found.append({-1: _BESIDE, 0: value, 1: 1 - _BESIDE}[edge])
    return _Place(found[0], found[1], (edges[0], edges[1]))


def _arrow(edge: tuple[int, int], equal: bool) -> str:
    """Return the marker of what lies beyond an edge, which is that along y where there are two: double if equal."""
    x, y = edge
    way = {-1: "down", 1: "up"}.get(y) or {-1: "left", 1: "right"}[x]
    return rf"$\{way.title() if equal and y else way}arrow$"


def _transform(axes: Axes, place: _Place) -> Any:
    x, y = (axes.transAxes if edge else axes.transData for edge in place.edge)
    return blended_transform_factory(x, y)


#: points from a point to its name, and which corner of the name is there; the first that is free is taken
_CORNERS = (
    (6, 4, "left", "bottom"), (6, -4, "left", "top"), (-6, 4, "right", "bottom"), (-6, -4, "right", "top"),
    (0, 7, "center", "bottom"), (0, -7, "center", "top"), (9, 14, "left", "bottom"), (9, -14, "left", "top"),
    (-9, 14, "right", "bottom"), (-9, -14, "right", "top"), (12, 26, "left", "bottom"), (12, -26, "left", "top"),
)  # fmt: skip
_FAR = 10.0  # points: a name that is this far away has a line to its point


def _names(axes: Axes, names: Sequence[str], places: Sequence[_Place]) -> None:
    """Write the name of each point beside it, where it covers no point, line or other name, if there is room."""
    axes.get_xlim(), axes.get_ylim()  # limits follow from what was drawn when they are asked for
    figure: Any = axes.figure
    each = 4 * figure.dpi / 72  # pixels around the middle of a point
    at = [_transform(axes, place).transform((place.x, place.y)) for place in places]
    taken = [Bbox.from_extents(x - each, y - each, x + each, y + each) for x, y in at]
    lines = [line.get_path().transformed(line.get_transform()) for line in axes.lines if line.get_linestyle() != "None"]
    for name, place in zip(names, places, strict=True):
        there: dict[str, Any] = {"xy": place[:2], "xycoords": _transform(axes, place), "textcoords": "offset points"}
        made = axes.annotate(name, xytext=(0, 0), fontsize=style.SMALLEST, **there)
        found = []
        for corner in _CORNERS:
            box = _put(made, corner).padded(1)
            outside = box.y1 > axes.bbox.y1 or box.y0 < axes.bbox.y0 or box.x0 < axes.bbox.x0
            crossed = sum(line.intersects_bbox(box, filled=False) for line in lines)
            found.append(sum(box.overlaps(other) for other in taken) + crossed + outside)
            if not found[-1]:
                break
        corner = _CORNERS[int(np.argmin(found))]
        taken.append(_put(made, corner))
        if np.hypot(*corner[:2]) > _FAR:
            line = {"arrowstyle": "-", "color": style.NEUTRAL[1], "lw": 0.5, "shrinkA": 0, "shrinkB": 3}
            axes.annotate("", xytext=corner[:2], arrowprops=line, **there)


def _put(text: Annotation, corner: tuple[int, int, str, str]) -> Bbox:
    """Put a text beside its point, and return the pixels that it takes."""
    right, up, across, along = corner
    text.set(position=(right, up), ha=across, va=along)
    return text.get_window_extent()


#: which multiples of powers of ten have a number, from few to many: as few as give ``LEAST`` numbers
_NUMBERED = ((1,), (1, 3), (1, 2, 5), (1, 2, 3, 5, 7), tuple(range(1, 10)))
LEAST = 4  # numbers along an axis


class Few(Locator):
    """Few ticks along a logarithmic axis, wherever it begins and ends: at decades, or at round numbers between.

    Examples
    --------
    >>> Few().tick_values(1e-3, 2), [round(tick, 3) for tick in Few().tick_values(0.05, 0.2)]
    ([0.001, 0.01, 0.1, 1.0], [0.05, 0.07, 0.1, 0.2])
    """

    def __call__(self) -> list[float]:
        """Return the ticks within the limits of the axis."""
        return self.tick_values(*sorted(self.axis.get_view_interval()))  # type: ignore[union-attr]

    def tick_values(self, vmin: float, vmax: float) -> list[float]:
        """Return the ticks between two values."""
        decades = 10.0 ** np.arange(np.floor(np.log10(vmin)), np.ceil(np.log10(vmax)) + 1)
        every = [np.sort(np.outer(decades, numbers).ravel()) for numbers in _NUMBERED]
        linear = [MaxNLocator(nbins=n, steps=[1, 2, 5, 10]).tick_values(vmin, vmax) for n in range(LEAST, 2 * LEAST)]
        found = [_within(np.array(ticks), vmin, vmax) for ticks in (*every, *linear)]
        return next((ticks for ticks in found if len(ticks) >= LEAST), found[-1])


def _within(ticks: np.ndarray, low: float, high: float) -> list[float]:
    found: list[float] = ticks[(ticks >= low * (1 - 1e-9)) & (ticks <= high * (1 + 1e-9))].tolist()
    return found


def few(axis: Axis, *, percent: bool = False) -> None:
    """Write few numbers along a logarithmic axis, as shares in percent or as they are."""
    times, unit = (100, " %") if percent else (1, "")
    axis.set_major_locator(Few())
    axis.set_major_formatter(FuncFormatter(lambda x, _: f"{times * x:.6g}{unit}"))
    axis.set_minor_formatter(NullFormatter())


def full_precision(axes: Axes, quality: float) -> None:
    """Draw the quality of full precision as a line, where it is finite and not 0."""
    if np.isfinite(quality) and quality != 0:
        axes.axhline(quality, color="black", lw=1, zorder=1)
