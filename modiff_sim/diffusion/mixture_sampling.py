"""Quantized sampling against exact truth: a whole sampler in NumPy, compared with the distribution it should give.

The denoiser is ``denoisers.MixtureDenoiser``: no model is trained, so that whatever is wrong with a sample comes from
the sampler's finite steps, which full precision shares, or from quantization. Distances are measured in the span of
the means (``GaussianMixture.signal``), which is where quantization can do harm.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import recursion as _recursion
from ..arguments import affordable, count, number, reals
from ..arguments import seed as whole_seed
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
    """Samples (images, d), float64, of the mixture's exact denoiser with both its layers' inputs quantized.

    Q:         the quantizer; None is full precision, whatever the recursion. Random bits of a randomised one are drawn
               from a generator seeded by (layer, call), the same in every run.
    noise:     where the run starts and what it injects: the same object pairs two runs image by image.
    schedule:  training noise levels; default linear beta 1e-4..0.02, 1000 steps. ``steps``, ``spacing`` choose from it.
    observers: see ``modulated_denoiser``. options: passed to the sampler (eta, clip, variance, callback).

    Raises ValueError for unknown names, or noise of another dimension.
    """
    if sampler not in SAMPLERS:
        raise ValueError(f"unknown sampler {sampler!r}; known: {', '.join(SAMPLERS)}")
    if noise.d != mixture.d:
        raise ValueError(f"the noise has {noise.d} dimensions, the mixture {mixture.d}")
    chosen = (schedule or linear()).spaced(steps, spacing=spacing)
    exact = MixtureDenoiser(mixture, chosen)
    names = [layer.name for layer in exact.layers]

    def uniforms(layer: str, call: int, shape: tuple[int, ...]) -> np.ndarray:
        return np.random.default_rng((names.index(layer), call)).random(shape)

    denoiser = modulated_denoiser(
        exact, Q or Identity(), recursion if Q else "direct",
        warmup=warmup, refresh=refresh, random=uniforms, observers=observers,
    )  # fmt: skip
    return SAMPLERS[sampler](denoiser, noise.start, chosen, noise=noise, **options)


def wasserstein2(x: np.ndarray, y: np.ndarray) -> float:
    """W₂ of two samples of equal size n, arrays (n, d): the optimal assignment, exact, O(n³) (n ≈ 1000 takes 0.3 s).

    Between two independent samples of one distribution it is not 0 but of order n^(-1/max(d, 4)) or so: compare with
    that floor, or compare two samples with the same third. Raises ValueError for unequal shapes.
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
    """How many of the samples x (n, d) belong to each component, the most responsible one: int64 (K,)."""
    return np.bincount(mixture.log_joint(x).argmax(axis=1), minlength=len(mixture.w))


def total_variation(counts: np.ndarray, weights: np.ndarray) -> float:
    """½ Σ_k |counts_k/n - w_k|, in [0, 1]."""
    counts, weights = reals("counts", counts, finite=True), reals("weights", weights, finite=True)
    if counts.shape != weights.shape or not counts.sum() > 0:
        raise ValueError(f"counts and weights are of the same components, got {counts.shape} and {weights.shape}")
    return float(0.5 * np.abs(counts / counts.sum() - weights).sum())


def injected_variance(schedule: Schedule, eta: float = 1.0) -> np.ndarray:
    """σ² of the noise that each call adds, float64 (calls,): η²·(1-ᾱ')/(1-ᾱ)·(1-ᾱ/ᾱ'), ᾱ' the next level, 0 at the end.

    Song et al. 2021, (16); η = 1 is DDPM with variance "fixed_small". The noise z of a call is independent of all that
    came before, quantization errors included, and the drift x_t → E[x_{t-1} | past] is decided before it is drawn:
        E||x_{t-1} - x_t||² = E||drift||² + σ_t²·d  ≥  σ_t²·d,
    and likewise for the residual x_{t-1} - x̂_t of a closed loop, since x̂_t is decided by then. What the first layer
    quantizes cannot become smaller than what the sampler injects, whatever the recursion and however many bits.
    """
    number("eta", eta)
    levels = [(here, after) for _, here, after in schedule.levels()]
    return np.array([
        eta**2 * (1 - after) / (1 - here) * (1 - here / after) if here < 1 else 0.0 for here, after in levels
    ])  # fmt: skip


