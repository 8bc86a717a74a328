"""Gaussian mixtures: distributions for which all that a diffusion model learns is known exactly (NumPy, float64)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..arguments import affordable, count, number, reals
from ..arguments import seed as whole_seed
from ..typing import ArrayLike


def _log_sum_exp(z: np.ndarray) -> np.ndarray:
    top = z.max(axis=1, keepdims=True)
    return top[:, 0] + np.log(np.exp(z - top).sum(axis=1))


@dataclass(frozen=True, eq=False)
class GaussianMixture:
    """The mixture Σ_k w_k N(μ_k, σ²I) in d dimensions, with everything that a denoiser can be compared with.

    Parameters
    ----------
    means : array_like of float64, shape (K, d)
        The means μ_k, finite. The array is copied and made read-only.
    sigma : float
        Standard deviation of every component, finite and above 0.
    weights : array_like of float64, shape (K,), optional
        The weights w_k, positive; they are scaled to sum to 1. By default all are equal.

    Raises
    ------
    ValueError
        Shapes do not fit, or values are out of range.

    Examples
    --------
    Far from the other mean, the best prediction of the clean image is the nearer one:

    >>> import modiff_sim as ms
    >>> mixture = ms.mixtures.GaussianMixture([[-4.0, 0.0], [4.0, 0.0]], sigma=0.1)
    >>> mixture.posterior_mean([[3.0, 0.0]], alpha_bar=0.5).round(1) + 0.0
    array([[4., 0.]])
    """

    means: np.ndarray
    sigma: float
    weights: np.ndarray | None = None

    def __post_init__(self) -> None:
        means = reals("means", self.means).copy()
        if means.ndim != 2 or means.size == 0 or not np.isfinite(means).all():
            raise ValueError(f"means must be finite, of shape (K, d) with K, d >= 1, got shape {means.shape}")
        weights = np.ones(len(means)) if self.weights is None else reals("weights", self.weights).copy()
        if weights.shape != (len(means),) or not (np.isfinite(weights).all() and (weights > 0).all()):
            raise ValueError(f"weights must be {len(means)} positive numbers, one per mean, got {self.weights!r}")
        weights /= weights.max()  # the sum of large weights would overflow
        weights /= weights.sum()
        sigma = float(number("sigma", self.sigma, above=0))
        means.flags.writeable = weights.flags.writeable = False
        for name, value in (("means", means), ("sigma", sigma), ("weights", weights)):
            object.__setattr__(self, name, value)

    @property
    def w(self) -> np.ndarray:
        """The weights w_k, float64 (K,), summing to 1."""
        assert self.weights is not None
        return self.weights

    @property
    def d(self) -> int:
        """The dimension of the data."""
        return int(self.means.shape[1])

    @property
    def mean(self) -> np.ndarray:
        """The mean m = Σ_k w_k μ_k, float64 (d,)."""
        return self.w @ self.means

    def at(self, alpha_bar: float) -> GaussianMixture:
        """The marginal at noise level ᾱ, with means √ᾱ·μ_k and variance v = ᾱσ² + 1 - ᾱ; 0 < ᾱ <= 1 (ValueError)."""
        if not 0 < number("alpha_bar", alpha_bar) <= 1:
            raise ValueError(f"alpha_bar must lie in (0, 1], got {alpha_bar}")
        sigma = math.sqrt(alpha_bar * self.sigma**2 + 1 - alpha_bar)
        return GaussianMixture(math.sqrt(alpha_bar) * self.means, sigma, self.w)

    def signal(self) -> tuple[GaussianMixture, np.ndarray]:
        """The distribution in the span of the centred means, as a mixture, and an orthonormal basis B (d, s).

        The mixture is that of x ↦ (x - m)·B. Outside the span the data are N(0, σ²I), independent of what is
        inside. A denoiser whose μ̂ is wrong only within the span samples outside of it what it would in full
        precision. So all that quantizing the two layers of ``denoisers.MixtureDenoiser`` can do to the distribution
        shows in s dimensions, where distances are sharp.

        Raises ValueError for coinciding means, which span nothing.
        """
        centred = self.means - self.mean
        _, size, rows = np.linalg.svd(centred, full_matrices=False)
        rank = int(np.sum(size > size[0] * max(centred.shape) * np.finfo(np.float64).eps))
        if size[0] <= np.abs(self.means).max() * np.finfo(np.float64).eps * len(centred):
            raise ValueError("the means coincide: there is no subspace that they span")
        basis = rows[:rank].T
        return GaussianMixture(centred @ basis, self.sigma, self.w), basis

    def entropy(self, n: int = 100_000, seed: int = 0) -> tuple[float, float]:
        """The entropy -E[log p(x)] in nats from n exact samples, and the half-width of its 95 % interval."""
        count("n, the samples of an interval,", n, 2)
        seed = whole_seed(seed)
        values = -self.log_density(self.sample(np.random.default_rng(seed), n))
        return float(values.mean()), float(1.96 * values.std(ddof=1) / math.sqrt(n))

    def sample(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """Draw n independent samples, float64 (n, d)."""
        affordable(f"{count('n', n):,} samples of {self.d} entries", 8 * n * (3 * self.d + 1))
        k = rng.choice(len(self.means), size=n, p=self.w)
        return self.means[k] + self.sigma * rng.standard_normal((n, self.d))

    def log_joint(self, x: ArrayLike) -> np.ndarray:
        """The logarithms log(w_k N(x; μ_k, σ²I)), float64 (n, K), for x of shape (n, d)."""
        x = reals("x", x, finite=True)
        if x.ndim != 2 or x.shape[1] != self.d:
            raise ValueError(f"x must have shape (n, {self.d}), got {x.shape}")
        # one mean at a time: this needs no (n, K, d) array, and there is no cancellation
        square = np.stack([((x - mu) ** 2).sum(axis=1) for mu in self.means], axis=1)
        return np.log(self.w) - square / (2 * self.sigma**2) - 0.5 * self.d * math.log(2 * math.pi * self.sigma**2)

    def log_density(self, x: ArrayLike) -> np.ndarray:
        """The log density log p(x), float64 (n,), for x of shape (n, d)."""
        return _log_sum_exp(self.log_joint(x))

    def responsibilities(self, x: ArrayLike) -> np.ndarray:
        """The responsibilities P(k | x), float64 (n, K); rows sum to 1."""
        z = self.log_joint(x)
        return np.exp(z - _log_sum_exp(z)[:, None])

    def score(self, x: ArrayLike) -> np.ndarray:
        """The score ∇ log p(x) = (Σ_k r_k μ_k - x)/σ², float64 (n, d)."""
        return (self.responsibilities(x) @ self.means - reals("x", x)) / self.sigma**2

    def posterior_mean(self, x: ArrayLike, alpha_bar: float) -> np.ndarray:
        """The posterior mean E[x₀ | x at noise level ᾱ], float64 (n, d).

        By Tweedie's formula it equals (x + (1-ᾱ)·∇log p_ᾱ(x))/√ᾱ.
        """
        noisy = self.at(alpha_bar)
        mu_hat = noisy.responsibilities(x) @ self.means
        x = reals("x", x)
        return (math.sqrt(alpha_bar) * self.sigma**2 * x + (1 - alpha_bar) * mu_hat) / noisy.sigma**2

    def eps(self, x: ArrayLike, alpha_bar: float) -> np.ndarray:
        """The best noise prediction E[ε | x at noise level ᾱ], float64 (n, d): that of a denoiser without error."""
        return -math.sqrt(1 - alpha_bar) * self.at(alpha_bar).score(x)


def ring(modes: int = 8, d: int = 2, *, radius: float = 4.0, sigma: float = 0.4) -> GaussianMixture:
    """Modes on a circle in the first two of d coordinates; the i-th has a weight proportional to 1 + i/modes.

    Parameters
    ----------
    modes : int, default 8
        Number of components.
    d : int, default 2
        Dimension of the data, at least 2. The mean is 0 in all coordinates but the first two.
    radius : float, default 4.0
        Radius of the circle.
    sigma : float, default 0.4
        Standard deviation of every component.

    Returns
    -------
    GaussianMixture
        The mixture.

    Examples
    --------
    >>> import modiff_sim as ms
    >>> ms.mixtures.ring(modes=2, d=3, radius=1.0).means.round(6) + 0.0
    array([[ 1.,  0.,  0.],
           [-1.,  0.,  0.]])
    """
    radius = float(number("radius", radius, least=-math.inf))
    angle = 2 * np.pi * np.arange(count("modes", modes)) / modes
    return _in_plane(radius * np.stack([np.cos(angle), np.sin(angle)], axis=1), d, sigma, 1 + np.arange(modes) / modes)


def grid(side: int = 8, d: int = 2, *, spacing: float = 1.0, sigma: float = 0.2) -> GaussianMixture:
    """side² modes on a square lattice in the first two of d coordinates, with smoothly varying, unequal weights.

    The large extent over the small σ makes quantization hard, because one scale must serve both. All other
    coordinates are N(0, σ²): they carry no signal and are quantized with the rest.

    Parameters
    ----------
    side : int, default 8
        Modes along a side of the lattice.
    d : int, default 2
        Dimension of the data, at least 2.
    spacing : float, default 1.0
        Distance of neighbouring modes.
    sigma : float, default 0.2
        Standard deviation of every component.

    Returns
    -------
    GaussianMixture
        The mixture.

    Examples
    --------
    >>> import modiff_sim as ms
    >>> ms.mixtures.grid(side=3).means.shape
    (9, 2)
    """
    spacing = float(number("spacing", spacing, least=-math.inf))
    u = (np.arange(count("side", side)) - (side - 1) / 2) * spacing
    where = np.stack([g.ravel() for g in np.meshgrid(u, u)], axis=1)
    phase = where / (side * spacing) * 2 * np.pi
    return _in_plane(where, d, sigma, np.exp(0.5 * np.cos(phase[:, 0] + 1) + 0.5 * np.sin(phase[:, 1])))


def _in_plane(where: np.ndarray, d: int, sigma: float, weights: np.ndarray) -> GaussianMixture:
    count("d, of modes that lie in a plane,", d, 2)
    return GaussianMixture(np.pad(where, ((0, 0), (0, d - 2))), sigma, weights)


#: name -> mixture with its default modes, for a dimension d; figures and tables take their names from here
MIXTURES: dict[str, Callable[..., GaussianMixture]] = {"ring": ring, "grid": grid}
