"""Quantized sampling against an exact distribution: a whole sampler in NumPy, compared with what it should give.

The denoiser is ``denoisers.MixtureDenoiser``. No model is trained, so that whatever is wrong with a sample comes from
the sampler's finite steps, which full precision shares, or from quantization. Distances are measured in the span of
the means (``GaussianMixture.signal``), where quantization can do harm.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import recursion as _recursion
from ..arguments import affordable, count, listed, number, reals
from ..arguments import seed as whole_seed
from ..names import one_of
from ..quantizers import QUANTIZERS, Identity, Zero, make
from ..quantizers.base import Quantizer
from .denoisers import LayerCall, MixtureDenoiser, Observer, modulated_denoiser
from .mixtures import GaussianMixture
from .noise import FixedNoise
from .samplers import SAMPLERS
from .schedules import Schedule, linear


def sample_mixture(
    mixture: GaussianMixture,
    Q: Quantizer | None = None,
    recursion: str | _recursion.Recursion = "direct",
    *,
    noise: FixedNoise,
    steps: int = 50,
    sampler: str = "ddim",
    spacing: str = "quad",
    schedule: Schedule | None = None,
    warmup: _recursion.Warmup = "exact",
    refresh: _recursion.Refresh = "never",
    observers: Iterable[Observer] = (),
    **options: Any,
) -> np.ndarray:
    """Samples of the mixture's exact denoiser with the inputs of both its layers quantized.

    Parameters
    ----------
    mixture : GaussianMixture
        The distribution of the data.
    Q : Quantizer, optional
        The quantizer. None is full precision, whatever the recursion. The random bits of a randomised quantizer
        come from a generator seeded by (layer, call), the same in every run.
    recursion, warmup, refresh
        As in ``modiff_sim.recursion``.
    noise : FixedNoise
        Where the run starts and what it injects. The same object pairs two runs image by image.
    steps : int, default 50
        Number of timesteps to visit.
    sampler, spacing : str
        Names in ``SAMPLERS`` and in ``SPACINGS``.
    schedule : Schedule, optional
        Training noise levels; by default linear β from 1e-4 to 0.02 over 1000 timesteps.
    observers : iterable of callable
        As of ``modulated_denoiser``.
    **options
        Passed to the sampler (eta, clip, variance, callback).

    Returns
    -------
    numpy.ndarray of float64, shape (images, d)
        The samples.

    Raises
    ------
    ValueError
        A name is unknown, or the noise has another dimension.

    Examples
    --------
    >>> import modiff_sim as ms
    >>> from modiff_sim.diffusion.mixture_sampling import sample_mixture
    >>> from modiff_sim.diffusion.noise import FixedNoise
    >>> noise = FixedNoise(seed=0, images=3, d=2)
    >>> sample_mixture(ms.mixtures.ring(), ms.AbsMax(4), "closed_loop", noise=noise, steps=10).shape
    (3, 2)
    """
    one_of("sampler", sampler, SAMPLERS)
    if noise.d != mixture.d:
        raise ValueError(f"the noise has {noise.d} dimensions, the mixture {mixture.d}")
    chosen = (schedule or linear()).spaced(steps, spacing=spacing)
    exact = MixtureDenoiser(mixture, chosen)
    names = [layer.name for layer in exact.layers]

    def uniforms(layer: str, call: int, shape: tuple[int, ...]) -> np.ndarray:
        return np.random.default_rng((names.index(layer), call)).random(shape)

    Q, recursion = (Q, recursion) if Q else (Identity(), "direct")
    when: dict[str, Any] = {"warmup": warmup, "refresh": refresh}
    denoiser = modulated_denoiser(exact, Q, recursion, **when, random=uniforms, observers=observers)
    return SAMPLERS[sampler](denoiser, noise.start, chosen, noise=noise, **options)


def wasserstein2(x: np.ndarray, y: np.ndarray) -> float:
    """The Wasserstein distance W₂ of two samples of equal size, by the optimal assignment; a float.

    It is exact and takes O(n³), 0.3 s for n ≈ 1000. Between two independent samples of one distribution it is not 0
    but of order n^(-1/max(d, 4)) or so: compare it with that floor, or compare two samples with the same third.

    Parameters
    ----------
    x, y : array_like of float64, shape (n, d)
        The samples, finite. Unequal or other shapes raise ValueError.

    Examples
    --------
    >>> from modiff_sim.diffusion.mixture_sampling import wasserstein2
    >>> wasserstein2([[0.0], [1.0]], [[1.0], [2.0]])
    1.0
    """
    x, y = reals("x", x, finite=True), reals("y", y, finite=True)
    if x.ndim != 2 or x.shape != y.shape or not x.size:
        raise ValueError(f"W₂ by assignment needs two samples of equal shape (n, d), got {x.shape} and {y.shape}")
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial.distance import cdist

    affordable(f"the distances of {len(x):,} samples to as many", 16 * len(x) ** 2)
    cost = cdist(x, y, "sqeuclidean")
    return float(math.sqrt(cost[linear_sum_assignment(cost)].mean()))


def mode_counts(mixture: GaussianMixture, x: np.ndarray) -> np.ndarray:
    """Count the samples x (n, d) by component, each belonging to the most responsible one: int64 (K,)."""
    return np.bincount(mixture.log_joint(x).argmax(axis=1), minlength=len(mixture.w))


def total_variation(counts: np.ndarray, weights: np.ndarray) -> float:
    """The total variation ½ Σ_k |counts_k/n - w_k| between the counts of n samples and the weights, in [0, 1]."""
    counts, weights = reals("counts", counts, finite=True), reals("weights", weights, finite=True)
    if counts.shape != weights.shape or not counts.sum() > 0:
        raise ValueError(f"counts and weights are of the same components, got {counts.shape} and {weights.shape}")
    return float(0.5 * np.abs(counts / counts.sum() - weights).sum())


def injected_variance(schedule: Schedule, eta: float = 1.0) -> np.ndarray:
    """The variance of the noise that each call adds, float64 (calls,).

    It is σ² = η²·(1-ᾱ')/(1-ᾱ)·(1-ᾱ/ᾱ') with ᾱ' the next level, and 0 at the end (Song et al. 2021, (16)); η = 1 is
    DDPM with variance "fixed_small". The noise z of a call is independent of all that came before, quantization
    errors included, and the drift x_t → E[x_{t-1} | past] is decided before z is drawn. Hence
        E||x_{t-1} - x_t||² = E||drift||² + σ_t²·d  ≥  σ_t²·d,
    and likewise for the residual x_{t-1} - x̂_t of a closed loop, as x̂_t is decided by then. What the first layer
    quantizes cannot become smaller than what the sampler injects, whatever the recursion and however many bits.
    """
    number("eta", eta)
    levels = [(here, after) for _, here, after in schedule.levels()]
    return np.array(
        [eta**2 * (1 - after) / (1 - here) * (1 - here / after) if here < 1 else 0.0 for here, after in levels]
    )


@dataclass(frozen=True)
class Truth:
    """What samples of a mixture are compared with: its distribution in the span of its means, and exact samples.

    ``mixture`` is the distribution there, ``mean`` (d,) that of the data, ``basis`` (d, s) an orthonormal basis of
    the span. ``exact`` (images, s) is the reference of W₂, and ``others`` (k, images, s) are further exact samples,
    for its floor. ``entropy`` is in nats, with the half-width of its 95 % interval.
    """

    mixture: GaussianMixture
    mean: np.ndarray
    basis: np.ndarray
    exact: np.ndarray
    others: np.ndarray
    entropy: float
    entropy_half_width: float

    @classmethod
    def of(cls, mixture: GaussianMixture, images: int, seed: int) -> Truth:
        """The truth about a mixture, with seven sets of so many exact images."""
        inside, basis = mixture.signal()
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1,)))
        exact, *others = (inside.sample(rng, images) for _ in range(7))
        return cls(inside, mixture.mean, basis, exact, np.stack(others), *inside.entropy(20_000, seed))

    def inside(self, x: np.ndarray) -> np.ndarray:
        """Coordinates in the span of the means, (n, s)."""
        return (x - self.mean) @ self.basis

    def measure(self, x: np.ndarray, full: np.ndarray) -> dict[str, float]:
        """The columns of ``quantized_sampling`` for the samples x; ``full`` is full precision with the same noise."""
        from scipy.special import chdtrc

        y, y_full = self.inside(x), self.inside(full)
        counts, n = mode_counts(self.mixture, y), len(y)
        likelihood = self.mixture.log_density(y)
        lost = self.mixture.log_density(y_full) - likelihood
        spread = 1.96 / math.sqrt(n)
        statistic = float(((counts - n * self.mixture.w) ** 2 / (n * self.mixture.w)).sum())
        return {
            "log_likelihood": float(likelihood.mean()),
            "log_likelihood_half_width": float(spread * likelihood.std(ddof=1)),
            "lost": float(lost.mean()),
            "lost_half_width": float(spread * lost.std(ddof=1)),
            "w2": wasserstein2(y, self.exact),
            "path_rms": float(np.sqrt(((x - full) ** 2).sum(axis=1).mean())),
            "relative_l2": float(np.linalg.norm(x - full) / np.linalg.norm(full)),
            "total_variation": total_variation(counts, self.mixture.w),
            "chi2_p": float(chdtrc(len(counts) - 1, statistic)),
        }


#: "recursion" of rows in which nothing is quantized, and of those that reuse the first output
FULL_PRECISION, CACHE = "full_precision", "cache"


def arms(
    bits: Iterable[int], recursions: Iterable[str], quantizer: str = "absmax"
) -> Iterator[tuple[str, int, Quantizer | None, str]]:
    """The arms (name, bits, Q, recursion): full precision, then each recursion at each width; "cache" has 0 bits."""
    yield FULL_PRECISION, 32, None, "direct"
    widths = list(bits)
    for name in recursions:
        if name == CACHE:
            yield CACHE, 0, Zero(), "closed_loop"
            continue
        _recursion.get(name)
        for b in widths:
            yield name, b, make(quantizer, b), name


class Differences:
    """An observer of the energy of x_{t-1} - x_t: how much the first layer's input changes from call to call."""

    def __init__(self) -> None:
        self._last: np.ndarray | None = None
        self._energies: list[float] = []

    def __call__(self, call: LayerCall) -> None:
        """Note the energy of the first layer's difference."""
        if call.layer.name != "logits":
            return
        if self._last is not None:
            self._energies.append(float(((call.a - self._last) ** 2).sum(axis=1).mean()))
        self._last = call.a

    @property
    def rms(self) -> float:
        """Root mean square over calls and images; NaN for a run of one call, which has no difference."""
        return math.sqrt(np.mean(self._energies)) if self._energies else math.nan


