"""The noise of a sampling run: each image has its own generator, so its noise does not depend on the other images."""

from __future__ import annotations

import numpy as np

from ..arguments import affordable, count
from ..arguments import seed as whole_seed


def image_noise(seed: int, image: int, *, stream: int = 0) -> np.random.Generator:
    """The generator from which all noise of one image is drawn, in the order of the model calls.

    Parameters
    ----------
    seed : int
        Root seed, at least 0.
    image : int
        Index of the image, at least 0.
    stream : int, default 0
        Index of an independent stream with the same seed, at least 0.

    Returns
    -------
    numpy.random.Generator
        The same generator for the same arguments, whatever other images are drawn.

    Examples
    --------
    >>> from modiff_sim.diffusion.noise import image_noise
    >>> image_noise(0, 3).standard_normal() == image_noise(0, 3).standard_normal()
    True
    """
    key = (count("stream", stream, 0), count("image", image, 0))
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(whole_seed(seed), spawn_key=key)))


class FixedNoise:
    """Standard normals for the images 0 .. images-1, the same at every reading, so that sampling runs can be paired.

    Row i is drawn from ``image_noise(seed, i)`` alone. ``start``, float64 (images, d), is where every run begins, and
    ``noise(call)`` is what the model call may add. Calls are kept once drawn: 8·images·d bytes each.

    Parameters
    ----------
    seed : int
        Root seed, at least 0. None is refused, because it would not pair runs.
    images : int
        Number of images.
    d : int
        Entries of an image.
    stream : int, default 0
        Index of an independent stream with the same seed.

    Raises
    ------
    TypeError, ValueError
        A number is not an int, ``images`` or ``d`` is below 1, or the seed or a call is negative.

    Examples
    --------
    >>> from modiff_sim.diffusion.noise import FixedNoise
    >>> noise = FixedNoise(seed=0, images=5, d=3)
    >>> noise.start.shape, (noise(2) == noise(2)).all()
    ((5, 3), np.True_)
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
        """The noise (images, d) of a model call, float64 and read-only."""
        count("call", call, 0)
        while len(self._drawn) <= call:
            self._drawn.append(self._draw())
        return self._drawn[call]
