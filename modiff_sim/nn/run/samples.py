"""How many samples the calls of a model have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from torch import nn

from ..layers import sample_axis, samples


class Samples:
    """The samples of the present model call, and those of all calls by the entrance of the model (see ``Calls``).

    In ``total`` a call without an array to tell counts as one sample.
    """

    def __init__(self, model: nn.Module) -> None:
        self._axis = sample_axis(model)
        self.present = 0
        self.total = Counter[int]()

    def begin(self, arguments: Mapping[str, Any], root: int) -> None:
        """A model call with these arguments begins."""
        self.present = samples(arguments, self._axis)
        self.total[root] += max(self.present, 1)

    @property
    def most(self) -> int:
        """Samples summed over the calls of the entrance that has most; 0 before the first call."""
        return max(self.total.values(), default=0)

    def snapshot(self) -> Mapping[int, int]:
        """The totals, which a failed model call must not change."""
        return dict(self.total)

    def restore(self, snapshot: Mapping[int, int]) -> None:
        """Go back to a snapshot."""
        self.total = Counter(snapshot)
