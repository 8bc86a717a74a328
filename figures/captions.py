"""The caption of chosen panels: what it says of the others is left out, and places become letters."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

#: how a part begins that says where its panels are
PLACE = re.compile(r"(?:left|right|top|bottom|upper|lower|above|below)\b[^:,]*[:,]|\([a-z]\)", re.IGNORECASE)


def of_panels(caption: str, parts: Mapping[str, str], panels: Sequence[str]) -> str:
    """Return a caption without what it says of other panels than these.

    Parameters
    ----------
    caption : str
        The caption of the whole figure.
    parts : mapping of str to str
        How a part of it begins, in order -> the letters of the panels that it is about, "" for all of them. What does
        not occur is passed over.
    panels : sequence of str
        The letters that are shown.

    Examples
    --------
    >>> parts = {"Left: ": "a", "Right: ": "b", "Dashed": ""}
    >>> of_panels("Errors. Left: of c. Right: of kappa. Dashed: bounds.", parts, ["b"])
    'Errors. Of kappa. Dashed: bounds.'
    >>> of_panels("Errors. Upper row: of c. Lower row: of kappa.", {"Upper row: ": "ab", "Lower row: ": "cd"}, "ac")
    'Errors. (a) Of c. (c) Of kappa.'
    """
    begins, at = [], 0
    for begin, letters in parts.items():
        if (place := caption.find(begin, at)) >= 0:
            begins.append((place, letters))
            at = place + len(begin)
    if not begins:
        return caption
    ends = [place for place, _ in begins[1:]] + [len(caption)]
    said = [caption[: begins[0][0]]]
    for (place, letters), end in zip(begins, ends, strict=True):
        shown = [letter for letter in letters if letter in panels]
        if shown or not letters:
            said.append(_said(caption[place:end], letters, shown, len(panels)))
    return " ".join(part.strip() for part in said if part.strip())


def _said(text: str, letters: str, shown: Sequence[str], panels: int) -> str:
    """Return a part with letters in place of its place, and without any where one panel is shown or it is of all."""
    text, place = text.strip(), PLACE.match(text)
    if text.endswith(";"):  # the rest of the sentence is another part
        text = f"{text[:-1]}."
    if not letters or place is None:
        return text
    rest = text[place.end() :].strip()
    if rest[:2].isalpha() or rest.startswith("a "):  # a symbol keeps its case
        rest = rest[:1].upper() + rest[1:]
    return rest if panels == 1 else f"{', '.join(f'({letter})' for letter in shown)} {rest}"
