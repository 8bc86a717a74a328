"""Scales that belong to an index of some axes: batch, sample, channel and token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .base import Granularity, Shape, axes_except, axis_of, need_axes, whole_axis


@dataclass(frozen=True)
class PerBatch(Granularity):
    """One scale for the whole array, as in the official code by default.

    Examples
    --------
    >>> import modiff_sim as ms
    >>> ms.PerBatch().scale_shape((8, 64))
    (1, 1)
    """

    def blocked(self, shape: Shape) -> tuple[Shape, Shape]:
        """The shape itself, and all its axes; raises ValueError for a 0-d array."""
        need_axes(self, shape, 1, "a 0-d array has nothing to share a scale with")
        return shape, tuple(range(len(shape)))


@dataclass(frozen=True)
class PerSample(Granularity):
    """One scale per index of axis 0.

    A 1-d array is refused: read literally, every number would be its own sample, and quantization would be exact.

    Examples
    --------
    >>> import modiff_sim as ms
    >>> ms.PerSample().scale_shape((8, 64))
    (8, 1)
    """

    def blocked(self, shape: Shape) -> tuple[Shape, Shape]:
        """The shape itself, and all axes but the first; raises ValueError below 2 axes."""
        need_axes(self, shape, 2, "axis 0 is the sample axis. For one vector pass a[None] or use PerBatch()")
        return shape, axes_except(shape, {0})


@dataclass(frozen=True)
class PerChannel(Granularity):
    """One scale per index of an axis, shared over all other axes.

    Parameters
    ----------
    axis : int or tuple of int, default 1
        The axis, or several of them.

    Raises
    ------
    TypeError
        If an axis is not an int.

    Examples
    --------
    >>> import modiff_sim as ms
    >>> ms.PerChannel((0, 1)).scale_shape((8, 64, 16, 16))
    (8, 64, 1, 1)
    """

    axis: int | tuple[int, ...] = 1

    def __post_init__(self) -> None:
        given: Any = self.axis
        if isinstance(given, tuple | list):
            axis: Any = tuple(whole_axis(self, one) for one in given)
        else:
            axis = whole_axis(self, given)
        object.__setattr__(self, "axis", axis)

    def blocked(self, shape: Shape) -> tuple[Shape, Shape]:
        """The shape itself, and all axes but ``axis``; raises ValueError where the array has no such axis."""
        kept = (self.axis,) if isinstance(self.axis, int) else tuple(self.axis)
        return shape, axes_except(shape, {axis_of(self, shape, a) for a in kept})


@dataclass(frozen=True)
class PerToken(Granularity):
    """One scale per index of all axes but the last.

    Examples
    --------
    >>> import modiff_sim as ms
    >>> ms.PerToken().scale_shape((8, 16, 64))
    (8, 16, 1)
    """

    def blocked(self, shape: Shape) -> tuple[Shape, Shape]:
        """The shape itself, and its last axis; raises ValueError below 2 axes."""
        need_axes(self, shape, 2, "the last axis holds the features of one token")
        return shape, (len(shape) - 1,)


GRANULARITIES = {"batch": PerBatch, "sample": PerSample, "channel": PerChannel, "token": PerToken}
