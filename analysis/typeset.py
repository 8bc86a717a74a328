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

from .formulas import BREAK, NUMBER, PROSE, read

#: a word with whatever belongs to it: conv_in, x.y, layer's, AbsMax(3)
WORD = re.compile(r"[^\W\d_][\w.]*\w(?:[-+]+\w+)*\+*(?:'s)?(?:\([^()\s]*\))?")
#: a formula of more characters may be broken into lines
LONG = 24


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
    return "".join(f"${tex.replace(BREAK, '')}$" if tex else said for said, tex in parts(text))


def in_html(text: str) -> str:
    """Return a text as HTML, with its formulas as MathML; as they are written where latex2mathml is not installed.

    A long formula is several elements, between which a line may break, because browsers do not break within one.
    """
    shown = importlib.util.find_spec("latex2mathml") is not None
    return "".join(_broken(said, tex) if tex and shown else html.escape(said, quote=False) for said, tex in parts(text))


def _broken(said: str, tex: str) -> str:
    return "<wbr>".join(map(mathml, tex.split(BREAK) if len(said) > LONG else [tex.replace(BREAK, "")]))


def mathml(tex: str, display: str = "inline") -> str:
    """Return TeX as MathML for HTML, by latex2mathml; ``display`` is "inline" or "block".

    Bars keep their size and touch what is between them: without a mathematical font, browsers stretch and move them.
    """
    from latex2mathml.converter import convert

    text = convert(tex, display=display).replace(' xmlns="http://www.w3.org/1998/Math/MathML"', "")
    return re.sub(r"<mo>(&#x02016;|&#x0007C;)</mo>", r'<mo stretchy="false" lspace="0" rspace="0">\1</mo>', text)
