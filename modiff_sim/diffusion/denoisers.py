"""Exact denoisers: the best noise prediction of a Gaussian mixture, written as two linear layers.

Data x₀ ~ Σ_k w_k N(μ_k, σ²I). At noise level ᾱ, x = √ᾱ·x₀ + √(1-ᾱ)·ε is again a mixture, with means √ᾱ·μ_k and the
variance v = ᾱσ² + 1 - ᾱ. The responsibilities r_k = P(k | x), the posterior mean and the best noise prediction are

    r = softmax_k( log w_k - ||x - √ᾱ·μ_k||²/(2v) ),        μ̂ = Σ_k r_k μ_k,
    E[x₀ | x] = (√ᾱ·σ²·x + (1-ᾱ)·μ̂)/v,                      E[ε | x] = √(1-ᾱ)·(x - √ᾱ·μ̂)/v,

and ∇ log p_ᾱ(x) = -E[ε | x]/√(1-ᾱ). Nothing is trained, and only the layers' arithmetic is approximate.

The same as a network of two linear layers, with C the (K, d) matrix of rows μ_k - m and m = Σ_k w_k μ_k:

    layer "logits":  a = x,   h = C a                               no bias
                     r = softmax( (√ᾱ/v)·h + β ),  β_k = log w_k - ᾱ·(||μ_k||² - ||m||²)/(2v)
    layer "mean":    a = r,   μ̂ = Cᵀ a + m                          bias m

Softmax ignores what all logits share, and Σ_k r_k = 1. Subtracting m from the rows therefore changes nothing in full
precision; it makes both layers those of centred data, and leaves a bias that must be added once. Time enters as a scale
and a shift between the layers, in full precision, as it does in a U-Net. The first layer's input is x itself rather
than √ᾱ·x/v. Its temporal difference is thus the sampler's own step x_t - x_{t+1}, and this layer sees the noise that a
sampler injects.
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
    """A linear layer: a (n, in) -> a @ weight.T + bias (n, out).

    Parameters
    ----------
    name : str
        The layer's name, used in messages and by observers.
    weight : array_like of float64, shape (out, in)
        The matrix of the linear map A. ValueError for another shape, or where it is not finite.
    bias : array_like of float64, shape (out,), optional
        The bias, finite as well.

    Examples
    --------
    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> layer = ms.denoisers.Linear("sum", [[1.0, 1.0]], [10.0])
    >>> layer.linear(np.array([[2.0, 3.0]])), layer.affine(np.array([[2.0, 3.0]]))
    (array([[5.]]), array([[15.]]))
    """

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
        """Apply the linear map A, without the bias, in the namespace, dtype and device of a."""
        xp = array_namespace(a)
        return a @ xp.asarray(self.weight, dtype=a.dtype, device=a.device).T

    def affine(self, a: Array) -> Array:
        """Apply the layer: A(a) + bias."""
        if self.bias is None:
            return self.linear(a)
        xp = array_namespace(a)
        return self.linear(a) + xp.asarray(self.bias, dtype=a.dtype, device=a.device)


#: (layer, input) -> the layer's output
Apply = Callable[[Linear, Array], Array]


@dataclass(frozen=True, eq=False)
class MixtureDenoiser:
    """The exact noise prediction E[ε | x] of a mixture as two linear layers: a ``denoiser(x, t)`` for the samplers.

    The module's docstring gives the formulas.

    Parameters
    ----------
    mixture : GaussianMixture
        The distribution of the data.
    schedule : Schedule
        Noise levels of a model that predicts ε. The argument t is an index of its ``alpha_bar``.
    apply : callable, optional
        ``apply(layer, a)`` computes a layer's output; by default its affine map in full precision. Everything else is
        computed in the dtype of x.

    Attributes
    ----------
    layers : tuple of Linear
        The layers "logits" and "mean".

    Raises
    ------
    ValueError
        The schedule's prediction is not ε.

    Examples
    --------
    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> mixture, schedule = ms.mixtures.ring(), ms.schedules.linear()
    >>> denoiser = ms.denoisers.MixtureDenoiser(mixture, schedule)
    >>> x = np.array([[1.0, 2.0]])
    >>> np.allclose(denoiser(x, 500), mixture.eps(x, schedule.alpha_bar[500]))
    True
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
        """The same denoiser with its layers computed by ``apply``."""
        return MixtureDenoiser(self.mixture, self.schedule, apply)

    def __call__(self, x: Array, t: int) -> Array:
        """Predict the noise: E[ε | x], an array (n, d) like x.

        x is a real floating-point array (n, d) of any array-API namespace, and t an index of the schedule's
        ``alpha_bar``. Raises TypeError for another type, and ValueError for another shape, t out of range, or an
        output with NaN or Inf.
        """
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
        """The shift β_k = log w_k - ᾱ·(||μ_k||² - ||m||²)/(2v) of the logits, float64 (K,)."""
        mixture, v = self.mixture, alpha_bar * self.mixture.sigma**2 + 1 - alpha_bar
        # ||μ||² - ||m||² as (μ - m)·(μ + m), which avoids cancellation
        square = np.einsum("kd,kd->k", self.layers[0].weight, mixture.means + mixture.mean)
        return np.log(mixture.w) - alpha_bar * square / (2 * v)


