"""What the claims at 32×32 share: the words for the stand-ins, and the cells of their tables."""

from __future__ import annotations

from typing import Any

from .. import _rows

AT_32 = (
    "On the 32×32 model (Fashion-MNIST, 1.1 M parameters, trained on a CPU; a stand-in for the paper's CIFAR-10 and "
    "LSUN models)"
)
TABLE = "fashion32"
IN_COLOUR = "On the colour model (CIFAR-10, 3.6 M parameters, trained on one core of a CPU; a stand-in for the paper's)"
COLOUR_TABLE = "cifar10"


def cell(row: str, column: str, table: str = TABLE) -> Any:
    """Return a cell of the table of a 32×32 model, by default that of clothes."""
    return _rows.cells(table, (row, column))[0]
