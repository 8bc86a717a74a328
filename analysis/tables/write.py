"""A table as text, Markdown, CSV or LaTeX: our numbers with intervals, full precision, and the paper's separately."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from modiff_sim.sweeps.store import write_atomic

from ..metrics import METRICS, mean_interval
from .cells import Cell
from .layouts import Table
from .rows import Rows

#: value -> its name in tables: the metrics of images, and what the audit counted
VALUES = {name: metric.title for name, metric in METRICS.items() if metric.over != "trajectories"} | {
    "gbops": "GBOPs per image", "mac_share": "share of MACs quantized", "activation_bits": "effective bits",
}  # fmt: skip
HEADING = "arm"


@dataclass(frozen=True)
class Number:
    """Mean over the seeds with the half-width of its 95 % t-interval. ``missing`` says why there is no number."""

    mean: float = float("nan")
    half: float = float("nan")
    missing: str = ""

    def text(self, plus_minus: str = " ± ") -> str:
        """Return the number as text, rounded to about three digits."""
        if self.missing:
            return self.missing
        if not np.isfinite(self.mean):
            return "∞" if self.mean > 0 else "–"
        digits = max(0, 2 - int(np.floor(np.log10(abs(self.mean))))) if self.mean else 2
        digits = min(digits, 4)
        half = "" if not np.isfinite(self.half) else f"{plus_minus}{self.half:.{digits}f}"
        return f"{self.mean:.{digits}f}{half}"


def number(rows: Rows, table: Table, cell: Cell, value: str) -> Number:
    """Return the number of a cell; "–" where it was not measured."""
    found = rows.values(cell, table.images, table.seeds, value)
    if found is None or np.isnan(found).all():
        return Number(missing="–")
    if np.isinf(found).any():
        return Number(mean=float("inf"))
    mean, low, high = mean_interval(found)
    return Number(mean, (high - low) / 2)


@dataclass(frozen=True)
class Page:
    """A table as strings: a header, the rows, and the notes below it."""

    title: str
    header: list[str]
    lines: list[list[str]]
    notes: list[str]


def page(name: str, table: Table, rows: Rows, value: str) -> Page:
    """Make the page: our rows, then those of full precision, then the paper's under their own heading."""
    if value not in VALUES:
        raise ValueError(f"unknown value {value!r}; known: {', '.join(VALUES)}")
    columns = table.columns

    def ours(row: str, column: str) -> str:
        cell = table.cells.get((row, column))
        return "" if cell is None else number(rows, table, cell, value).text()

    lines = [[row, *(ours(row, column) for column in columns)] for row in table.rows]
    full = list(dict.fromkeys(cell.full for cell in table.cells.values()))
    if not any(cell == cell.full for cell in table.cells.values()):
        for cell in full:
            shown = number(rows, table, cell, value).text()
            same = [
                c for c in columns if any((r, c) in table.cells and table.cells[r, c].full == cell for r in table.rows)
            ]
            lines.append([f"full precision ({cell.ground})", *(shown if c in same else "" for c in columns)])
    if table.printed:
        lines += [
            [f"paper {row}", *(table.printed.get((row, c), "") for c in columns)]
            for row in dict.fromkeys(r for r, _ in table.printed)
        ]
    about = rows.manifest
    notes = [
        f"{VALUES[value]} of the {table.model} model, which stands in for the paper's; {table.images} images per cell "
        f"and seed, mean over {len(table.seeds)} seeds ± half of the 95 % t-interval; features: {about['features']}; "
        "never FID.",
    ]
    if table.printed:
        said = f"Rows \u201cpaper\u201d are printed there, {table.of}: compare order, cliff and ratio, not values."
        notes.append(said)
    return Page(f"Table {name}: {table.title}", [HEADING, *columns], lines, notes)


def as_text(made: Page) -> str:
    """Return the table as aligned text."""
    table = [made.header, *made.lines]
    widths = [max(len(row[i]) for row in table) for i in range(len(made.header))]
    body = []
    for first, *rest in table:
        cells = [f"{v:>{w}}" for v, w in zip(rest, widths[1:], strict=True)]
        body.append("  ".join([f"{first:<{widths[0]}}", *cells]).rstrip())
    return "\n".join([made.title, "", body[0], "-" * len(body[0]), *body[1:], "", *made.notes, ""])


def as_markdown(made: Page) -> str:
    """Return the table as Markdown."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"

    rule = "|---|" + "---:|" * (len(made.header) - 1)
    return "\n".join([f"### {made.title}", "", line(made.header), rule, *map(line, made.lines), "",
                      *(f"*{note}*" for note in made.notes), ""])  # fmt: skip


def as_csv(made: Page) -> str:
    """Return the table as CSV."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([made.header, *made.lines])
    return out.getvalue()


_ESCAPED = {"&": r"\&", "%": r"\%", "_": r"\_", "#": r"\#", "±": r"$\pm$", "×": r"$\times$", "∞": r"$\infty$",
            "²": r"$^2$", "³": r"$^3$", "–": "--", "é": r"\'e"}  # fmt: skip


def _latex(text: str) -> str:
    return "".join(_ESCAPED.get(letter, letter) for letter in text)


def as_latex(made: Page) -> str:
    """Return the table as a LaTeX table environment for booktabs."""
    body = [" & ".join(map(_latex, line)) + r" \\" for line in (made.header, *made.lines)]
    return "\n".join([
        r"\begin{table}", r"\centering", rf"\caption{{{_latex(made.title)}. {_latex(' '.join(made.notes))}}}",
        rf"\begin{{tabular}}{{l{'r' * (len(made.header) - 1)}}}", r"\toprule", body[0], r"\midrule", *body[1:],
        r"\bottomrule", r"\end{tabular}", r"\end{table}", "",
    ])  # fmt: skip


FORMATS: dict[str, Callable[[Page], str]] = {
    "text": as_text, "markdown": as_markdown, "csv": as_csv, "latex": as_latex,
}  # fmt: skip
INTRODUCTION = """# The paper's tables, measured

These are the tables of the paper that a small trained model can reproduce, for the models of the zoo, from committed
rows (`analysis/tables/committed`, one per cell and seed, with a manifest). The models stand in for the paper's: **only
orders, cliffs and ratios can be compared**, never values. Rows called "paper" are printed there and are never computed
with. Distances are in the features of classifiers trained here, **never FID**.

This page is made by `make pages` (a test compares the two). `python -m analysis.tables --value` shows other values:
`psnr`, `ssim`, `kid`, `precision`, `coverage`, `gbops` and more. `--save DIR` writes every table as text, Markdown, CSV
and LaTeX, and `--rerun` measures the rows again. The claims drawn from these rows are in [claims.md](claims.md).
"""


def document(pages: Mapping[str, Page]) -> str:
    """Return all tables as the page docs/tables.md."""
    return "\n".join([INTRODUCTION, *map(as_markdown, pages.values())])


ENDINGS = {"text": "txt", "markdown": "md", "csv": "csv", "latex": "tex"}


def save(pages: Mapping[str, Page], folder: Path) -> None:
    """Write every table in every format, as ``table_NAME.txt`` and so on."""
    for name, made in pages.items():
        for kind, form in FORMATS.items():
            write_atomic(folder / f"table_{name}.{ENDINGS[kind]}", form(made))
