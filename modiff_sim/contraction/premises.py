"""What a declared constant means for the theory: which of its conditions c and kappa meet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: the columns of the conditions: that of the sharp bounds of the closed loop, the paper's (31), and the max norm's
PREMISES = ("c_below_1", "c_at_most_half", "kappa_below_1")


def premises(c: float | None, kappa: float | None) -> dict[str, bool | None]:
    """The conditions that constants meet, None for those of a constant that is not known.

    Examples
    --------
    >>> from modiff_sim.contraction.premises import premises
    >>> premises(0.6, None)
    {'c_below_1': True, 'c_at_most_half': False, 'kappa_below_1': None}
    """
    met = [None if c is None else c < 1, None if c is None else 2 * c <= 1, None if kappa is None else kappa < 1]
    return dict(zip(PREMISES, met, strict=True))


def of_row(row: Mapping[str, Any]) -> dict[str, bool | None]:
    """The conditions that the declared constant of a row of the atlas meets; None for those of the other norm."""
    return premises(*(row["declared"] if row["norm"] == norm else None for norm in ("c", "kappa")))
