"""A table as text, Markdown, CSV or LaTeX: our numbers with intervals, full precision, and the paper's separately."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from modiff_sim.metrics import METRICS, jackknife
from modiff_sim.names import one_of
from modiff_sim.sweeps.store import StoreError, write_atomic

from .cells import Cell
from .layouts import Table
from .rows import Rows

EXCESS = "excess"  # of the Fréchet distance over full precision's
#: value -> its name in tables: the metrics of images, the excess, and what the audit counted
VALUES = {EXCESS: "excess of the Fréchet distance over full precision's, from the same noise"} | {
    name: metric.title for name, metric in METRICS.items() if metric.over != "trajectories"
} | {
    "gbops": "GBOPs per image", "mac_share": "share of MACs quantized", "activation_bits": "effective bits",
}  # fmt: skip
HEADING = "arm"


@dataclass(frozen=True)
class Number:
    """A value with the half-width of its 95 % interval. ``missing`` says why there is no number."""

    mean: float = float("nan")
    half: float = float("nan")
    missing: str = ""

    def text(self, plus_minus: str = " ± ") -> str:
        """Return the number as text, rounded so that its interval, or the number itself, has two digits."""
        if self.missing:
            return self.missing
        if not np.isfinite(self.mean):
            return "∞" if self.mean > 0 else "–"
        exact = not (np.isfinite(self.half) and self.half)
        digits = min(_digits(self.mean, 3) if exact else _digits(self.half, 2), 4)
        half = "" if not np.isfinite(self.half) else f"{plus_minus}{self.half:.{digits}f}"
        shown = f"{self.mean:.{digits}f}{half}"
        return shown.removeprefix("-") if not float(f"{self.mean:.{digits}f}") else shown


def _digits(x: float, wanted: int) -> int:
    """Return how many decimals show so many digits of x."""
    return max(0, wanted - 1 - int(np.floor(np.log10(abs(x))))) if x else 2


def number(rows: Rows, table: Table, cell: Cell, value: str) -> Number:
    """Return the number of a cell; "–" where it was not measured.

    Fréchet distances are without the bias of a finite n; their excess is taken in pairs from the same noise, and for
    full precision it is the distance itself.
    """
    metric = "frechet" if value == EXCESS else value
    found = rows.value(cell, table.images, table.seed, metric)
    if found is None or np.isnan(found):
        return Number(missing="–")
    if metric not in METRICS or np.isinf(found):
        return Number(found)
    pseudo = pseudo_values(rows, table, cell, value)
    at = jackknife.estimate(pseudo)
    return Number(at.value, at.high - at.value)


def pseudo_values(rows: Rows, table: Table, cell: Cell, value: str, images: int | None = None) -> np.ndarray:
    """Return a cell's pseudo-values, one per micro-batch, which are paired with those of every other cell.

    ``images`` is how many there are of the cell, by default those of the table. Raises StoreError where the cell, or
    what it is compared with, was not measured.
    """
    metric, n = "frechet" if value == EXCESS else value, images or table.images

    def of(each: Cell) -> np.ndarray:
        if (found := rows.jackknife(each, n, table.seed, metric)) is None:
            raise StoreError(f"there are no rows of {each.label} with {n} images: measure them with --rerun")
        return found.pseudo(unbiased=METRICS[metric].biased)

    return of(cell) - of(cell.full) if value == EXCESS and cell != cell.full else of(cell)


@dataclass(frozen=True)
class Page:
    """A table as strings: its name and title, a header, the rows, and the notes below it."""

    name: str
    title: str
    header: list[str]
    lines: list[list[str]]
    notes: list[str]


def page(name: str, table: Table, rows: Rows, value: str) -> Page:
    """Make the page: our rows, then what they are compared with, then the paper's under their own heading."""
    one_of("value", value, VALUES)
    columns = table.columns

    def ours(row: str, column: str) -> str:
        cell = table.cells.get((row, column))
        return "" if cell is None else number(rows, table, cell, value).text()

    lines = [[row, *(ours(row, column) for column in columns)] for row in table.rows]
    shown = set(table.cells.values())
    for base in (each for each in table.bases if each not in shown):
        at = number(rows, table, base, value).text()
        under = [
            any(base in (c.full, c.weights_only) for (_, column), c in table.cells.items() if column == here)
            for here in columns
        ]
        lines.append([base.label, *(at if here else "" for here in under)])
    if table.printed:
        lines += [
            [f"paper {row}", *(table.printed.get((row, c), "") for c in columns)]
            for row in dict.fromkeys(r for r, _ in table.printed)
        ]
    about = rows.manifest
    notes = [
        f"{VALUES[value]}{' (for full precision the distance itself)' if value == EXCESS else ''}; the {table.model} "
        f"model, which stands in for the paper's; {table.images} images per cell; ± half of the 95 % jackknife "
        f"interval; features: {about['features']}; never FID.",
    ]
    if table.closer:
        more = " and ".join(f"{len(cells)} from {n} images" for n, cells in table.closer.items())
        notes.append(f"Claims read some of these cells from more images than are shown: {more}.")
    if table.printed:
        said = f"Rows \u201cpaper\u201d are printed there, {table.of}: compare order, cliff and ratio, not values."
        notes.append(said)
    return Page(name, table.title, [HEADING, *columns], lines, notes)


