"""What the claims at 32×32 share: the words for the stand-in, and the cells of its table."""

from __future__ import annotations

from typing import Any

from .. import _rows

AT_32 = (
    "On the 32×32 model (Fashion-MNIST, 1.1 M parameters, trained on a CPU; a stand-in for the paper's CIFAR-10 and "
    "LSUN models)"
)
TABLE = "fashion32"


def cell(row: str, column: str) -> Any:
    """Return a cell of the table of the 32×32 model."""
    return _rows.cells(TABLE, (row, column))[0]
