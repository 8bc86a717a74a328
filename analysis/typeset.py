r"""Sentences with formulas in plain text, as pages show them: the formulas as TeX in Markdown, as MathML in HTML.

>>> markdown("where 2c ≤ 1, for every x: ||x - Q(x)||² ≤ c||x||²")
'where $2c\\le 1$, for every $x$: $\\lVert x-Q(x)\\rVert^{2}\\le c\\lVert x\\rVert^{2}$'
"""

from __future__ import annotations

import html
import importlib.util
import re
import unicodedata
from collections.abc import Iterator
from xml.etree import ElementTree

from .formulas import NUMBER, PROSE, read

#: a word with whatever belongs to it: conv_in, x.y, layer's, AbsMax(3)
WORD = re.compile(r"[^\W\d_][\w.]*\w(?:[-+]+\w+)*\+*(?:'s)?(?:\([^()\s]*\))?")
#: keeps the comma behind a formula on its line (U+2060)
JOINER = "&#8288;"
#: signs after which a line may break in a formula of more parts than ``LONG``
RELATIONS, SUMS, LONG = frozenset("=<>≤≥≈→←↦,"), frozenset("+−±"), 10


def parts(text: str) -> Iterator[tuple[str, str]]:
    r"""Yield (as written, TeX) of the pieces of a text in order; the TeX of prose is empty.

    Examples
    --------
    >>> list(parts("at most √c, as in (29)"))
    [('at most ', ''), ('√c', '\\sqrt{c}'), (', as in (29)', '')]
    """
    text = unicodedata.normalize("NFC", text)
    at = begun = 0
    while at < len(text):
        if found := read(text, at):
            tex, end = found
            if begun < at:
                yield text[begun:at], ""
            yield text[at:end], tex
            at = begun = end
        else:
            prose = PROSE.match(text, at) or WORD.match(text, at) or NUMBER.match(text, at)
            at = prose.end() if prose else at + 1
    if begun < at:
        yield text[begun:at], ""


def markdown(text: str) -> str:
    """Return a text with its formulas as ``$TeX$``, which GitHub and the site show as mathematics."""
    return "".join(f"${tex}$" if tex else said for said, tex in parts(text))


def in_html(text: str) -> str:
    """Return a text as HTML, with its formulas as MathML; as they are written where latex2mathml is not installed."""
    shown = importlib.util.find_spec("latex2mathml") is not None
    return "".join(mathml(tex) if tex and shown else html.escape(said, quote=False) for said, tex in parts(text))


def mathml(tex: str, display: str = "inline") -> str:
    """Return TeX as MathML for HTML, by latex2mathml; ``display`` is "inline" or "block".

    A long formula within a line is several elements, between which the line may break, because browsers do not break
    within one. Bars keep their size and touch what is between them: without a mathematical font, browsers stretch and
    move them.
    """
    from latex2mathml.converter import convert

    made = convert(re.sub(r"\\mathbb ([A-Z])", r"\\mathbb{\1}", tex), display=display)
    made = made.replace(' xmlns="http://www.w3.org/1998/Math/MathML"', "")
    made = re.sub(r"<mo>(&#x02016;|&#x0007C;)</mo>", r'<mo stretchy="false" lspace="0" rspace="0">\1</mo>', made)
    return made if display == "block" else _broken(made) + JOINER


def _broken(made: str) -> str:
    """Return one element, or the parts of a long one with a place for a line break between them."""
    row = ElementTree.fromstring(made)[0]
    if len(row) <= LONG:
        return made
    lines: list[list[ElementTree.Element]] = [[]]
    for part in row:
        sign = part.text if part.tag == "mo" else None
        before = "".join("".join(each.itertext()) for each in lines[-1])
        adds = bool(before) and lines[-1][-1].tag != "mo"  # and is not the sign of a number
        within = any(before.count(bar) % 2 for bar in "‖|")  # a norm or absolute value is not broken
        lines[-1].append(part)
        if not within and (sign in RELATIONS or (sign in SUMS and adds and before.count("(") == before.count(")"))):
            lines.append([])
    pieces = ("".join(ElementTree.tostring(part, "unicode") for part in line) for line in lines if line)
    return "<wbr>".join(f'<math display="inline"><mrow>{piece}</mrow></math>' for piece in pieces)
