"""What the claims against exact truth share: the mixture, paired runs, and intervals over images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from modiff_sim import AbsMax, mixtures
from modiff_sim.diffusion.denoisers import LayerCall
from modiff_sim.diffusion.mixture_sampling import sample_mixture
from modiff_sim.diffusion.noise import FixedNoise

RECURSIONS = ("direct", "open_loop", "closed_loop")  # the paper's
#: 64 modes in a plane of 64 dimensions, σ = 0.2 in an extent of ±3.5, so that log p has structure at a fine scale
MIXTURE = mixtures.grid(side=8, d=64)
PARAMS = {"mixture": "grid(side=8, d=64)", "spacing": "quad", "warm-up": "exact"}
Interval = tuple[float, float, float]


def images(effort: str) -> int:
    """Return the number of images of a run: enough for the intervals of the claims, in a second of computing."""
    return 64 if effort == "quick" else 512


class Paired:
    """Sampling runs that begin from the same noise and get the same noise at every step."""

    def __init__(self, images: int, seed: int) -> None:
        self.noise = FixedNoise(seed, images, MIXTURE.d)
        self._full: dict[tuple[str, int], np.ndarray] = {}

    def run(self, sampler: str, steps: int, bits: int, recursion: Any, **options: Any) -> np.ndarray:
        """Sample with AbsMax(bits) in both layers; 32 bits is full precision."""
        Q = None if bits == 32 else AbsMax(bits)
        return sample_mixture(MIXTURE, Q, recursion, noise=self.noise, sampler=sampler, steps=steps, **options)

    def full(self, sampler: str, steps: int) -> np.ndarray:
        """Return the samples of full precision, computed once."""
        key = (sampler, steps)
        if key not in self._full:
            self._full[key] = self.run(sampler, steps, 32, "direct")
        return self._full[key]

    def squares(self, sampler: str, steps: int, bits: int, recursion: Any, **options: Any) -> np.ndarray:
        """Return ||x - x_full||² per image: how far quantization has moved it."""
        x = self.run(sampler, steps, bits, recursion, **options)
        return ((x - self.full(sampler, steps)) ** 2).sum(axis=1)


def interval(statistic: Callable[..., Any], *columns: np.ndarray, seed: int = 0, resamples: int = 300) -> Interval:
    """Return (value, low, high) of a statistic of columns over images (axis 0), with a paired 95 % bootstrap interval.

    ``statistic`` takes columns that are resampled to shape (resamples, images, ...), and reduces axis 1.
    """
    picks = np.random.default_rng(seed).integers(0, len(columns[0]), (resamples, len(columns[0])))
    value = float(statistic(*(c[None] for c in columns))[0])
    low, high = np.quantile(statistic(*(c[picks] for c in columns)), [0.025, 0.975])
    return value, float(low), float(high)


def rms_ratio(top: np.ndarray, bottom: np.ndarray, *, seed: int = 0) -> Interval:
    """Return RMS(top)/RMS(bottom) of squared distances per image, with its interval."""
    return interval(lambda a, b: np.sqrt(a.mean(axis=1) / b.mean(axis=1)), top, bottom, seed=seed)


class Trace:
    """Collects what one layer sees, each of shape (calls, images, in).

    These are its inputs a, the reconstructed inputs a_hat, and the inputs of the quantizer, residual, which are 0 for
    calls in full precision.
    """

    def __init__(self, layer: str) -> None:
        self.layer = layer
        self._seen: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def __call__(self, call: LayerCall) -> None:
        if call.layer.name == self.layer:
            residual = call.info.residual if call.info.quantized else np.zeros_like(call.a)
            self._seen.append((call.a, call.a_hat.copy(), residual))  # not the whole info: it is larger

    @property
    def a(self) -> np.ndarray:
        """The inputs."""
        return np.stack([a for a, _, _ in self._seen])

    @property
    def a_hat(self) -> np.ndarray:
        """The reconstructed inputs."""
        return np.stack([a_hat for _, a_hat, _ in self._seen])

    @property
    def residual(self) -> np.ndarray:
        """The inputs of the quantizer."""
        return np.stack([residual for _, _, residual in self._seen])

    def error(self) -> np.ndarray:
        """Return ||a - a_hat||² per call and image."""
        return ((self.a - self.a_hat) ** 2).sum(axis=2)
