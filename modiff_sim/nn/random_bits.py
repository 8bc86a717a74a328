"""Random bits for randomised quantizers: one seeded generator per device, which a failed model call can rewind."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor


def _seed(stream: int) -> int:
    """A seed for the generator of this stream.

    On the CPU torch looks at the lowest 32 bits of a seed only: streams that differ above them would be the same. What
    has bits there is therefore mixed into 32 bits first.
    """
    if 0 <= stream < 2**32:
        return stream
    words = [(stream >> shift) & 0xFFFFFFFF for shift in (0, 32, 64)]
    return int(np.random.SeedSequence(words).generate_state(1)[0])


class RandomBits:
    """Uniform random numbers; ``other`` keeps users of the same seed apart."""

    def __init__(self, seed: int, *, other: int = 0) -> None:
        self._seed, self._other, self._stream = seed, other, 0
        self._generators: dict[torch.device, torch.Generator] = {}

    def like(self, a: Tensor) -> Tensor:
        """Uniform numbers in [0, 1) in the shape and dtype and on the device of ``a``."""
        if a.device not in self._generators:
            self._generators[a.device] = torch.Generator(a.device)
            self._generators[a.device].manual_seed(_seed((self._seed << 20) ^ self._stream ^ self._other))
        return torch.rand(a.shape, generator=self._generators[a.device], device=a.device, dtype=a.dtype)

    def restart(self, stream: int) -> None:
        """Begin a stream from its start."""
        self._generators.clear()
        self._stream = stream

    def snapshot(self) -> Any:
        """The states of all generators, for ``restore``."""
        return {device: generator.get_state() for device, generator in self._generators.items()}

    def restore(self, snapshot: Any) -> None:
        """Rewind to a snapshot; generators that it does not hold are started anew."""
        self._generators = {d: g for d, g in self._generators.items() if d in snapshot}
        for device, state in snapshot.items():
            self._generators[device].set_state(state)
