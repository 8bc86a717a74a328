"""What the claims in colour share: every one is judged twice, and holds where it does by both judges.

The classifier that was trained here has learnt to ignore noise, and so does not see it where an arm adds little. The
other one is a ResNet-20 of other people, which sees it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from modiff_sim import Evidence

from .. import _rows

if TYPE_CHECKING:
    from modiff_sim.metrics.jackknife import Levels
    from modiff_sim.metrics.resampling import Interval

IN_COLOUR = "On the colour model (CIFAR-10, 3.6 M parameters, trained on one core of a CPU; a stand-in for the paper's)"
FEATURES = "in the features of a classifier trained here and in those of a ResNet-20 of other people"
TABLE = "cifar10"
FIFTY, TWENTY = "DDIM 50", "DDIM 20"  # columns of the table
#: whether the rows are those of the other judge -> its name
JUDGES = {False: "trained here", True: "ResNet-20"}


def cell(row: str, column: str = FIFTY) -> Any:
    """Return a cell of the table of the colour model."""
    return _rows.cells(TABLE, (row, column))[0]


def loss(row: str, column: str = FIFTY) -> Evidence:
    """Measure the loss of an arm over quantized weights alone, by both judges."""
    arm = cell(row, column)
    pair = (arm, arm.weights_only)
    found: list[Interval] = []
    units = []
    for outside in JUDGES:
        with _rows.judged_outside(outside):
            found.append(_rows.loss(TABLE, *pair))
            units.append(_rows.unit_of(TABLE, arm.full))
    labels = [f"{_rows.over(*pair)}, {judge}" for judge in JUDGES.values()]
    evidence = _rows.judged(TABLE, found, labels, _rows.NO_LOSS, pairs=[pair])
    return replace(evidence, params=evidence.params | {"unit": "; ".join(units)})


def order(arms: Sequence[str], judges: Sequence[bool] = tuple(JUDGES), column: str = FIFTY) -> Evidence:
    """Measure the excess of each arm over the next, which is claimed to be above 0, by both judges or by one."""
    cells = [cell(arm, column) for arm in arms]
    pairs = list(pairwise(cells))
    found: list[Levels] = []
    labels, premises = [], []
    for outside in judges:
        with _rows.judged_outside(outside):
            for pair in pairs:
                found.append(_rows.excess(TABLE, *pair))
                labels.append(f"{_rows.over(*pair)}, {JUDGES[outside]}")
                premises += [premise(TABLE, pair) for premise in (_rows.not_both_failed, _rows.one_has_a_loss)]
    return _rows.judged(TABLE, found, labels, 0.0, pairs=pairs, premises=premises)
