"""The noise of a sampling run: every image has its own generator, whatever the others are."""

from __future__ import annotations

import numpy as np

from ..arguments import affordable, count
from ..arguments import seed as whole_seed


def image_noise(seed: int, image: int, *, stream: int = 0) -> np.random.Generator:
    """The generator that all noise of one image is drawn from, in the order of the model calls."""
    key = (count("stream", stream, 0), count("image", image, 0))
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(whole_seed(seed), spawn_key=key)))


class FixedNoise:
    """Standard normals for images 0 .. images-1 in d dimensions, the same at every reading: pairs sampling runs.

    ``start`` (images, d) float64 is where every run begins; ``noise(call)`` is what call ``call`` may add. Row i is
    drawn from ``image_noise(seed, i)`` alone. Calls are kept once drawn: 8·images·d bytes each.

    Raises ValueError for images or d < 1, a negative seed or call, or what is no int (a seed None would not pair runs).
    """

    def __init__(self, seed: int, images: int, d: int, *, stream: int = 0) -> None:
        whole_seed(seed)
        self.d, images = count("d", d), count("images", images)
        affordable(f"noise for {images:,} images of {self.d:,} entries, for each call,", images * (8 * self.d + 1000))
        self._generators = [image_noise(seed, i, stream=stream) for i in range(images)]
        self._drawn: list[np.ndarray] = []
        self.start = self._draw()

    def _draw(self) -> np.ndarray:
        drawn = np.stack([g.standard_normal(self.d) for g in self._generators])
        drawn.flags.writeable = False
        return drawn

    def __len__(self) -> int:
        return len(self._generators)

    def __call__(self, call: int) -> np.ndarray:
        count("call", call, 0)
        while len(self._drawn) <= call:
            self._drawn.append(self._draw())
        return self._drawn[call]
