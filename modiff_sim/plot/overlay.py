"""Several results on the same Axes: what differs between them is in their labels, and their markers tell them apart."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary, WeakSet

from matplotlib.artist import Artist
from matplotlib.axes import Axes

#: the marker of the first setting, of the second, and so on; none means that the picture has its usual ones
MARKERS = ("", "s", "^", "D", "v", "P", "X")
WIDEST = 80  # letters of a line of a title


class _Drawn(NamedTuple):
    """What was drawn of one result: its name and facts, and the artists with what their labels say behind the name."""

    name: str
    facts: Mapping[str, str]
    artists: list[tuple[Artist, str]]

    def on(self, axes: Axes) -> bool:
        """Whether it is still there."""
        return any(artist.axes is axes for artist, _ in self.artists)


_drawn: WeakKeyDictionary[Axes, list[_Drawn]] = WeakKeyDictionary()
_titled: WeakSet[Axes] = WeakSet()


@contextmanager
def result(axes: Axes, name: str, facts: Mapping[str, str], main: Sequence[str], *, titled: bool) -> Iterator[str]:
    """Yield the marker by which what is drawn within the block is told from other results on the Axes.

    Labels that begin with the name then say those facts behind it in which the results differ, also in what was drawn
    before.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Where the result is drawn.
    name : str
        How the labels begin, which decides the colour: the recursion.
    facts : mapping of str to str
        What was run: fact -> in words.
    main : sequence of str
        The facts that are always said where results differ in them, and by the title where they do not. Others are
        said where these do not tell the results apart.
    titled : bool
        Whether the Axes get a title; those of a user's own do not.

    Raises
    ------
    ValueError
        Where there are more settings on the Axes than markers.
    """
    if titled:
        _titled.add(axes)
    before = [each for each in _drawn.get(axes, []) if each.on(axes)]
    settings = [*dict.fromkeys(tuple(each.facts.items()) for each in before), tuple(facts.items())]
    place = settings.index(tuple(facts.items()))
    if place >= len(MARKERS):
        raise ValueError(f"these Axes show {len(MARKERS)} settings, more of which cannot be told apart: use others")
    there = set(axes.get_children())
    yield MARKERS[place]
    new = [artist for artist in axes.get_children() if artist not in there]
    begun = [(artist, str(artist.get_label()).removeprefix(name)) for artist in new if _is_of(artist, name)]
    _drawn[axes] = [*before, _Drawn(name, dict(facts), begun)]
    _tell_apart(axes, main)


def _is_of(artist: Any, name: str) -> bool:
    return str(artist.get_label()).startswith(name)


def _tell_apart(axes: Axes, main: Sequence[str]) -> None:
    """Write labels, and the title if it is ours, of what is on the Axes."""
    every = _drawn[axes]
    differ: list[str] = []
    for fact in dict.fromkeys([*main, *(fact for each in every for fact in each.facts)]):
        values = [each.facts.get(fact) for each in every]
        told = [tuple(each.facts.get(known) for known in differ) for each in every]
        if len({*values}) > 1 and (fact in main or len({*zip(told, values, strict=True)}) > len({*told})):
            differ.append(fact)
    for each in every:
        words = [each.name, *(each.facts[fact] for fact in differ if fact in each.facts)]
        for artist, rest in each.artists:
            artist.set_label(", ".join(words) + rest)
    if axes in _titled:
        same = [every[0].facts[fact] for fact in main if fact in every[0].facts and fact not in differ]
        axes.set_title(textwrap.fill(", ".join(same), WIDEST))
