"""Exact denoisers: a Gaussian mixture, whose best noise prediction is known, written as two linear layers.

Data x₀ ~ Σ_k w_k N(μ_k, σ²I). At noise level ᾱ, x = √ᾱ·x₀ + √(1-ᾱ)·ε is again a mixture, with means √ᾱ·μ_k and the
variance v = ᾱσ² + 1 - ᾱ. The responsibilities r_k = P(k | x), the posterior mean and the best noise prediction are

    r = softmax_k( log w_k - ||x - √ᾱ·μ_k||²/(2v) ),        μ̂ = Σ_k r_k μ_k,
    E[x₀ | x] = (√ᾱ·σ²·x + (1-ᾱ)·μ̂)/v,                      E[ε | x] = √(1-ᾱ)·(x - √ᾱ·μ̂)/v,

and ∇ log p_ᾱ(x) = -E[ε | x]/√(1-ᾱ). Nothing is trained, and nothing but the layers' arithmetic is approximate.

The same as a network of two linear layers, with C the (K, d) matrix of rows μ_k - m and m = Σ_k w_k μ_k:

    layer "logits":  a = x,   h = C a                               no bias
                     r = softmax( (√ᾱ/v)·h + β ),  β_k = log w_k - ᾱ·(||μ_k||² - ||m||²)/(2v)
    layer "mean":    a = r,   μ̂ = Cᵀ a + m                          bias m

Softmax does not see what all logits share, and Σ_k r_k = 1: taking m off the rows changes nothing in full precision,
makes both layers those of centred data, and leaves a bias that must be added once. Time enters as a scale and a shift
between the layers, in full precision, as it does in a U-Net. The first layer's input is x itself, not √ᾱ·x/v: so its
temporal difference is the sampler's own step x_t - x_{t+1}, and what a sampler injects is what this layer sees.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from .. import recursion as _recursion
from ..arguments import namespace, reals
from ..quantizers.base import Quantizer, not_finite, require_floating
from .mixtures import GaussianMixture
from .schedules import Schedule

Array = Any


@dataclass(frozen=True, eq=False)
class Linear:
    """One linear layer: a (n, in) -> a @ weight.T + bias (n, out). ``weight`` is float64 (out, in), ``bias`` (out,)."""

    name: str
    weight: np.ndarray
    bias: np.ndarray | None = None

    def __post_init__(self) -> None:
        weight = reals(f"layer '{self.name}': weight", self.weight, finite=True)
        bias = None if self.bias is None else reals(f"layer '{self.name}': bias", self.bias, finite=True)
        if weight.ndim != 2 or weight.size == 0 or (bias is not None and bias.shape != weight.shape[:1]):
            raise ValueError(
                f"layer '{self.name}': weight has shape (out, in), bias (out,) or None, got {weight.shape} and "
                f"{None if bias is None else bias.shape}"
            )
        object.__setattr__(self, "weight", weight)
        object.__setattr__(self, "bias", bias)

    def linear(self, a: Array) -> Array:
        """A(a): without the bias, in the namespace, dtype and device of a."""
        xp = array_namespace(a)
        return a @ xp.asarray(self.weight, dtype=a.dtype, device=a.device).T

    def affine(self, a: Array) -> Array:
        """A(a) + bias."""
        if self.bias is None:
            return self.linear(a)
        xp = array_namespace(a)
        return self.linear(a) + xp.asarray(self.bias, dtype=a.dtype, device=a.device)


Apply = Callable[[Linear, Array], Array]


@dataclass(frozen=True, eq=False)
class MixtureDenoiser:
    """E[ε | x] of a mixture as two linear layers: a denoiser(x, t) for ``diffusion.samplers``. See the module's head.

    Args:
        mixture: the data's distribution.
        schedule: noise levels of a model that predicts ε (ValueError for another); t indexes its ``alpha_bar``.
        apply: (layer, a) -> output, what computes a layer; default its affine map in full precision. Everything else
            is computed in the dtype of x.
    """

    mixture: GaussianMixture
    schedule: Schedule
    apply: Apply = Linear.affine
    layers: tuple[Linear, Linear] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.schedule.prediction != "epsilon":
            raise ValueError(
                f"the mixture's denoiser predicts epsilon, the schedule says {self.schedule.prediction!r}: give it one "
                "that says epsilon, such as schedules.linear()"
            )
        m = self.mixture.mean
        C = self.mixture.means - m
        object.__setattr__(self, "layers", (Linear("logits", C), Linear("mean", np.ascontiguousarray(C.T), m)))

    def with_layers(self, apply: Apply) -> MixtureDenoiser:
        """The same denoiser whose layers are computed by ``apply``."""
        return MixtureDenoiser(self.mixture, self.schedule, apply)

    def __call__(self, x: Array, t: int) -> Array:
        """eps_hat (n, d) for x (n, d), a real floating array of any array-API namespace; t an index of alpha_bar."""
        xp = namespace("MixtureDenoiser", x)
        require_floating(xp, x, "MixtureDenoiser")
        if x.ndim != 2 or x.shape[1] != self.mixture.d:
            raise ValueError(f"x must have shape (n, {self.mixture.d}), got {tuple(x.shape)}")
        if isinstance(t, bool) or not isinstance(t, Integral) or not 0 <= t < self.schedule.T:
            raise ValueError(f"t must lie in 0 .. {self.schedule.T - 1}, got {t!r}")
        alpha_bar = float(self.schedule.alpha_bar[t])
        v = alpha_bar * self.mixture.sigma**2 + 1 - alpha_bar
        first, second = self.layers
        shift = xp.asarray(self.shift(alpha_bar), dtype=x.dtype, device=x.device)
        logits = (math.sqrt(alpha_bar) / v) * self.apply(first, x) + shift
        e = xp.exp(logits - xp.max(logits, axis=1, keepdims=True))
        mu_hat = self.apply(second, e / xp.sum(e, axis=1, keepdims=True))
        eps = (math.sqrt(1 - alpha_bar) / v) * (x - math.sqrt(alpha_bar) * mu_hat)
        if not bool(xp.all(xp.isfinite(eps))):
            raise ValueError(not_finite(xp, eps, f"MixtureDenoiser's output at t = {t}"))
        return eps

    def shift(self, alpha_bar: float) -> np.ndarray:
        """β_k = log w_k - ᾱ·(||μ_k||² - ||m||²)/(2v), float64 (K,)."""
        mixture, v = self.mixture, alpha_bar * self.mixture.sigma**2 + 1 - alpha_bar
        # ||μ||² - ||m||² = (μ - m)·(μ + m), without cancellation
        square = np.einsum("kd,kd->k", self.layers[0].weight, mixture.means + mixture.mean)
        return np.log(mixture.w) - alpha_bar * square / (2 * v)


@dataclass(frozen=True, eq=False)
class LayerCall:
    """What one layer did in one call, for observers. Every array has one row per sample.

    a, a_hat:     the input and what the layer was in effect computed on: ``output`` = A(a_hat) + bias, up to rounding.
    output:       what the layer returned.
    state:        of the recursion after the call; ``state.residual`` is the quantizer's input (None: full precision).
    """

    layer: Linear
    call: int
    t: int
    a: Array
    a_hat: Array
    output: Array
    state: _recursion.State

    def energies(self) -> dict[str, np.ndarray]:
        """Squared 2-norms per sample, float64 (n,): "input" ||a||², "residual" of what was quantized, "error"
        ||a - a_hat||². A call in full precision has residual 0."""
        residual = self.state.residual if self.state.quantized else 0 * self.a
        parts = {"input": self.a, "residual": residual, "error": self.a - self.a_hat}
        return {name: np.sum(np.asarray(part, np.float64) ** 2, axis=1) for name, part in parts.items()}


Observer = Callable[[LayerCall], object]
#: (layer name, call, shape) -> uniform random bits in [0, 1), for randomised quantizers; for the first call one more
#: axis in front, of length max(feeds, 1)
RandomBits = Callable[[str, int, tuple[int, ...]], Array]


class ModulatedDenoiser:
    """A denoiser both of whose layers run a recursion, each with its own state. Made by ``modulated_denoiser``.

    It belongs to one sampling run at a time: call ``reset()`` before the next. A later call at a larger t than the
    last one, or with another shape, without a reset in between raises ValueError.
    """

    def __init__(
        self,
        denoiser: MixtureDenoiser,
        Q: Quantizer,
        recursion: str | _recursion.Recursion,
        warmup: _recursion.Warmup,
        refresh: _recursion.Refresh,
        random: RandomBits | None,
        observers: Iterable[Observer],
    ) -> None:
        self.recursion = _recursion.get(recursion)
        _recursion.check_warmup(warmup)
        if Q.laws.randomised and random is None:
            raise ValueError(f"{Q} draws no random numbers of its own: pass random=, (layer, call, shape) -> uniforms")
        self.Q, self.warmup, self.refresh = Q, warmup, _recursion.refresh_calls(refresh)
        self.random, self.observers = random, tuple(observers)
        self.denoiser = denoiser.with_layers(self._apply)
        self.reset()

    def reset(self) -> None:
        """Forget all states: the next call is the first of a sampling run."""
        self.states: dict[str, _recursion.State] = {}
        self.call = 0
        self._last: tuple[int, tuple[int, ...]] | None = None

    def __call__(self, x: Array, t: int) -> Array:
        """eps_hat (n, d) of the quantized denoiser."""
        namespace("ModulatedDenoiser", x)
        shape = tuple(x.shape)
        if self._last is not None and (t > self._last[0] or shape != self._last[1]):
            raise ValueError(
                f"a new sampling run? the last call had t = {self._last[0]} and shape {self._last[1]}, this one has "
                f"t = {t} and shape {shape}: call reset() between runs"
            )
        self._t = t
        eps = self.denoiser(x, t)
        self._last = (t, shape)
        self.call += 1
        return eps

    def _apply(self, layer: Linear, a: Array) -> Array:
        xp = array_namespace(a)
        state = self.states.get(layer.name)
        if state is None:
            self.Q.check(a)
        bits = None
        if self.Q.laws.randomised and self.random is not None:
            first = (max(_recursion.feeds(self.warmup), 1),) if state is None else ()
            bits = self.random(layer.name, self.call, (*first, *a.shape))
        # beside A the identity: what it accumulates is â, for every recursion, by the same definition as ô
        state = _recursion.advance(
            self.recursion, state, a, self.Q,
            lambda hat: xp.concat([layer.linear(hat), hat], axis=1),
            affine=lambda hat: xp.concat([layer.affine(hat), hat], axis=1),
            warmup=self.warmup, refreshed=self.refresh(self.call), random=bits,
        )  # fmt: skip
        _recursion.check_finite(self.Q, state, a, f"layer '{layer.name}', call {self.call}")
        self.states[layer.name] = state
        out = layer.weight.shape[0]
        output, a_hat = state.output[:, :out], state.output[:, out:]
        for observe in self.observers:
            observe(LayerCall(layer, self.call, self._t, a, a_hat, output, state))
        return output


def modulated_denoiser(
    denoiser: MixtureDenoiser,
    Q: Quantizer,
    recursion: str | _recursion.Recursion = "closed_loop",
    *,
    warmup: _recursion.Warmup = "exact",
    refresh: _recursion.Refresh = "never",
    random: RandomBits | None = None,
    observers: Iterable[Observer] = (),
) -> ModulatedDenoiser:
    """The denoiser with both linear layers' inputs quantized: a denoiser(x, t) for ``modiff_sim.diffusion.samplers``.

    Args:
        Q, recursion, warmup, refresh: as in ``modiff_sim.recursion``; the call index counts calls since ``reset()``.
            With a scale shared by the batch (PerBatch, PerChannel) a sample depends on the others.
        random: uniform bits for randomised quantizers, (layer name, call, shape) -> array like the layer's input.
        observers: each is called with a ``LayerCall`` after every call of every layer.

    Raises:
        ValueError: unknown recursion, warm-up or refresh; missing random bits; and while running: NaN or Inf (naming
            layer and call), or a new run without ``reset()``.
    """
    return ModulatedDenoiser(denoiser, Q, recursion, warmup, refresh, random, observers)
