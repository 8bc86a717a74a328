"""Beyond one layer with exogenous inputs: a layer inside a loop, a chain of layers, and their worst-case quantizers.

Like Shrink, these quantizers meet ||x - Q(x)|| <= q||x|| with equality; they differ in the sign of the error.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from modiff_sim import Quantizer
from modiff_sim import recursion as rec
from modiff_sim.recursion.base import Step

from ._shared import Shrink

Feedback = Callable[[int, list[np.ndarray]], Any]


@dataclass(frozen=True, kw_only=True)
class Overshoot(Shrink):
    """Q(x) = (1+q)x: the error has the opposite sign of x."""

    def dequantize(self, codes: Any, qparams: Any) -> Any:
        return (1 + math.sqrt(self.contraction)) * codes


@dataclass(frozen=True, kw_only=True)
class OneSided(Shrink):
    """Q(x) = x - q|x|: the error is never negative, as with rounding down."""

    def dequantize(self, codes: Any, qparams: Any) -> Any:
        return codes - math.sqrt(self.contraction) * abs(codes)


@dataclass(frozen=True)
class LoopRun:
    """Errors (calls, trials, d) of each call: ``tracking`` is e = ã - â, and ``total`` is a - â."""

    tracking: np.ndarray
    total: np.ndarray


def run_loop(recursion: str | rec.Recursion, a: np.ndarray, Q: Quantizer, feedback: Feedback) -> LoopRun:
    """Run one layer (A = 1, exact start) on ã_t = a_t - η_t, with η_t = feedback(t, [e_0, ..., e_{t-1}]).

    ``a`` are full-precision inputs (calls, trials, d). e is always ã - ô: for the open loop the sum of the errors of
    all calls, for direct quantization that of the call itself. Errors of a loop that has overflowed are infinite.
    """
    scheme = rec.Scheme(recursion)
    state, errors, total = None, [], []
    with np.errstate(over="ignore", invalid="ignore"):
        for call, exact in enumerate(a):
            eta = np.broadcast_to(feedback(call, errors), exact.shape)
            state, info = scheme.advance(state, exact - eta, Q)
            for kept, error in ((errors, exact - eta - info.output), (total, exact - info.output)):
                kept.append(np.where(np.isnan(error), np.inf, error))
    return LoopRun(np.stack(errors), np.stack(total))


def signs(n: int) -> np.ndarray:
    """Return +1, -1, +1, ..., shape (n, 1, 1)."""
    return ((-1.0) ** np.arange(n)).reshape(-1, 1, 1)


def alternating(norms: Any) -> np.ndarray:
    """Return scalar inputs (n+1, 1, 1) from 0, whose differences have these norms and alternate in sign."""
    d = np.asarray(norms, np.float64).reshape(-1, 1, 1) * signs(len(norms))
    return np.concatenate([np.zeros((1, 1, 1)), np.cumsum(d, axis=0)])


def worst_feedback(L: float) -> Feedback:
    """Return η_t = ∓L·max_{k<t}|e_k|, opposite to the alternating difference of call t (the first is positive)."""
    return lambda call, errors: (-1.0) ** call * L * np.max(np.abs(errors), axis=0, initial=0.0) if errors else 0.0


def linear_feedback(L: float) -> Feedback:
    """Return the feedback η_t = -L·e_{t-1}."""
    return lambda call, errors: -L * errors[-1] if errors else 0.0


def random_feedback(L: float, d: int, rng: np.random.Generator) -> Feedback:
    """Return η_t = L·B e_k with k < t and B random at every call, ||B||_{inf→inf} = 1.

    It fulfils the premise, but is not adversarial.
    """

    def feedback(call: int, errors: list[np.ndarray]) -> Any:
        if not errors:
            return 0.0
        B = rng.standard_normal((d, d))
        B /= np.abs(B).sum(axis=1).max()
        return L * errors[rng.integers(len(errors))] @ B.T

    return feedback


# -- chains ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ChainRun:
    """Inputs of the full-precision network and total errors a - â of every layer, each (calls, trials, width)."""

    inputs: list[np.ndarray]
    errors: list[np.ndarray]

    def norms(self, order: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return ||a||, ||d|| and ||f|| of calls 1..n, shape (n, layers, trials)."""

        def stacked(arrays: Sequence[np.ndarray]) -> np.ndarray:
            return np.stack([np.linalg.norm(x, ord=order, axis=-1) for x in arrays], axis=1)

        moved = stacked([np.diff(a, axis=0) for a in self.inputs])
        return stacked(self.inputs)[1:], moved, stacked(self.errors)[1:]


