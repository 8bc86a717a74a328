"""What the commands print: tables and sentences as wide as the terminal, CSV, and JSON without NaN.

Rows are the same in CSV and in JSON: a list of dictionaries from column to value. docs/commands.md describes both.
"""

from __future__ import annotations

import csv
import io
import json
import math
import shutil
import textwrap
from argparse import Namespace
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ..parsing import STDOUT
from ..sweeps import store
from . import written

WIDTH = 110  # columns of text at most, and of everything where the output is a file or a pipe
#: columns of tables that are text, and left-aligned
TEXT = frozenset({
    "quantizer", "laws", "layer", "scheme", "granularity", "distribution", "process", "recursion", "verdict",
})  # fmt: skip
#: what a Namespace of arguments holds besides the options that decide the numbers
OUTPUT = frozenset({"command", "parser", "given", "idle", "json", "csv", "plot"})


def width() -> int:
    """Return the columns of the terminal, or of the environment variable COLUMNS, or else ``WIDTH``."""
    return max(40, shutil.get_terminal_size((WIDTH, 24)).columns)


def say(text: str, indent: str = "") -> None:
    """Print a paragraph, cut into lines that the terminal can show. All but its first line are indented."""
    lines = textwrap.wrap(
        text, min(width(), WIDTH), subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    print("\n".join(lines))


def cell(value: Any) -> str:
    """Return the text of a cell of a table: numbers with four digits, so that those of a column are equally long."""
    if value is None:
        return "-"
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "NO"
    if not isinstance(value, (float, np.floating)):
        return str(value)
    return "0" if value == 0 else f"{value:#.4g}".removesuffix(".")


def table(head: Sequence[str], rows: Iterable[Iterable[Any]], keys: int = 1) -> None:
    """Print aligned columns, text to the left and numbers to the right.

    A table that is wider than the terminal is printed in several parts, each of which has the first ``keys`` columns.
    """
    cells = [list(head), *([cell(v) for v in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for i, part in enumerate(_parts(widths, keys)):
        if i:
            print()
        for row in cells:
            line = [row[k].ljust(widths[k]) if head[k] in TEXT else row[k].rjust(widths[k]) for k in part]
            print("  ".join(line).rstrip())


def _parts(widths: Sequence[int], keys: int) -> list[list[int]]:
    """Return which columns stand side by side: as few parts as fit, of about as many columns each."""
    others = range(keys, len(widths))
    for n in range(1, len(others) + 1):
        size = -(-len(others) // n)
        parts = [[*range(keys), *others[i : i + size]] for i in range(0, len(others), size)]
        if all(sum(widths[k] + 2 for k in part) - 2 <= width() for part in parts):
            return parts
    return [[*range(len(widths))]]  # the keys alone are too wide


def printed(chosen: Namespace, rows: Sequence[Mapping[str, Any]], **more: Any) -> bool:
    """Write the rows as JSON and CSV where this was asked for, and return whether one of them was printed.

    JSON is ``{"command": ..., "params": {...}, "rows": [...]}`` and what else there is. ``params`` are the options,
    null where they have no effect. Files are written before anything is printed.
    """
    made: dict[str, str] = {}
    if chosen.json:
        params = {name: value for name, value in vars(chosen).items() if name not in OUTPUT}
        params |= more.pop("params", {}) | dict.fromkeys(chosen.idle)
        made[chosen.json] = as_json({"command": chosen.command, "params": params, "rows": rows, **more})
    if chosen.csv:
        made[chosen.csv] = as_csv(rows)
    for path, content in made.items():
        if path != STDOUT:
            written.write(path, content)
    print(made.get(STDOUT, ""), end="")
    return STDOUT in made


def as_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as CSV under one header. None and NaN are empty, and numbers have all of their digits."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_without_nan(store.plain(row.get(name))) for name in columns])
    return out.getvalue()


def as_json(value: Any) -> str:
    """Return a value as a line of JSON: NaN becomes null, and infinity the text "inf" or "-inf"."""
    return json.dumps(_without_nan(store.plain(value)), allow_nan=False) + "\n"


def _without_nan(v: Any) -> Any:
    """Return the value with NaN replaced by None, and infinity by the text "inf" or "-inf"."""
    if isinstance(v, dict):
        return {k: _without_nan(w) for k, w in v.items()}
    if isinstance(v, (list, tuple)):
        return [_without_nan(w) for w in v]
    if isinstance(v, float) and not math.isfinite(v):
        return None if math.isnan(v) else str(v)
    return v
