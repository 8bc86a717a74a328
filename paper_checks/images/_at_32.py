"""What the claims at 32×32 share: the words for the stand-in, the cells of its table, and the loss of one."""

from __future__ import annotations

from typing import Any

from modiff_sim import Evidence

from .. import _rows

AT_32 = (
    "On the 32×32 model (Fashion-MNIST, 1.1 M parameters, trained on a CPU; a stand-in for the paper's CIFAR-10 and "
    "LSUN models)"
)
TABLE = "fashion32"


def cell(row: str, column: str) -> Any:
    """Return a cell of the table of the 32×32 model."""
    return _rows.cells(TABLE, (row, column))[0]


def loss(row: str, column: str) -> Evidence:
    """Measure the loss of an arm over quantized weights alone."""
    arm = cell(row, column)
    return _rows.losses(TABLE, [(arm, arm.weights_only)], claimed=_rows.NO_LOSS)