def run_chain(
    recursion: str | rec.Recursion,
    a: np.ndarray,
    weights: Sequence[np.ndarray],
    Q: Quantizer,
    nonlinearity: Callable[[np.ndarray], np.ndarray] = lambda x: x,
) -> ChainRun:
    """Run layers a^{l+1} = σ(W_l a^l) in full precision and quantized, call by call from an exact start; a as above.

    ``weights`` lie between the layers, so there is one layer more than weights. The total error of a layer is measured
    with the identity as A: then a - ô is a - â in the closed loop, and what the layer passes on in every recursion.
    """
    scheme = rec.Scheme(recursion)
    layers = len(weights) + 1
    states: list[rec.State | None] = [None] * layers
    inputs: list[list[np.ndarray]] = [[] for _ in range(layers)]
    errors: list[list[np.ndarray]] = [[] for _ in range(layers)]
    for exact in a:
        true = fed = exact
        for layer in range(layers):
            states[layer], info = scheme.advance(states[layer], fed, Q)
            hat = info.output
            inputs[layer].append(true)
            errors[layer].append(true - hat)
            if layer < layers - 1:
                true, fed = nonlinearity(true @ weights[layer].T), nonlinearity(hat @ weights[layer].T)
    return ChainRun([np.stack(x) for x in inputs], [np.stack(x) for x in errors])


# -- static grids and stored numbers -----------------------------------------------------------------------------------


def overloading(n: int, scale: float, bits: int, rng: np.random.Generator, *, bursts: float = 0.2) -> np.ndarray:
    """Return differences >= 0, shape (n,), for which a static grid loses as much as it can at every step.

    Each residual r_j = d_j + e_{j-1} is a tie below an even code, or beyond the last level: the nearest one (so that a
    backlog is worked off) or, in a burst, a random one up to three reaches further. This is exact if the scale is a
    power of two.
    """
    qmax = 2 ** (bits - 1) - 1
    error, d = 0.0, []
    for burst in rng.random(n) < bursts:
        k = int(np.ceil(error / scale - 0.5)) + (int(rng.integers(0, 3 * qmax + 1)) if burst else 0)
        k = max(k, 0)
        k += k % 2 if k < qmax else 0  # odd codes below the last level round up
        r = max((k + 0.5) * scale, error)
        d.append(r - error)
        error = max(scale / 2, r - qmax * scale)
    return np.asarray(d)


@dataclass(frozen=True)
class RoundedLoop(rec.ClosedLoop):
    """The closed loop with finite memory: â and ô are stored through these maps (the identity keeps them as computed).

    With ``telescoping`` ô is updated with A(stored â_new - stored â_old) and remains A of the stored â; otherwise it is
    updated with A(r̂).
    """

    store_ref: Callable[[Any], Any] = lambda y: y
    store_out: Callable[[Any], Any] = lambda y: y
    telescoping: bool = True

    def exact(self, a: Any, affine: Any, call: int = 0) -> Step:
        ref = self.store_ref(a)
        o_hat = self.store_out(affine(ref))
        return rec.State(ref, o_hat, call + 1), rec.Info(o_hat)

    def step(self, state: rec.State, a: Any, Q: Quantizer, A: Any, *, random: Any = None) -> Step:
        residual = a - state.ref
        hat, qparams = Q.apply(residual, random=random)
        ref = self.store_ref(state.ref + hat)
        o_hat = self.store_out(state.o_hat + A(ref - state.ref if self.telescoping else hat))
        return rec.State(ref, o_hat, state.call + 1), rec.Info(o_hat, residual, hat, qparams)
