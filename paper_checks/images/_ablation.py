"""What the claims on Table 4 share: neighbours in the order of its columns."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from modiff_sim import Evidence

from .._rows import cells, excesses

ARMS = ("direct", "open loop", "closed loop")
COSTLY = ("no time path", "convolutions")  # without the layers of the timestep, which cost next to nothing


def order(name: str, selections: Sequence[str], row: str, arms: Sequence[str] | None = None) -> Evidence:
    """Measure by how much each arm exceeds the next, for every selection of layers.

    It is a premise that there is something to order: of two neighbours one has a loss, and not both have failed.
    """
    pairs = []
    for words in selections:
        found = cells(name, *((row, f"{words}: {arm}") for arm in arms or ARMS))
        pairs += list(pairwise(found))
    return excesses(name, pairs, ordered=True)
