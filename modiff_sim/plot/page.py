"""A finished figure made to fit a page: the width of a column, panels with letters, text of one size.

A figure is drawn for a wide page first. What is narrower has fewer panels side by side, since a panel below about two
inches cannot hold its numbers, and may show only some of them.
"""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from string import ascii_lowercase
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from ..arguments import number
from . import legends, room
from .style import SMALLEST

POINTS = 8.0  # of all text, at the final size
NARROWEST = 1.55  # inches that a panel needs
LETTERS_PER_INCH = 16.0  # of text below a figure
LINE = 0.14  # inches of a line of text
MANY_ROWS = 12  # labels at one axis, from which a panel is a table rather than a plot
TALLEST = 9.6  # inches of a page of usual papers


def letters(figure: Figure) -> dict[str, Axes]:
    """Return the panels of a figure by letter, in reading order; colour bars are none.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> figure = Figure()
    >>> _ = figure.subplots(2, 2)
    >>> list(letters(figure))
    ['a', 'b', 'c', 'd']
    """
    panels = [each for each in figure.axes if each.get_subplotspec() is not None and each.axison]
    return dict(zip(ascii_lowercase, panels, strict=False))


def fitted(figure: Figure, width: float, panels: Sequence[str] | None = None) -> Figure:
    """Change a figure to this width, with all text at 8 points and letters on its panels if there are several.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        The figure, which has constrained layout. It is changed.
    width : float
        Inches: 3.3 for a column and 6.8 for a page of usual papers.
    panels : sequence of str, optional
        The letters of the panels to show; by default all.

    Returns
    -------
    matplotlib.figure.Figure
        The same figure.

    Raises
    ------
    ValueError
        For a letter that no panel has, a width below that of one panel, and where so many panels would be taller than
        a page.
    """
    number("width", width, least=NARROWEST)
    known = letters(figure)
    if unknown := [each for each in panels or () if each not in known]:
        raise ValueError(f"there is no panel {unknown[0]!r}; the panels are {', '.join(known)}")
    _labels(figure, known, titles=panels is not None or figure.get_figwidth() > width)
    _legends(figure, [panel for letter, panel in known.items() if panels is None or letter in panels])
    for letter, panel in known.items():
        if panels is not None and letter not in panels:
            _remove(panel)
        elif len(known) > 1 and (panels is None or len(panels) > 1):
            where: Any = "center" if panel.get_title() else "left"
            if panel.get_title(loc=where).startswith(f"({letter})"):
                continue
            panel.set_title(f"({letter}) {panel.get_title(loc=where)}".strip(), loc=where)
    groups: list[Any] = list(figure.subfigs) or [figure]
    heights = [_arranged(group, width) for group in groups]
    for i, group in enumerate(groups):
        _text(group, width)
        heights[i] += _below_and_above(group) if heights[i] else 0.0
        if not heights[i]:
            group.set_visible(False)
    if figure.subfigs:
        spec: Any = figure.subfigs[0]._subplotspec  # type: ignore[attr-defined]
        spec.get_gridspec().set_height_ratios([max(each, 1e-3) for each in heights])
        _text(figure, width)
        heights.append(_below_and_above(figure))
    for panel in letters(figure).values():
        place: Any = panel.get_subplotspec()
        share = np.asarray(place.get_gridspec().get_width_ratios() or [1] * place.get_gridspec().ncols, float)
        _narrow(panel, width * share[place.colspan.start : place.colspan.stop].sum() / share.sum() - 0.5)
    if round(sum(heights), 1) > TALLEST:  # as the message says it
        these = ", ".join(map(_said, known, known.values()))
        tall = f"at {width:g} inches this is {sum(heights):.1f} inches tall, and a page {TALLEST}"
        raise ValueError(f"{tall}: choose some panels of: {these}")
    figure.set_size_inches(width, sum(heights))
    figure.draw_without_rendering()  # decides where everything is
    for panel in letters(figure).values():
        room.names(panel)
        room.above(panel)
    return figure


def noted(figure: Figure, notes: Mapping[Axes, Sequence[str]], before: str = "") -> None:
    """Write notes below a figure, one after the other; ``fitted`` leaves out those of panels that it cuts away."""
    about = {panel: list(said) for panel, said in notes.items() if said}
    if about:
        note = figure.supxlabel("", fontsize=SMALLEST, x=0.01, ha="left")
        note._notes = (before, about)  # type: ignore[attr-defined]
        _write(note)


