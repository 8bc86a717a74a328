"""What the claims on predicted errors share: predicted over measured with its interval, and the mixture's runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from modiff_sim import AbsMax
from modiff_sim.diffusion.denoisers import MixtureDenoiser, modulated_denoiser
from modiff_sim.diffusion.noise import FixedNoise
from modiff_sim.diffusion.samplers import ddim
from modiff_sim.diffusion.schedules import linear
from modiff_sim.transfer import Transfer, full_precision, linear_steps, measure_transfer
from modiff_sim.transfer.mixture import MixtureNetwork
from modiff_sim.transfer.prediction import Noise, quantization_noise

from .._mixture import MIXTURE, RECURSIONS

Change = Callable[[Transfer], Transfer]
Column = tuple[np.ndarray, np.ndarray, np.ndarray]


def unchanged(transfer: Transfer) -> Transfer:
    """Return the transfer as it is."""
    return transfer


def off_by(predicted: np.ndarray, errors: np.ndarray, *, seed: int = 0, resamples: int = 100) -> Column:
    """Return the factor, at least 1, by which a prediction (T,) misses the median error, with its interval.

    The result is (factor, low, high), each (T,). Errors are (T, images), and the 95 % interval is from a bootstrap over
    images. Equal zeros are a factor of 1.
    """
    picks = np.random.default_rng(seed).integers(0, errors.shape[1], (resamples, errors.shape[1]))

    def factor(middle: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.maximum(predicted / middle, middle / predicted)
        return np.where(middle == predicted, 1.0, ratio)

    found = factor(np.median(errors[:, picks], axis=2).T)
    low, high = np.quantile(found, [0.025, 0.975], axis=0, method="nearest")  # factors may be inf
    value = factor(np.median(errors, axis=1))
    return value, np.minimum(low, value), np.maximum(high, value)


@dataclass(frozen=True)
class MixtureRuns:
    """The mixture's denoiser along DDIM: its transfer, its noise, and quantized runs. Images are paired."""

    steps: int
    images: int
    samples: int

    def _network(self) -> tuple[MixtureNetwork, np.ndarray, tuple[np.ndarray, np.ndarray]]:
        schedule = linear().spaced(self.steps, spacing="quad")
        noise = FixedNoise(660, self.images, MIXTURE.d)
        return MixtureNetwork(MixtureDenoiser(MIXTURE, schedule)), noise.start, linear_steps(ddim, schedule)

    def transfer(self) -> Transfer:
        """Measure the transfer along the full-precision run."""
        network, start, steps = self._network()
        return measure_transfer(network, start[: self.samples], steps, probe_every=2, source_every=2)

    def noises(self, arms: Sequence[tuple[str, int]]) -> list[Noise]:
        """Measure the quantization noise of these arms (recursion, bits)."""
        network, start, steps = self._network()
        inputs = full_precision(network, start[: self.samples], steps)
        return [quantization_noise(inputs, AbsMax(bits), name, network.linear) for name, bits in arms]

    def measured(self, arms: Sequence[tuple[str, int]]) -> list[np.ndarray]:
        """Return the relative l2 errors of x after every call, (T, images), of every arm."""
        network, start, _ = self._network()
        full = self._run(network.denoiser, start)
        size = np.linalg.norm(full, axis=2)
        return [
            np.linalg.norm(self._run(modulated_denoiser(network.denoiser, AbsMax(bits), name), start) - full, axis=2)
            / size
            for name, bits in arms
        ]

    def _run(self, denoiser: Callable[..., np.ndarray], start: np.ndarray) -> np.ndarray:
        seen: list[np.ndarray] = []
        schedule = linear().spaced(self.steps, spacing="quad")
        ddim(denoiser, start, schedule, callback=lambda call, t, x, x0: seen.append(x))
        return np.stack(seen)


BITS = (2, 3, 4, 5, 6, 8)
ARMS = tuple((name, bits) for name in RECURSIONS for bits in BITS)


def runs(effort: str) -> MixtureRuns:
    """Return the runs of this effort."""
    return MixtureRuns(40, 192, 32) if effort == "quick" else MixtureRuns(50, 512, 64)


@cache
def mixture(effort: str) -> tuple[Transfer, dict[tuple[str, int], Noise], dict[tuple[str, int], np.ndarray]]:
    """Return the transfer, (recursion, bits) -> noise, and (recursion, bits) -> measured errors, once per process."""
    chosen = runs(effort)
    noises, errors = chosen.noises(ARMS), chosen.measured(ARMS)
    return chosen.transfer(), dict(zip(ARMS, noises, strict=True)), dict(zip(ARMS, errors, strict=True))
