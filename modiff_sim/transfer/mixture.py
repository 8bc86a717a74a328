"""The exact denoiser of a Gaussian mixture as a network whose transfer can be measured."""

from __future__ import annotations

import numpy as np

from ..diffusion.denoisers import Linear, MixtureDenoiser
from .call import Edit


class MixtureNetwork:
    """A ``MixtureDenoiser`` along its schedule: call i is made at the i-th timestep. Rows of x are float64 (n, d)."""

    def __init__(self, denoiser: MixtureDenoiser) -> None:
        self.denoiser = denoiser
        self.layers = tuple(layer.name for layer in denoiser.layers)

    def __call__(self, x: np.ndarray, call: int, edit: Edit) -> np.ndarray:
        """Predict the noise, with each layer's input edited."""

        def apply(layer: Linear, a: np.ndarray) -> np.ndarray:
            return np.asarray(layer.affine(edit(self.layers.index(layer.name), a)))

        t = int(self.denoiser.schedule.timesteps[call])
        return np.asarray(self.denoiser.with_layers(apply)(x, t))

    def linear(self, layer: int, a: np.ndarray) -> np.ndarray:
        """Apply a layer's linear map A, without its bias."""
        return np.asarray(self.denoiser.layers[layer].linear(a))