def as_text(made: Page) -> str:
    """Return the table as aligned text."""
    table = [made.header, *made.lines]
    widths = [max(len(row[i]) for row in table) for i in range(len(made.header))]
    body = []
    for first, *rest in table:
        cells = [f"{v:>{w}}" for v, w in zip(rest, widths[1:], strict=True)]
        body.append("  ".join([f"{first:<{widths[0]}}", *cells]).rstrip())
    return "\n".join(
        [f"Table {made.name}: {made.title}", "", body[0], "-" * len(body[0]), *body[1:], "", *made.notes, ""]
    )


def as_markdown(made: Page) -> str:
    """Return the table as Markdown."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"

    rule = "|---|" + "---:|" * (len(made.header) - 1)
    return "\n".join([f"## Table {made.name}: {made.title}", "", line(made.header), rule, *map(line, made.lines), "",
                      *(f"*{note}*" for note in made.notes), ""])  # fmt: skip


def as_csv(made: Page) -> str:
    """Return the table as CSV."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([made.header, *made.lines])
    return out.getvalue()


_ESCAPED = {"&": r"\&", "%": r"\%", "_": r"\_", "#": r"\#", "±": r"$\pm$", "×": r"$\times$", "∞": r"$\infty$",
            "\u201c": "``", "\u201d": "''", "²": r"$^2$", "³": r"$^3$", "–": "--", "é": r"\'e"}  # fmt: skip


def _latex(text: str) -> str:
    """Return text for LaTeX, in which a number below 0 has a minus sign rather than a hyphen."""
    escaped = "".join(_ESCAPED.get(letter, letter) for letter in text)
    return f"$-${escaped[1:]}" if text[:1] == "-" and text[1:2].isdigit() else escaped


def as_latex(made: Page) -> str:
    """Return the table as a LaTeX table environment for booktabs, with a label.

    The caption is without the number, which LaTeX gives itself.
    """
    import pandas as pd

    frame = pd.DataFrame(made.lines, columns=[_latex(name) for name in made.header]).map(_latex)
    title = made.title[0].upper() + made.title[1:]
    text: str = frame.style.hide(axis="index").to_latex(
        hrules=True, column_format="l" + "r" * (len(made.header) - 1), position="htbp", position_float="centering",
        caption=_latex(f"{title}: {' '.join(made.notes)}"), label=f"tab:{made.name}",
    )  # fmt: skip
    return text


FORMATS: dict[str, Callable[[Page], str]] = {
    "text": as_text, "markdown": as_markdown, "csv": as_csv, "latex": as_latex,
}  # fmt: skip
INTRODUCTION = """# The paper's tables, measured

These are the tables of the paper that a small trained model can reproduce, for the models of the zoo, from committed
rows (`analysis/tables/committed`, one per cell, with a manifest). The models stand in for the paper's: **only orders,
cliffs and ratios can be compared**, never values. Rows called "paper" are printed there and are never computed with.
Distances are in the features of classifiers trained here, **never FID**.

A Fréchet distance of n images is too large by about b/n, which for the digits model is most of it: full precision's is
42 at n = 128, 6.1 at 2,048, 1.9 at 16,384, and 1.45 ± 0.45 without bias. What is shown is its excess over full
precision, in pairs from the same noise: the bias cancels, and most of the sampling noise with it. Intervals are those
of a jackknife that leaves out one micro-batch at a time. Distances are to the 1,797 real digits themselves: a perfect
model of all digits would be about 4 away from them (b/1,797), however many images it draws. This one was trained on
them. At 32×32 that is 0.2: of a distance of 21 with 30,000 images of clothes, and of 158 with 50,000 in colour.

This page is made by `make pages` (a test compares the two). `python -m analysis.tables --value` shows other values:
`frechet`, `psnr`, `ssim`, `kid`, `precision`, `coverage`, `gbops` and more. `--save DIR` writes every table as text,
Markdown, CSV and LaTeX, and `--rerun` measures the rows again. The claims drawn from these rows are in
[claims.md](claims.md).
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
