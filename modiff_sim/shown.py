"""What objects show of themselves: a few lines of text, a table in a notebook, a frame, pictures.

Frames are pandas' and pictures matplotlib's (extra [plot]); both are imported when they are asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib import import_module
from typing import Any, NamedTuple

from .names import meant

LINES, WIDTH = 10, 110  # of the text of an object, at most
ROWS = 12  # of its table in a notebook, at most
LEVELS = (0.05, 0.5, 0.95)  # of the quantiles over trials or samples that tables and pictures show


class Said(NamedTuple):
    """What an object says of itself.

    Attributes
    ----------
    title : str
        What it is.
    facts : mapping of str to object
        Its sizes and main numbers, by what they are.
    head, rows : sequence of str, iterable of sequences
        Its table, if it has one. All rows are given; the first ones are shown.
    """

    title: str
    facts: Mapping[str, Any]
    head: Sequence[str] = ()
    rows: Iterable[Sequence[Any]] = ()


class Shown:
    """Base class of objects that show themselves: it makes the text and the table out of ``_said()``.

    Examples
    --------
    >>> from modiff_sim.shown import Said, Shown
    >>> class Box(Shown):
    ...     def _said(self):
    ...         return Said("Box", {"size": 3, "share": 0.123456})
    >>> Box()
    Box
        size   3
        share  0.1235
    >>> Box()._repr_html_().startswith("<table>")
    True
    """

    def _said(self) -> Said:
        """What the object says of itself."""
        raise NotImplementedError  # pragma: no cover - abstract

    def __repr__(self) -> str:
        said = self._said()
        facts = [(_line(what), _line(text(value))) for what, value in said.facts.items()]
        width = max((len(what) for what, _ in facts), default=0)
        lines = [_line(said.title), *(f"    {what:<{width}}  {value}" for what, value in facts)]
        return "\n".join(line if len(line) <= WIDTH else f"{line[: WIDTH - 1]}…" for line in lines[:LINES])

    def _repr_html_(self) -> str:
        """The table that notebooks show."""
        said, left = self._said(), 'style="text-align: left"'
        rows = [
            f"<tr><th {left}>{escape(what)}</th><td {left}>{escape(text(v))}</td></tr>"
            for what, v in said.facts.items()
        ]
        parts = ["<table>", f"<caption {left}>{escape(said.title)}</caption>", *rows, "</table>"]
        if said.head:
            every = list(said.rows)
            parts += ["<table>", _row("th", said.head), *(_row("td", row) for row in every[:ROWS])]
            if len(every) > ROWS:
                parts.append(f'<tr><td colspan="{len(said.head)}">… and {len(every) - ROWS} more</td></tr>')
            parts.append("</table>")
        return "\n".join(parts)


def _line(words: str) -> str:
    """Return words in one line."""
    return " ".join(words.split())


def _row(cell: str, values: Iterable[Any]) -> str:
    return "<tr>" + "".join(f"<{cell}>{escape(text(value))}</{cell}>" for value in values) + "</tr>"


def text(value: Any) -> str:
    """The text of a value in a table: four digits of a float, a dash for None and NaN, names one after the other.

    Parameters
    ----------
    value : object
        The value.

    Returns
    -------
    str
        Its text.

    Examples
    --------
    >>> from modiff_sim.shown import text
    >>> text(0.123456), text(None), text(["a", "b"]), text(100)
    ('0.1235', '-', 'a, b', '100')
    """
    if value is None or (isinstance(value, float) and value != value):
        return "-"
    if isinstance(value, float):  # NumPy's float64 is one
        return f"{value:.4g}"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def aligned(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    r"""The lines of a table in text: names, in the first column, to the left, and all other columns to the right.

    Parameters
    ----------
    head : sequence of str
        What the columns are.
    rows : iterable of sequences
        Their values.

    Returns
    -------
    list of str
        A line for the head and for every row.

    Examples
    --------
    >>> from modiff_sim.shown import aligned
    >>> print("\n".join(aligned(["layer", "c"], [["conv_in", 0.25], ["head", 0.0625]])))
    layer         c
    conv_in    0.25
    head     0.0625
    """
    cells = [list(head), *([text(value) for value in row] for row in rows)]
    first, *widths = (max(map(len, column)) for column in zip(*cells, strict=True))
    return ["  ".join([f"{name:<{first}}", *(f"{v:>{w}}" for v, w in zip(rest, widths, strict=True))])
            for name, *rest in cells]  # fmt: skip


#: what means something else in LaTeX -> how it is written there
ESCAPED = {
    "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}", "\\": r"\textbackslash{}", "κ": r"$\kappa$", "±": r"$\pm$", "×": r"$\times$",
}  # fmt: skip


def latex(head: Sequence[str], rows: Iterable[Sequence[Any]], *, caption: str = "", label: str = "") -> str:
    r"""A table as a LaTeX environment for booktabs: names, in the first column, to the left, all others to the right.

    Parameters
    ----------
    head : sequence of str
        What the columns are.
    rows : iterable of sequences
        Their values.
    caption, label : str, optional
        The caption, as plain text, and the label; without one there is none.

    Returns
    -------
    str
        The environment.

    Examples
    --------
    >>> from modiff_sim.shown import latex
    >>> print(latex(["arm", "of full"], [["W8A8", "6.25%"]], caption="Cost", label="tab:cost"))
    \begin{table}[htbp]
    \centering
    \caption{Cost}
    \label{tab:cost}
    \begin{tabular}{lr}
    \toprule
    arm & of full \\
    \midrule
    W8A8 & 6.25\% \\
    \bottomrule
    \end{tabular}
    \end{table}
    """
    lines = [" & ".join(_escaped(text(value)) for value in row) + r" \\" for row in [head, *rows]]
    said = [rf"\caption{{{_escaped(caption)}}}"] * bool(caption) + [rf"\label{{{label}}}"] * bool(label)
    return "\n".join([
        r"\begin{table}[htbp]", r"\centering", *said, rf"\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}", r"\toprule",
        lines[0], r"\midrule", *lines[1:], r"\bottomrule", r"\end{tabular}", r"\end{table}",
    ])  # fmt: skip


def _escaped(words: str) -> str:
    """Return text for LaTeX, in which a number below 0 has a minus sign rather than a hyphen."""
    minus = words[:1] == "-" and words[1:2].isdigit()
    return "$-$" * minus + "".join(ESCAPED.get(letter, letter) for letter in words[minus:])


class Plots:
    """Base class of what is under ``plot``: one method per kind of picture.

    ``dir`` lists the kinds, and a kind that there is not is refused with the nearest one.
    """

    def __init__(self, of: Any) -> None:
        self._of = of

    def __dir__(self) -> list[str]:
        return kinds(type(self))

    def __repr__(self) -> str:
        return f"pictures of a {type(self._of).__name__}: {', '.join(dir(self))}"

    def __getattr__(self, name: str) -> Any:
        known = dir(self)
        raise AttributeError(f"no picture {name!r}; known: {', '.join(known)}{meant(name, known)}")


def kinds(plots: type[Plots]) -> list[str]:
    """The kinds of pictures of an accessor class, in the order of their definition."""
    return [name for kind in reversed(plots.__mro__) for name in vars(kind) if not name.startswith("_")]


def pictures(of: Any, module: str, name: str) -> Any:
    """The pictures of an object: the class of this name in this module, made for the object.

    The module is named by text, so that it is imported when it is asked for, and so that how something is drawn is no
    part of the code that decides its numbers.
    """
    return getattr(import_module(module), name)(of)


def frame(table: Any) -> Any:
    """The table as a pandas DataFrame.

    Parameters
    ----------
    table : sequence of mappings, or mapping
        Rows, or columns by name.

    Returns
    -------
    pandas.DataFrame
        The frame.

    Raises
    ------
    ImportError
        Where pandas is missing; it names the extra.

    Examples
    --------
    >>> from modiff_sim.shown import frame
    >>> frame([{"layer": "a", "bits": 4}, {"layer": "b", "bits": 3}]).bits.tolist()
    [4, 3]
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise ImportError("frames need pandas: pip install 'modiff-sim[plot]'") from error
    return pd.DataFrame(table)
