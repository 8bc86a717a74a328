"""Which entries of an array share one scale. Only this module knows about axes.

A granularity turns a shape into a *blocked* shape and the axes over which a block is reduced; the scale has the
blocked shape with those axes set to 1. For an activation of shape (N, C, H, W) = (8, 64, 16, 16):

    PerBatch()             scale (1, 1, 1, 1)          one scale for everything: a sample depends on its batch-mates
    PerSample()            scale (8, 1, 1, 1)          one per index of axis 0 (the default everywhere)
    PerChannel()           scale (1, 64, 1, 1)         one per index of axis 1, shared by the batch
    PerChannel((0, 1))     scale (8, 64, 1, 1)         one per sample and channel
    PerToken()             scale (8, 64, 16, 1)        one per index of all axes but the last
    PerGroup(32, axis=1)   scale (8, 2, 1, 16, 16)     one per run of 32 entries along the axis, at every other index

A weight of shape (out, in, kh, kw) is quantized "per channel" by ``PerChannel(0)``.

Groups run along the axis that a product sums over, as the OCP Microscaling formats intend. For tokens and vectors
(..., features) and for the weight (out, in) of a linear layer that is the last one, the default of ``PerGroup``. For a
convolution's activations (N, C, H, W) and its weight (out, in, kh, kw) it is ``axis=1``. No axis is guessed from a
shape.

``parse`` turns text such as "sample" or "group:64", on the command line and in the atlas, into a granularity; ``name``
goes back.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral
from typing import Any

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


def _axes_except(shape: Shape, kept: set[int]) -> Shape:
    return tuple(i for i in range(len(shape)) if i not in kept)


def _need_axes(granularity: Granularity, shape: Shape, least: int, hint: str) -> None:
    if len(shape) < least:
        raise ValueError(f"{granularity} needs an array of at least {least} axes, got shape {shape}: {hint}")


def _whole_axis(granularity: Granularity, axis: Any) -> int:
    if isinstance(axis, bool) or not isinstance(axis, Integral):
        raise TypeError(f"{type(granularity).__name__}: an axis is an int, got {axis!r}")
    return int(axis)


def _axis(granularity: Granularity, shape: Shape, axis: int) -> int:
    if not -len(shape) <= axis < len(shape):
        raise ValueError(f"{granularity}: the array has no axis {axis}, its shape is {shape}")
    return axis % len(shape)


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
        _need_axes(self, shape, 1, "a 0-d array has nothing to share a scale with")
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
        _need_axes(self, shape, 2, "axis 0 is the sample axis. For one vector pass a[None] or use PerBatch()")
        return shape, _axes_except(shape, {0})


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
            axis: Any = tuple(_whole_axis(self, one) for one in given)
        else:
            axis = _whole_axis(self, given)
        object.__setattr__(self, "axis", axis)

    def blocked(self, shape: Shape) -> tuple[Shape, Shape]:
        """The shape itself, and all axes but ``axis``; raises ValueError where the array has no such axis."""
        kept = (self.axis,) if isinstance(self.axis, int) else tuple(self.axis)
        return shape, _axes_except(shape, {_axis(self, shape, a) for a in kept})


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
        _need_axes(self, shape, 2, "the last axis holds the features of one token")
        return shape, (len(shape) - 1,)


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
        object.__setattr__(self, "axis", _whole_axis(self, self.axis))

    def blocked(self, shape: Shape) -> tuple[Shape, Shape]:
        """The shape with ``axis`` cut into runs, and the axis of a run; raises ValueError where ``size`` does not
        divide it.
        """
        axis = _axis(self, shape, self.axis)
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


GRANULARITIES: dict[str, type[Granularity]] = {
    "batch": PerBatch,
    "sample": PerSample,
    "channel": PerChannel,
    "token": PerToken,
    "group": PerGroup,
}

#: the group size where none is given, that of the OCP Microscaling formats
GROUP = 32


def parse(text: str) -> Granularity:
    """The granularity of a name: a key of ``GRANULARITIES``; "group" is runs of 32, "group:SIZE" of SIZE entries.

    ``PerChannel`` and ``PerGroup`` have their default axes. Raises ValueError, naming the known ones, for any other
    text.
    """
    kind, colon, size = text.partition(":")
    known = ", ".join(GRANULARITIES)
    if kind not in GRANULARITIES:
        raise ValueError(f"unknown granularity {text!r}; known: {known}, and group:SIZE, such as group:64")
    if not colon:
        return PerGroup(GROUP) if kind == "group" else GRANULARITIES[kind]()
    if kind != "group":
        raise ValueError(f"granularity {text!r}: only group takes a size, such as group:64; known: {known}")
    if not (size.isascii() and size.isdecimal() and int(size) >= 1):
        raise ValueError(f"granularity {text!r}: the size of a group is an int >= 1, such as group:64")
    return PerGroup(int(size))


def name(granularity: Granularity) -> str:
    """The text that ``parse`` takes ("group:32" with its size), or ``str`` of one that has other axes."""
    for key, kind in GRANULARITIES.items():
        text = f"{key}:{granularity.size}" if isinstance(granularity, PerGroup) and kind is PerGroup else key
        if type(granularity) is kind and parse(text) == granularity:
            return text
    return str(granularity)
