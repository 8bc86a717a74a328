"""What the figures of committed rows share: their key and the rows."""

from __future__ import annotations

from typing import Any

from analysis.tables.layouts import TABLES, Table
from analysis.tables.rows import COMMITTED, Rows, committed
from modiff_sim.sweeps.store import StoreError, sha256


def params(table: Table) -> dict[str, dict[str, Any]]:
    """Return effort -> what decides the data, which are the same rows at every effort."""
    file = COMMITTED / table.model / "rows.csv"
    about = {"rows": sha256(file) if file.is_file() else "absent", "seed": table.seed, "images": table.images}
    return {"quick": about, "full": about}


def rows(name: str) -> Rows:
    """Return the rows of a table. Raises StoreError where one of its cells was not measured."""
    table = TABLES[name]
    found = committed(table.model)
    for cell in table.cells.values():
        if found.value(cell, table.images, table.seed, "frechet") is None:
            raise StoreError(f"table {name!r} has no rows of {cell.label}: measure it with --rerun")
    return found