def quantized_sampling(
    mixture: GaussianMixture,
    *,
    bits: int | Iterable[int] = (2, 3, 4, 5, 6, 8),
    recursions: str | Iterable[str] = (*_recursion.RECURSIONS, CACHE),
    samplers: str | Iterable[str] = ("ddim", "ddpm"),
    steps: int | Iterable[int] = (50,),
    images: int = 512,
    seed: int = 0,
    quantizer: str = "absmax",
    **options: Any,
) -> list[dict[str, Any]]:
    """Sample every arm from the same noise and compare it with the exact distribution.

    Parameters
    ----------
    mixture : GaussianMixture
        The distribution of the data. Anything else raises TypeError.
    bits, steps : int or iterable of int
        Bit widths, and numbers of timesteps.
    recursions, samplers : str or iterable of str
        Names in ``RECURSIONS``, or "cache" (0 bits: nothing is computed after the first call); names in ``SAMPLERS``.
        Unknown names raise ValueError.
    images : int, default 512
        Samples per arm. Fewer than 2 raise ValueError.
    seed : int, default 0
        Root seed.
    quantizer : str, default "absmax"
        A name in ``QUANTIZERS``.
    **options
        Passed to ``sample_mixture``.

    Returns
    -------
    list of dict
        One row per arm. All columns but path_rms and relative_l2 are measured in the span of the means.

    Notes
    -----
    * sampler, steps, bits, recursion, images: the arm. Full precision is "full_precision", with 32 bits.
    * log_likelihood, ..._half_width: mean of log p(sample), 95 % interval. A sample from p has
      ``exact_log_likelihood``.
    * exact_log_likelihood, ..._half_width: -entropy, by Monte Carlo. A higher value is not better: modes may be
      missing.
    * lost, lost_half_width: log-likelihood of full precision minus the arm's, paired by noise.
    * w2: W₂ to ``images`` exact samples. w2_exact, w2_exact_low, w2_exact_high: mean and range of W₂ from six other
      sets of exact samples to them. This is the floor, below which no difference means anything.
    * path_rms, relative_l2: distance to full precision from the same noise, RMS and relative. W₂ between the two is
      at most path_rms, which is a coupling.
    * total_variation: of the mode weights. total_variation_exact: its floor, the mean over exact samples.
    * chi2_p: p value of the mode weights (Pearson, K - 1 degrees of freedom).
    * difference_rms: RMS of ||x_{t-1} - x_t|| over the calls. It is large with few steps or injected noise.

    Examples
    --------
    >>> import modiff_sim as ms
    >>> from modiff_sim.diffusion.mixture_sampling import quantized_sampling
    >>> rows = quantized_sampling(ms.mixtures.ring(), bits=[3], recursions=["direct", "cache"], steps=[5], images=8)
    >>> [row["recursion"] for row in rows]
    ['full_precision', 'direct', 'cache', 'full_precision', 'direct', 'cache']
    """
    if not isinstance(mixture, GaussianMixture):
        raise TypeError(f"quantized_sampling samples a GaussianMixture, got {mixture!r}")
    count("images, which intervals need,", images, 2)
    seed = whole_seed(seed)
    affordable(f"the distances of {images:,} images to as many", 16 * images**2)
    one_of("quantizer", quantizer, QUANTIZERS)
    truth, noise = Truth.of(mixture, images, seed), FixedNoise(seed, images, mixture.d)
    chosen = list(arms(listed(bits), listed(recursions), quantizer))
    floor = [wasserstein2(x, truth.exact) for x in truth.others]
    constant = {
        "images": images,
        "exact_log_likelihood": -truth.entropy,
        "exact_log_likelihood_half_width": truth.entropy_half_width,
        "w2_exact": float(np.mean(floor)),
        "w2_exact_low": min(floor),
        "w2_exact_high": max(floor),
        "total_variation_exact": float(
            np.mean([total_variation(mode_counts(truth.mixture, x), truth.mixture.w) for x in truth.others])
        ),
    }
    rows = []
    ladder = listed(steps)
    for sampler in listed(samplers):
        for n in ladder:
            for name, b, Q, recursion in chosen:
                differences = Differences()
                x = sample_mixture(
                    mixture, Q, recursion, noise=noise, steps=n, sampler=sampler, observers=[differences], **options
                )
                if name == FULL_PRECISION:  # the first arm
                    full = x
                arm = {"sampler": sampler, "steps": n, "bits": b, "recursion": name}
                rows.append(arm | truth.measure(x, full) | constant | {"difference_rms": differences.rms})
    return rows
