"""``Request``: which ranges ``calibrate`` is to make, checked before anything is sampled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch

from ...arguments import count
from ...names import one_of
from ..measure.histogram import Histogram
from .plans import TARGETS
from .ranges import METHODS, Range, choose, grid


@dataclass(frozen=True, kw_only=True)
class Request:
    """Ranges of which values, chosen how, and for which grids; the arguments of ``calibrate`` say more.

    Parameters
    ----------
    bits : int
        Bits of the codes.
    method, target : str
        ``quantizer`` and ``target`` of ``calibrate``.
    symmetric : bool
        Whether the grids are ``Static`` rather than ``StaticAffine``.
    groups : int or sequence of int
        How many groups of calls, or the first calls of the second, third, ... group.
    percentile : float
        For the method "percentile".
    cuts : mapping of str to int
        Layer -> channels of the first part.
    model : str
        The class of the model.

    Raises
    ------
    TypeError, ValueError
        For arguments that do not fit together.
    """

    bits: int
    method: str
    target: str
    symmetric: bool
    groups: int | Sequence[int]
    percentile: float
    cuts: Mapping[str, int]
    model: str

    def __post_init__(self) -> None:
        count("bits", self.bits)
        for what, given, known in (("target", self.target, TARGETS), ("quantizer", self.method, tuple(METHODS))):
            one_of(what, given, known)
        _boundaries(self.groups)
        unit = Histogram()
        unit.add(torch.tensor([-1.0, 1.0]))
        grid(self.range(unit), self.bits, self.symmetric)

    @property
    def firsts(self) -> tuple[int, ...]:
        """The first call of every group, or () where they follow from the number of calls."""
        return _boundaries(self.groups)

    def range(self, seen: Histogram) -> Range:
        """The range for the values of one stream."""
        return choose(self.method, seen, bits=self.bits, symmetric=self.symmetric, percentile=self.percentile)


def _boundaries(groups: int | Sequence[int]) -> tuple[int, ...]:
    """The first call of every group, or () where they follow from the number of calls."""
    if isinstance(groups, int):
        return (0,) if count("groups", groups) == 1 else ()
    starts = (0, *groups)
    if not all(isinstance(g, int) and not isinstance(g, bool) for g in starts) or any(
        a >= b for a, b in pairwise(starts)
    ):
        raise ValueError(
            f"groups must be an int >= 1 or the ascending calls >= 1 at which groups begin, got {groups!r}"
        )
    return starts
