"""The base class of the granularities, and what they share."""

from __future__ import annotations

import math
from numbers import Integral
from typing import Any, Self

Shape = tuple[int, ...]


class Granularity:
    """Base class of the granularities, each of which says how a shape is blocked.

    Examples
    --------
    >>> import modiff_sim as ms
    >>> ms.PerSample().scale_shape((8, 64, 16, 16)), ms.PerSample().block_size((8, 64, 16, 16))
    ((8, 1, 1, 1), 16384)
    """

    def blocked(self, shape: Shape) -> tuple[Shape, Shape]:
        """The blocked shape, and the axes of it that share a scale; raises ValueError where the shape does not fit."""
        raise NotImplementedError  # pragma: no cover - abstract

    def scale_shape(self, shape: Shape) -> Shape:
        """Shape of the scale for an array of this shape (broadcasts against the blocked shape)."""
        blocks, axes = self.blocked(shape)
        return tuple(1 if i in axes else n for i, n in enumerate(blocks))

    def block_size(self, shape: Shape) -> int:
        """d: how many entries share one scale."""
        blocks, axes = self.blocked(shape)
        return math.prod(blocks[i] for i in axes)

    @classmethod
    def example(cls) -> Self:
        """A granularity of this class that fits every array of two axes or more: property tests are run with it."""
        return cls()


def axes_except(shape: Shape, kept: set[int]) -> Shape:
    """All axes of the shape but these."""
    return tuple(i for i in range(len(shape)) if i not in kept)


def need_axes(granularity: Granularity, shape: Shape, least: int, hint: str) -> None:
    """Raise ValueError, with the hint, for a shape of fewer axes."""
    if len(shape) < least:
        raise ValueError(f"{granularity} needs an array of at least {least} axes, got shape {shape}: {hint}")


def whole_axis(granularity: Granularity, axis: Any) -> int:
    """The axis as an int; TypeError for anything else."""
    if isinstance(axis, bool) or not isinstance(axis, Integral):
        raise TypeError(f"{type(granularity).__name__}: an axis is an int, got {axis!r}")
    return int(axis)


def axis_of(granularity: Granularity, shape: Shape, axis: int) -> int:
    """The axis counted from 0; ValueError where the shape has no such axis."""
    if not -len(shape) <= axis < len(shape):
        raise ValueError(f"{granularity}: the array has no axis {axis}, its shape is {shape}")
    return axis % len(shape)
