"""Which entries of a figure's legend its panels have: those of panels that are cut away would dangle."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.collections import Collection, LineCollection
from matplotlib.colors import same_color, to_hex
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

#: what a thing is drawn as ("line", "mark", "area" or "frame"), its colour, and its dashes or marker
Look = tuple[str, str, str]
OPAQUE = ", opaque "  # before how opaque it is, where it is not entirely
ANY = ""  # a colour, where a black or grey entry stands for curves of every colour


def kept(handles: Sequence[Any], every: Iterable[Axes], shown: Iterable[Axes]) -> list[bool]:
    """Whether each entry of a legend is about something in the panels that are shown.

    An entry is about what has its colour and its marker or dashes; else about areas of its colour; else, if it is black
    or grey, about what has its marker or dashes in any colour. One that is like nothing in any panel is kept.

    Parameters
    ----------
    handles : sequence of matplotlib.artist.Artist
        The entries.
    every, shown : iterable of matplotlib.axes.Axes
        All panels that the legend is of, and those that are shown.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> left, right = Figure().subplots(1, 2)
    >>> lines = left.plot([0, 1], "r-") + right.plot([0, 1], "b--")
    >>> kept(lines, [left, right], [right])
    [False, True]
    """
    found = {panel: set(_drawn(panel)) for panel in every}
    there = [found[panel] for panel in shown]
    keep = [_about(handle, list(found.values()), there) for handle in handles]
    own = [set(_looks(handle)) for handle in handles]
    told = {look for looks, k in zip(own, keep, strict=True) if k for look in looks}
    lines = {(kind, colour, how) for looks in there for kind, colour, how in looks if kind == "line" and colour}
    untold = {colour for _, colour, _ in lines - told if not _is_grey(colour)}
    by_area = [any(kind == "area" and colour in untold for kind, colour, _ in looks) for looks in own]
    return [k or area for k, area in zip(keep, by_area, strict=True)]  # an area in another panel explains a curve here


def _about(handle: Any, every: Sequence[set[Look]], shown: Sequence[set[Look]]) -> bool:
    """Whether an entry is about something that is shown, by the closest likeness that anything has."""
    own = set(_looks(handle))
    colours = {colour for _, colour, _ in own}
    areas = {("area", colour, "") for colour in colours}
    generic = {(kind, ANY, how) for kind, colour, how in own if _is_grey(colour)}
    for likeness in (own, areas, generic):
        if any(likeness & looks for looks in every):
            return any(likeness & looks for looks in shown)
    return True


def _drawn(panel: Axes) -> Iterator[Look]:
    """The looks of what is in a panel, each in its own colour and in any, and as opaque as it is or not."""
    for artist in (*panel.lines, *panel.collections, *panel.patches):
        for kind, colour, how in _looks(artist):
            for opaque in {how, how.partition(OPAQUE)[0]}:
                yield kind, colour, opaque
                yield kind, ANY, opaque


def _looks(artist: Any) -> Iterator[Look]:
    """The looks of one artist."""
    clear = "" if artist.get_alpha() in (None, 1.0) else f"{OPAQUE}{artist.get_alpha():.3g}"
    if isinstance(artist, Line2D):
        if artist.get_linestyle() not in ("None", "") and artist.get_linewidth() > 0:
            dashes: Any = artist
            yield "line", to_hex(artist.get_color()), f"{dashes._unscaled_dash_pattern}{clear}"
        if str(artist.get_marker()) not in ("None", ""):
            face: Any = artist.get_markerfacecolor()
            edge: Any = artist.get_markeredgecolor()
            hollow = same_color(face, "none") or same_color(face, "white")
            yield "mark", to_hex(edge), f"{artist.get_marker()} {hollow}{clear}"
    elif isinstance(artist, LineCollection):
        colours: Any = artist.get_colors()
        yield from (("line", to_hex(colour), str((0, None))) for colour in colours)
    elif isinstance(artist, Collection):
        artist.update_scalarmappable()
        areas: Any = artist.get_facecolor()
        yield from (("area", to_hex(colour), "") for colour in areas)
    elif isinstance(artist, Patch):
        inner, outer = artist.get_facecolor(), artist.get_edgecolor()
        filled = artist.get_fill() and not same_color(inner, "none")
        yield ("area", to_hex(inner), "") if filled else ("frame", to_hex(outer), "")


def _is_grey(colour: str) -> bool:
    return len({colour[1:3], colour[3:5], colour[5:7]}) == 1