def _write(note: Any) -> None:
    """Make the text of a note out of its parts."""
    before, about = note._notes
    said = "; ".join(each for part in about.values() for each in part)
    note.set_text(textwrap.fill(f"{before}{said}", 150) if said else "")  # mathtext counts letters that are not shown


def _said(letter: str, panel: Axes) -> str:
    """Return the letter of a panel with what it shows: its title, or else what is on its axis."""
    title = (panel.get_title() or panel.get_title(loc="left")).removeprefix(f"({letter})").strip()
    return f"({letter}) {' '.join((title or panel.get_ylabel()).split())}".strip()


def _remove(panel: Axes) -> None:
    """Remove a panel, its note, and the colour bars that were beside it and no other panel."""
    figure: Any = panel.get_figure(root=True)
    if hasattr(note := figure._supxlabel, "_notes"):
        note._notes[1].pop(panel, None)
        _write(note)
    panel.remove()
    for bar in [each for each in figure.axes if hasattr(each, "_colorbar_info")]:
        parents = [each for each in bar._colorbar_info["parents"] if each is not panel]
        if not parents:
            bar.remove()
        bar._colorbar_info["parents"] = parents  # by which constrained layout places it


def _labels(figure: Figure, panels: dict[str, Axes], *, titles: bool) -> None:
    """Give every panel the labels that it shares with the nearest of its row and its column that has such an axis.

    With ``titles`` it also gets the title of its column or, where that has none, of its row, if its own row has none.
    """
    places: dict[Axes, Any] = {panel: panel.get_subplotspec() for panel in panels.values()}
    had = {panel: next(filter(None, (panel.get_title(loc=where) for where in _TITLES)), "") for panel in places}
    for panel, place in places.items():
        same = [each for each, other in places.items() if other.get_gridspec() is place.get_gridspec()]
        column = [each for each in same if places[each].colspan == place.colspan]
        row = [each for each in same if places[each].rowspan == place.rowspan]
        below = [each for each in column if each.get_xlabel() and each.get_xscale() == panel.get_xscale()]
        beside = [each for each in row if each.get_ylabel() and each.get_yscale() == panel.get_yscale()]
        if not panel.get_xlabel() and below:
            panel.set_xlabel(
                min(below, key=lambda each: abs(places[each].rowspan.start - place.rowspan.start)).get_xlabel()
            )
        if not panel.get_ylabel() and beside:
            panel.set_ylabel(
                min(beside, key=lambda each: abs(places[each].colspan.start - place.colspan.start)).get_ylabel()
            )
        above = [had[each] for each in column if had[each]] or [had[each] for each in row if had[each]]
        if titles and above and not had[panel] and (not any(map(had.get, row)) or len(row) == 2):
            panel.set_title(above[0])


_TITLES: tuple[Any, ...] = ("center", "left")


def _legends(figure: Figure, shown: Sequence[Axes]) -> None:
    """Take the entries out of the legends of a figure and of its parts that no panel has which is shown."""
    groups: list[Any] = [figure, *figure.subfigs]
    for group in groups:
        panels = [each for each in letters(figure).values() if group is figure or each in group.axes]
        for legend in list(group.legends):
            handles = legend.legend_handles
            keep = legends.kept(handles, panels, [each for each in panels if each in shown])
            chosen = [(h, t.get_text()) for h, t, k in zip(handles, legend.get_texts(), keep, strict=True) if k]
            if len(chosen) == len(handles):
                continue
            title, columns = legend.get_title().get_text(), legend._ncols
            legend.remove()
            if chosen:
                made = group.legend(*map(list, zip(*chosen, strict=True)), loc="outside upper center", ncols=columns)
                made.set_title(title)


