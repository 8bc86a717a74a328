"""Scales that belong to runs of entries along an axis."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
from typing import Self

from .base import Granularity, Shape, axis_of, whole_axis

#: the group size where none is given, that of the OCP Microscaling formats
GROUP = 32


@dataclass(frozen=True)
class PerGroup(Granularity):
    """One scale per run of consecutive entries along an axis, at every index of the other axes.

    Parameters
    ----------
    size : int
        Entries of a run, >= 1; it must divide the axis.
    axis : int, default -1
        The axis along which runs are cut.

    Raises
    ------
    TypeError
        If ``axis`` is not an int.
    ValueError
        If ``size`` is not an int >= 1.

    Examples
    --------
    >>> import modiff_sim as ms
    >>> ms.PerGroup(32, axis=1).scale_shape((8, 64, 16, 16))
    (8, 2, 1, 16, 16)
    """

    size: int
    axis: int = -1

    def __post_init__(self) -> None:
        if isinstance(self.size, bool) or not isinstance(self.size, Integral) or self.size < 1:
            raise ValueError(f"PerGroup needs a whole group size of at least 1, got {self.size!r}")
        object.__setattr__(self, "size", int(self.size))
        object.__setattr__(self, "axis", whole_axis(self, self.axis))

    @classmethod
    def example(cls) -> Self:
        """Runs of one entry, which divide every axis."""
        return cls(1)

    def blocked(self, shape: Shape) -> tuple[Shape, Shape]:
        """The shape with ``axis`` cut into runs, and the axis of a run; raises ValueError where ``size`` does not
        divide it.
        """
        axis = axis_of(self, shape, self.axis)
        if shape[axis] % self.size:
            raise ValueError(
                f"{self}: axis {self.axis} of shape {shape} is not a multiple of the group size; use one of: "
                f"granularity={self._instead(shape)}"
            )
        blocks = (*shape[:axis], shape[axis] // self.size, self.size, *shape[axis + 1 :])
        return blocks, (axis + 1,)

    def _instead(self, shape: Shape) -> str:
        """The granularities that do fit: the same runs along another axis (axis 0 counts samples), or other scales."""
        other = [i for i in range(1, len(shape)) if shape[i] and shape[i] % self.size == 0]
        fitting = [f"PerGroup({self.size}, axis={i})" for i in other]
        return ", ".join([*fitting, f"PerGroup(SIZE) with SIZE dividing {shape[self.axis]}", "or PerSample()"])


GRANULARITIES = {"group": PerGroup}
