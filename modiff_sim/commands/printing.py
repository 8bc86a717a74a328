"""What the commands print: aligned tables, JSON without NaN."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..sweeps import store


def cell(value: Any) -> str:
    """Return the text of a cell of a table."""
    if value is None:
        return "-"
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "NO"
    return f"{value:.4g}" if isinstance(value, (float, np.floating)) else str(value)


def table(head: list[str], rows: Iterable[Iterable[Any]]) -> None:
    """Print aligned columns. Names and laws are text and left-aligned, all others right-aligned."""
    cells = [head, *([cell(v) for v in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    text = {"name", "laws", "layer", "scheme", "granularity", "scale per", "quantizer", "distribution"}
    left = {i for i, name in enumerate(head) if name in text}
    for row in cells:
        line = [c.ljust(w) if i in left else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))]
        print("  ".join(line).rstrip())


def print_json(value: Any) -> int:
    """Print a value as JSON; returns the exit code 0."""

    def plain(v: Any) -> Any:
        """Return a value that JSON has: NaN becomes null, and infinity the text "inf" or "-inf"."""
        if isinstance(v, dict):
            return {k: plain(w) for k, w in v.items()}
        if isinstance(v, (list, tuple)):
            return [plain(w) for w in v]
        if isinstance(v, float) and not math.isfinite(v):
            return None if math.isnan(v) else str(v)
        return v

    print(json.dumps(plain(store.plain(value)), allow_nan=False))
    return 0