def _arranged(group: Any, width: float) -> float:
    """Put the panels of a figure, or of a part of it, side by side as far as they fit; returns the height they need."""
    panels = [each for each in group.axes if each.get_subplotspec() is not None]
    if not panels:
        return 0.0
    old = panels[0].get_subplotspec().get_gridspec()
    columns = max(1, min(old.ncols, len(panels), int(width // NARROWEST)))
    longest = max(len(each.get_title(loc)) for each in panels for loc in ("left", "center"))
    while columns > 1 and longest / LETTERS_PER_INCH > width / columns - 0.3:
        columns -= 1
    rows = -(-len(panels) // columns)
    as_it_was = columns == old.ncols and len(panels) == old.nrows * old.ncols
    for panel in panels:
        if not as_it_was and panel.axison:
            panel.tick_params(labelbottom=True, labelleft=True)
    high = max(min(2.1, max(1.4, 0.62 * width / columns)), *map(_lines_needed, panels))
    ratios = (old.get_height_ratios() or [1] * old.nrows) if as_it_was else [1] * rows
    grid = old if as_it_was else group.add_gridspec(rows, columns)
    for i, panel in enumerate(panels):
        if not as_it_was:
            panel.set_subplotspec(grid[i // columns, i % columns])
        panel.set_ylabel(textwrap.fill(panel.get_ylabel(), max(12, int(LETTERS_PER_INCH * high))))
    for i, panel in enumerate(panels):
        if i % columns and panel.get_ylabel() == panels[i - i % columns].get_ylabel():
            panel.set_ylabel("")
        if i + columns < len(panels) and panel.get_xlabel() == panels[i + columns].get_xlabel():
            panel.set_xlabel("")
    return float(high * sum(ratios) / max(ratios))


def _lines_needed(panel: Axes) -> float:
    """Return the inches that a panel with a label or text in every row needs, and a colour bar below it."""
    labels = sum(bool(text.get_text()) for text in panel.get_yticklabels())
    if labels < MANY_ROWS:
        return 0.0
    places = [getattr(text, "xy", text.get_position()) for text in panel.texts if text.get_text()]
    cells = Counter((round(x), round(y)) for x, y in places)
    lines = labels * max(cells.values(), default=1)  # some cells hold two texts
    bars = [each._colorbar_info for each in panel.figure.axes if hasattr(each, "_colorbar_info")]
    below = any(panel in each["parents"] and each["location"] in ("bottom", "top") for each in bars)
    return LINE * (lines + (5 if below else 0))


def _narrow(panel: Axes, width: float) -> None:
    """Wrap the titles, and leave out every second tick label where they would not fit side by side."""
    for where in _TITLES:
        if title := panel.get_title(loc=where):
            title = re.sub(r"(?<=\d) (?=bits?\b)", "\u00a0", title)  # values are not cut
            title = title.replace(" = ", "\u00a0=\u00a0")
            panel.set_title(textwrap.fill(title, max(16, int(LETTERS_PER_INCH * width))), loc=where, fontsize=POINTS)
    low, high = sorted(panel.get_xlim())
    labels = [text for text in panel.get_xticklabels() if text.get_text() and low <= text.get_position()[0] <= high]
    while len(labels) > 2 and sum(_letters(text) + 1.5 for text in labels) / LETTERS_PER_INCH > 0.85 * width:
        for text in labels[1::2]:
            text.set_visible(False)
        labels = labels[::2]


def _letters(text: Text) -> int:
    """How many letters wide a text is, about; what is between dollars has commands that are not shown."""
    return len(re.sub(r"\\[a-z]+|[${}^_]", "", text.get_text()))


def _text(group: Any, width: float) -> None:
    """Set all text to one size, wrap what is below the panels, and give legends as many columns as fit."""
    for text in group.findobj(Text):
        text.set_fontsize(POINTS)
    note = getattr(group, "_supxlabel", None)
    if note is not None and note.get_text():
        note.set_text(textwrap.fill(" ".join(note.get_text().split()), int(LETTERS_PER_INCH * width)))
    for legend in list(group.legends):
        texts = [text.get_text() for text in legend.get_texts()]
        longest = max((len(text) for text in texts), default=1)
        columns = int(np.clip(width * LETTERS_PER_INCH // (longest + 8), 1, len(texts)))
        title = legend.get_title().get_text()
        made = group.legend(
            handles=legend.legend_handles, labels=texts, loc="outside upper center", ncols=columns, columnspacing=1.2,
            borderaxespad=0.2, fontsize=POINTS,
        )  # fmt: skip
        if title:
            made.set_title(textwrap.fill(title, int(LETTERS_PER_INCH * width)), prop={"size": POINTS})
        legend.remove()


def _below_and_above(group: Any) -> float:
    """Return the inches that the legends and the note of a figure, or of a part of it, need."""
    lines = 0
    for legend in group.legends:
        columns = -(-len(legend.get_texts()) // legend._ncols)
        lines += columns + len(legend.get_title().get_text().splitlines())
    note = getattr(group, "_supxlabel", None)
    return 0.19 * (lines + (len(note.get_text().splitlines()) if note is not None else 0)) + 0.1 * len(group.legends)
