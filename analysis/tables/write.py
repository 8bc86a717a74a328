"""A table as text, Markdown, CSV or LaTeX: ours with intervals, full precision beside, the paper's numbers apart."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from modiff_sim.sweeps.store import write_atomic

from ..metrics import mean_interval
from .cells import Cell
from .layouts import Table
from .rows import Rows

#: value -> how it is called
VALUES = {
    "frechet": "Fréchet distance", "kid": "kernel distance (unbiased MMD²)", "sliced_wasserstein": "sliced Wasserstein",
    "sliced_wasserstein_pixels": "sliced Wasserstein of pixels",
    "precision": "precision", "recall": "recall", "density": "density", "coverage": "coverage",
    "score": "classifier score", "recognised": "recognised share", "duplicates": "share of near-duplicates",
    "psnr": "PSNR to full precision, dB", "ssim": "SSIM to full precision",
    "relative_l2": "relative l2 to full precision",
    "gbops": "GBOPs per image", "mac_share": "share of MACs quantized", "activation_bits": "effective bits",
}  # fmt: skip
HEADING = "arm"


@dataclass(frozen=True)
class Number:
    """Mean over the seeds with the half-width of its 95 % t-interval; ``missing`` says why there is none."""

    mean: float = float("nan")
    half: float = float("nan")
    missing: str = ""

    def text(self, plus_minus: str = " ± ") -> str:
        if self.missing:
            return self.missing
        if not np.isfinite(self.mean):
            return "∞" if self.mean > 0 else "–"
        digits = max(0, 2 - int(np.floor(np.log10(abs(self.mean))))) if self.mean else 2
        digits = min(digits, 4)
        half = "" if not np.isfinite(self.half) else f"{plus_minus}{self.half:.{digits}f}"
        return f"{self.mean:.{digits}f}{half}"


def number(rows: Rows, table: Table, cell: Cell, value: str) -> Number:
    """A cell's number; "–" where it was not measured."""
    found = rows.values(cell, table.images, table.seeds, value)
    if found is None or np.isnan(found).all():
        return Number(missing="–")
    if np.isinf(found).any():
        return Number(mean=float("inf"))
    mean, low, high = mean_interval(found)
    return Number(mean, (high - low) / 2)


@dataclass(frozen=True)
class Page:
    """A table as strings: a header, the rows, and what has to be said below."""

    title: str
    header: list[str]
    lines: list[list[str]]
    notes: list[str]


def page(name: str, table: Table, rows: Rows, value: str) -> Page:
    """Ours row by row, the full-precision rows after them, then the paper's rows under their own heading."""
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
    table = [made.header, *made.lines]
    widths = [max(len(row[i]) for row in table) for i in range(len(made.header))]
    body = []
    for first, *rest in table:
        cells = [f"{v:>{w}}" for v, w in zip(rest, widths[1:], strict=True)]
        body.append("  ".join([f"{first:<{widths[0]}}", *cells]).rstrip())
    return "\n".join([made.title, "", body[0], "-" * len(body[0]), *body[1:], "", *made.notes, ""])


def as_markdown(made: Page) -> str:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"

    rule = "|---|" + "---:|" * (len(made.header) - 1)
    return "\n".join([f"### {made.title}", "", line(made.header), rule, *map(line, made.lines), "",
                      *(f"*{note}*" for note in made.notes), ""])  # fmt: skip


def as_csv(made: Page) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([made.header, *made.lines])
    return out.getvalue()


_ESCAPED = {"&": r"\&", "%": r"\%", "_": r"\_", "#": r"\#", "±": r"$\pm$", "×": r"$\times$", "∞": r"$\infty$",
            "²": r"$^2$", "³": r"$^3$", "–": "--", "é": r"\'e"}  # fmt: skip


def _latex(text: str) -> str:
    return "".join(_ESCAPED.get(letter, letter) for letter in text)


def as_latex(made: Page) -> str:
    """A booktabs table environment."""
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

Every table of the paper that a small trained model can be put through, on the models of the zoo, from committed rows
(`analysis/tables/committed`, one per cell and seed, with a manifest). The models stand in for the paper's: **what can
be compared is an order, a cliff, a ratio**, never a value; rows called "paper" are printed there and are never computed
with. Distances are in the features of classifiers trained here, **never FID**.

Made by `python -m analysis.tables --format markdown` (a test compares the two). Other values: `--value psnr`, `ssim`,
`kid`, `precision`, `coverage`, `gbops` and more; `--save DIR` writes every table as text, Markdown, CSV and LaTeX;
`--rerun` measures the rows again. The claims drawn from these rows are in [claims.md](claims.md).
"""


def document(pages: Mapping[str, Page]) -> str:
    """All tables as the page docs/tables.md."""
    return "\n".join([INTRODUCTION, *map(as_markdown, pages.values())])


ENDINGS = {"text": "txt", "markdown": "md", "csv": "csv", "latex": "tex"}


def save(pages: Mapping[str, Page], folder: Path) -> None:
    """Every table in every format, ``table_NAME.txt`` and so on."""
    for name, made in pages.items():
        for kind, form in FORMATS.items():
            write_atomic(folder / f"table_{name}.{ENDINGS[kind]}", form(made))
