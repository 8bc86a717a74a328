"""Where the codes of a layer's input lie: the padded buffer, its runs, and the rows and taps of the product.

Everything is told in bytes and rows, so that the kernels know neither strides nor padding. A Linear layer is a
convolution of one tap, and Conv1d one of height 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

#: channels are taken four at a time
FOUR = 4


def rounded_up(n: int, multiple: int) -> int:
    """The smallest multiple that is at least n."""
    return -(-n // multiple) * multiple


@dataclass(frozen=True)
class Moves:
    """How a layer moves over its input, with two axes in space.

    Parameters
    ----------
    kernel, stride, dilation : (int, int)
        As torch has them; 1 for the height of a Conv1d, and for both axes of a Linear layer.
    padding : ((int, int), (int, int))
        Zeros before and after, by axis.
    """

    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    padding: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0))

    @classmethod
    def of(cls, module: Any) -> Moves:
        """The moves of a module."""
        if isinstance(module, nn.Linear):
            return cls()
        last_first = module._reversed_padding_repeated_twice  # of "same" and "valid" as well
        sides = [(last_first[2 * k], last_first[2 * k + 1]) for k in range(len(module.kernel_size))][::-1]

        def two(values: Any, missing: Any) -> Any:
            return (missing, *values) if len(values) == 1 else tuple(values)

        return cls(
            two(module.kernel_size, 1), two(module.stride, 1), two(module.dilation, 1), two(tuple(sides), (0, 0))
        )


@dataclass(frozen=True)
class Geometry:
    """The places of one layer's codes for inputs of one shape.

    Parameters
    ----------
    shape : tuple of int
        Of the input as (samples, height, width, channels), as it lies in memory.
    moves : Moves
        How the layer moves over it.
    groups : int, default 1
        Groups of channels.

    Examples
    --------
    >>> from modiff_sim.nn.integer.geometry import Geometry, Moves
    >>> places = Geometry((1, 4, 4, 8), Moves(kernel=(3, 3), padding=((1, 1), (1, 1))))
    >>> places.buffer_shape, places.rows, len(places.tap_offsets), places.words
    ((1, 6, 6, 8), 16, 9, 2)
    """

    shape: tuple[int, int, int, int]
    moves: Moves
    groups: int = 1

    @property
    def channels(self) -> int:
        """Channels in the buffer: a multiple of four."""
        return rounded_up(self.shape[3], FOUR)

    @property
    def buffer_shape(self) -> tuple[int, int, int, int]:
        """Samples, height and width with their padding, and channels of the buffer."""
        (top, bottom), (left, right) = self.moves.padding
        n, height, width, _ = self.shape
        return n, top + height + bottom, left + width + right, self.channels

    @property
    def out(self) -> tuple[int, int]:
        """Height and width of the output; below 1 where the kernel is larger than the input."""
        reach = [d * (k - 1) + 1 for k, d in zip(self.moves.kernel, self.moves.dilation, strict=True)]
        sizes = zip(self.buffer_shape[1:3], reach, self.moves.stride, strict=True)
        return tuple((size - length) // step + 1 for size, length, step in sizes)  # type: ignore[return-value]

    @property
    def rows(self) -> int:
        """Rows of the product: the output's pixels or tokens, of all samples."""
        return self.shape[0] * math.prod(self.out)

    @property
    def words(self) -> int:
        """Steps of four channels in a tap of one group."""
        return self.channels // self.groups // FOUR

    def _offsets(self, samples: int, ys: Tensor, xs: Tensor) -> Tensor:
        """Where the bytes of these samples, lines and columns begin in the buffer, in this order."""
        _, height, width, channels = self.buffer_shape
        n = torch.arange(samples)[:, None, None]
        return (((n * height + ys[:, None]) * width + xs) * channels).flatten()

    @cached_property
    def row_offsets(self) -> Tensor:
        """(rows,) int64: where the codes of each row's first tap begin."""
        ys, xs = (torch.arange(size) * step for size, step in zip(self.out, self.moves.stride, strict=True))
        return self._offsets(self.shape[0], ys, xs)

    @cached_property
    def tap_offsets(self) -> Tensor:
        """(taps,) int64: how much further those of each tap begin."""
        ys, xs = (torch.arange(k) * d for k, d in zip(self.moves.kernel, self.moves.dilation, strict=True))
        return self._offsets(1, ys, xs)

    @cached_property
    def targets(self) -> Tensor:
        """(runs,) int64: where the runs of the input go, which are as long as they can be."""
        (top, _), (left, _) = self.moves.padding
        n, height, width, channels = self.shape
        if channels != self.channels:  # a run is a pixel
            return self._offsets(n, top + torch.arange(height), left + torch.arange(width))
        if self.buffer_shape == self.shape:  # a run is a sample
            return self._offsets(n, torch.tensor([0]), torch.tensor([0]))
        return self._offsets(n, top + torch.arange(height), torch.tensor([left]))  # a run is a line

    @cached_property
    def run_length(self) -> int:
        """Entries of a run."""
        return math.prod(self.shape) // self.targets.shape[0]

    def buffer(self, offset: int) -> Tensor:
        """A new buffer of codes, all of them 0, which is stored as the offset."""
        return torch.full(self.buffer_shape, offset, dtype=torch.uint8)
