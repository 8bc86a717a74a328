"""Micro-batches: which images are in each, how many, and the noise that each image is drawn from."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..diffusion.noise import image_noise

BATCH = 128  # images of a micro-batch, where nothing else is said


def fitting(images: int, most: int = BATCH) -> int:
    """The size of micro-batches of at most ``most`` images with which hardly more than ``images`` are computed.

    Examples
    --------
    >>> from modiff_sim.nn.batching import fitting
    >>> [fitting(images) for images in (4, 128, 200)]
    [4, 128, 100]
    """
    return -(-images // -(-images // most))


def chosen_size(batch: Any, wanted: Sequence[int]) -> int:
    """The size of a micro-batch: the one given, or ``BATCH``, with a warning where not all of its images are wanted."""
    if batch is None:
        if (computed := BATCH * len(micro_batches(wanted, BATCH))) > len(wanted):
            warnings.warn(
                f"micro-batches are computed in full: of {computed} images, in micro-batches of {BATCH}, {len(wanted)} "
                f"are wanted; batch={fitting(len(wanted))} would compute fewer (an image depends on it by rounding)",
                stacklevel=3,
            )
        return BATCH
    if isinstance(batch, bool) or not isinstance(batch, int) or batch < 1:
        raise ValueError(f"batch must be an int >= 1, got {batch!r}")
    return batch


def micro_batches(wanted: Sequence[int], batch: int) -> list[int]:
    """Ascending indices of the micro-batches that hold these images."""
    return sorted({i // batch for i in wanted})


def indices(images: int | Sequence[int]) -> list[int]:
    """The indices of the images that are asked for, ascending."""
    wanted = list(range(images)) if isinstance(images, int) else list(images) if isinstance(images, Iterable) else []
    if isinstance(images, bool) or not all(isinstance(i, Integral) for i in wanted):
        wanted = []
    if not wanted or min(wanted) < 0 or sorted(set(wanted)) != wanted:
        raise ValueError(f"images must be a count >= 1 or ascending indices >= 0, got {images!r}")
    return wanted


@dataclass(frozen=True)
class Noise:
    """The noise of micro-batches in which each image has its own generator."""

    seed: int
    batch: int
    shape: tuple[int, int, int]
    device: torch.device
    dtype: torch.dtype

    def members(self, index: int) -> range:
        """The images of a micro-batch."""
        return range(index * self.batch, (index + 1) * self.batch)

    def of(self, index: int) -> Callable[..., Tensor]:
        """The function that draws the next noise of a micro-batch's images whenever it is called."""
        generators = [image_noise(self.seed, i) for i in self.members(index)]

        def draw(call: int = -1) -> Tensor:
            drawn = np.stack([g.standard_normal(self.shape, dtype=np.float32) for g in generators])
            return torch.from_numpy(drawn).to(self.device, self.dtype)

        return draw