@dataclass(frozen=True, eq=False)
class LayerCall:
    """What one layer did in one call, for observers. Every array has one row per sample.

    Parameters
    ----------
    layer, call, t
        The layer, the index of the call from 0, and the training timestep.
    a, a_hat : array
        The input, and what the layer was in effect computed on: ``output`` = A(a_hat) + bias, up to rounding.
    output : array
        What the layer returned.
    info : Info
        What the recursion did. ``info.residual`` is the quantizer's input, or None in full precision.
    """

    layer: Linear
    call: int
    t: int
    a: Array
    a_hat: Array
    output: Array
    info: _recursion.Info

    def energies(self) -> dict[str, np.ndarray]:
        """Squared 2-norms per sample, float64 (n,), by name.

        "input" is ||a||², "residual" that of what was quantized (0 for a call in full precision), and "error" ||a -
        a_hat||².
        """
        residual = self.info.residual if self.info.quantized else 0 * self.a
        parts = {"input": self.a, "residual": residual, "error": self.a - self.a_hat}
        return {name: np.sum(np.asarray(part, np.float64) ** 2, axis=1) for name, part in parts.items()}


#: called with every ``LayerCall``
Observer = Callable[[LayerCall], object]
#: (layer name, call, shape) -> uniform random bits in [0, 1), for randomised quantizers; for the first call one
#: more axis in front, of length ``Scheme.draws``
RandomBits = Callable[[str, int, tuple[int, ...]], Array]


class ModulatedDenoiser:
    """A denoiser with a recursion in each of its two layers. ``modulated_denoiser`` makes it from its arguments.

    It belongs to one sampling run at a time: call ``reset()`` before the next. Without that, a call at a larger t
    than the last one, or with another shape, raises ValueError.
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
        self.scheme = _recursion.Scheme(recursion, warmup, refresh)
        if Q.laws.randomised and random is None:
            raise ValueError(f"{Q} draws no random numbers of its own: pass random=, (layer, call, shape) -> uniforms")
        self.Q, self.random, self.observers = Q, random, tuple(observers)
        self.denoiser = denoiser.with_layers(self._apply)
        self.reset()

    def reset(self) -> None:
        """Forget all states, so that the next call is the first of a sampling run."""
        self.states: dict[str, _recursion.State] = {}
        self.call = 0
        self._last: tuple[int, tuple[int, ...]] | None = None

    def __call__(self, x: Array, t: int) -> Array:
        """Predict the noise with quantized layers; float array (n, d) like x."""
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
            first = (self.scheme.draws,) if state is None else ()
            bits = self.random(layer.name, self.call, (*first, *a.shape))
        # The identity runs beside A: what it accumulates is â, for every recursion, by the same definition as ô.
        state, info = self.scheme.advance(
            state,
            a,
            self.Q,
            lambda hat: xp.concat([layer.linear(hat), hat], axis=1),
            affine=lambda hat: xp.concat([layer.affine(hat), hat], axis=1),
            random=bits,
        )
        _recursion.check_finite(self.Q, info, a, f"layer '{layer.name}', call {self.call}")
        self.states[layer.name] = state
        out = layer.weight.shape[0]
        output, a_hat = info.output[:, :out], info.output[:, out:]
        for observe in self.observers:
            observe(LayerCall(layer, self.call, self._t, a, a_hat, output, info))
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
    """The denoiser with the inputs of both linear layers quantized: a ``denoiser(x, t)`` for the samplers.

    Parameters
    ----------
    denoiser : MixtureDenoiser
        The denoiser in full precision.
    Q : Quantizer
        The quantizer of both layers' inputs. With a scale shared by the batch (PerBatch, PerChannel), a sample
        depends on the others.
    recursion, warmup, refresh
        As in ``modiff_sim.recursion``. Calls are counted since ``reset()``.
    random : callable, optional
        (layer name, call, shape) -> uniform random bits in [0, 1), like the layer's input; for randomised quantizers.
    observers : iterable of callable
        Each is called with a ``LayerCall`` after every call of every layer.

    Returns
    -------
    ModulatedDenoiser
        The quantized denoiser.

    Raises
    ------
    ValueError
        The recursion, warm-up or refresh is unknown, or random bits are missing. While it runs: a layer has NaN or
        Inf (the message names layer and call), or a new run begins without ``reset()``.

    Examples
    --------
    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> exact = ms.denoisers.MixtureDenoiser(ms.mixtures.ring(), ms.schedules.linear().spaced(20))
    >>> coarse = ms.denoisers.modulated_denoiser(exact, ms.AbsMax(bits=8))
    >>> start = np.random.default_rng(0).standard_normal((4, 2))
    >>> full, quantized = (ms.samplers.ddim(d, start, exact.schedule) for d in (exact, coarse))
    >>> bool(np.abs(full - quantized).max() < 0.1)
    True
    """
    return ModulatedDenoiser(denoiser, Q, recursion, warmup, refresh, random, observers)