@dataclass(frozen=True)
class Truth:
    """What samples of a mixture are compared with: its distribution in the span of its means, and exact samples.

    exact (images, s): the reference of W₂; others (k, images, s): further ones, for its floor.
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
        inside, basis = mixture.signal()
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1,)))
        exact, *others = (inside.sample(rng, images) for _ in range(7))
        return cls(inside, mixture.mean, basis, exact, np.stack(others), *inside.entropy(20_000, seed))

    def inside(self, x: np.ndarray) -> np.ndarray:
        """Coordinates in the span of the means, (n, s)."""
        return (x - self.mean) @ self.basis

    def measure(self, x: np.ndarray, full: np.ndarray) -> dict[str, float]:
        """The columns of ``quantized_sampling`` that depend on the samples x; ``full``: full precision, same noise."""
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


#: what a row's "recursion" says where nothing is quantized, or nothing is computed after the first call
FULL_PRECISION, CACHE = "full_precision", "cache"


def arms(
    bits: Iterable[int], recursions: Iterable[str], quantizer: str = "absmax"
) -> Iterator[tuple[str, int, Quantizer | None, str]]:
    """(name, bits, Q, recursion): full precision, then every recursion at every bit width; "cache" has 0 bits."""
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
    """An observer: the energy of x_{t-1} - x_t, which is what the first layer sees change from call to call."""

    def __init__(self) -> None:
        self._last: np.ndarray | None = None
        self._energies: list[float] = []

    def __call__(self, call: LayerCall) -> None:
        if call.layer.name != "logits":
            return
        if self._last is not None:
            self._energies.append(float(((call.a - self._last) ** 2).sum(axis=1).mean()))
        self._last = call.a

    @property
    def rms(self) -> float:
        """RMS over calls and images; NaN for a run of one call, which has no difference."""
        return math.sqrt(np.mean(self._energies)) if self._energies else math.nan


def quantized_sampling(
    mixture: GaussianMixture,
    *,
    bits: Iterable[int] = (2, 3, 4, 5, 6, 8),
    recursions: Iterable[str] = (*_recursion.RECURSIONS, CACHE),
    samplers: Iterable[str] = ("ddim", "ddpm"),
    steps: Iterable[int] = (50,),
    images: int = 512,
    seed: int = 0,
    quantizer: str = "absmax",
    **options: Any,
) -> list[dict[str, Any]]:
    """Every arm sampled from the same noise and compared with the exact distribution: tidy rows.

    sampler, steps, bits, recursion, images    the arm; recursion "full_precision" (bits 32), one of RECURSIONS, or
                                   "cache" (0 bits: nothing is computed after the first call)
    log_likelihood, _half_width    mean of log p(sample), 95 % interval; a sample from p has ``exact_log_likelihood``
    exact_log_likelihood, _half_width    -entropy, by Monte Carlo. A higher value is no better: modes may be missing
    lost, lost_half_width          log-likelihood of full precision minus the arm's, paired by noise
    w2, w2_exact, _low, _high      W₂ to ``images`` exact samples; and of six other sets of exact samples to them, mean
                                   and range: the floor, below which no difference means anything
    path_rms, relative_l2          distance to full precision from the same noise, RMS and relative; w2 between the two
                                   is at most path_rms, which is a coupling
    total_variation, _exact        of the mode weights; and of exact samples (mean): the floor
    chi2_p                         p value of the mode weights (Pearson, K - 1 degrees of freedom)
    difference_rms                 RMS of ||x_{t-1} - x_t|| over the calls: large with few steps or injected noise

    All but path_rms and relative_l2 are in the span of the means. options: passed to ``sample_mixture``.

    Raises ValueError for unknown names or fewer than 2 images.
    """
    if not isinstance(mixture, GaussianMixture):
        raise TypeError(f"quantized_sampling samples a GaussianMixture, got {mixture!r}")
    count("images, which intervals need,", images, 2)
    seed = whole_seed(seed)
    affordable(f"the distances of {images:,} images to as many", 16 * images**2)
    if quantizer not in QUANTIZERS:
        raise ValueError(f"unknown quantizer {quantizer!r}; known: {', '.join(QUANTIZERS)}")
    truth, noise = Truth.of(mixture, images, seed), FixedNoise(seed, images, mixture.d)
    chosen = list(arms(bits, list(recursions), quantizer))
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
    ladder = list(steps)
    for sampler in samplers:
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
