"""What the claims on committed rows share: ratios of a value between cells, paired by seed, with a t-interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from modiff_sim import Evidence

Pair = tuple[Any, Any]  # two cells: the first is compared with the second


def log_ratios(name: str, pairs: Sequence[Pair], value: str = "frechet") -> np.ndarray:
    """Return log(value of the first cell/value of the second), float64 (pairs, seeds).

    Raises
    ------
    StoreError
        The table does not have rows, or lacks a cell.
    """
    from analysis.tables.layouts import TABLES
    from analysis.tables.rows import committed
    from modiff_sim.sweeps.store import StoreError

    table = TABLES[name]
    rows = committed(table.model)

    def values(cell: Any) -> np.ndarray:
        found = rows.values(cell, table.images, table.seeds, value)
        if found is None:
            raise StoreError(f"table {name!r} has no rows of {cell.label}: measure it with --rerun")
        return found

    return np.array([np.log(values(a) / values(b)) for a, b in pairs])


def ratios(name: str, pairs: Sequence[Pair], *, claimed: float, value: str = "frechet") -> Evidence:
    """Measure the geometric mean over seeds of each ratio, with its 95 % t-interval."""
    return judged(log_ratios(name, pairs, value), [f"{a.label} / {b.label}" for a, b in pairs], name, claimed, value)


def judged(logs: np.ndarray, labels: Sequence[str], name: str, claimed: float, value: str = "frechet") -> Evidence:
    """Return evidence from logarithms (cases, seeds)."""
    from analysis.metrics import mean_interval
    from analysis.tables.layouts import TABLES

    table = TABLES[name]
    found = np.exp([mean_interval(each) for each in logs])
    cases = [f"{label}: {m:.3g} [{low:.3g}, {high:.3g}]" for label, (m, low, high) in zip(labels, found, strict=True)]
    return Evidence(
        claimed,
        found[:, 0],
        low=found[:, 1],
        high=found[:, 2],
        cases=cases,
        seed=table.seeds[0],
        params={"table": name, "value": value, "images": table.images, "seeds": list(table.seeds)},
        note="; ".join(cases) if len(cases) <= 6 else "",
    )
