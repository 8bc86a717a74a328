"""What error to expect from a quantized run, and from how many bits on: the energy theory of the loop.

The worst case (``bounds.small_gain``) cannot answer this. Here errors are taken as *random*: only their energy is
known, and energies add. Two things are measured: the transfer of network and sampler (``modiff_sim.transfer``, once,
without any quantizer), and what the quantizer does to each layer's own inputs (``quantization_noise``, without any
network). From these ``predict`` gives the error of x at every call, for every bit width and recursion.

For layer l at call t let η be the error that its operator A sees, â - a; N its energy, e the energy of A(η), c the
share of the residual's energy that the quantizer leaves, g = e/N. The residual's energy R and the error are

    closed loop   R = ||d||² + N' + U,    N = cR    (N': N of the last call)        e = gN
    open loop     R = ||d||² + U,         N = cR    of this call alone              e = e' + gN     (it adds up)
    direct        R = ||a||²              N = cR  (errors leave the size of inputs)   e = gN

because the residual is a_t - â_{t+1} = d_t + (last error) + (how far errors elsewhere have moved this input since the
last call). The energy U of the last term has two sources: layers upstream in the same call, and x. With
φ = cos(A(η), A(η')) between calls, and upstream and moved as in ``modiff_sim.transfer``,

    U_m(t) = Σ_{l before m} upstream[t, l, m](e_l + e'_l - 2φ_l√(e_l e'_l)) + Σ_{s<t} moved[s, m, t]·E(s)·(P/P₀)(t)
    E(t)   = Σ_l output[t, l]·e_l(t)                                     energy of the error of ε̂
    P(t)   = P₀ + χ·Σ_{u≠v<t} ρ(u,v)·√(p_u p_v),   P₀ = Σ_u p_u,   p_u = impulse[u, t]·E(u)     energy of x's error

ρ(u, v) = Π φ over the calls between is the correlation of the errors of ε̂ in two calls (φ is the mean over layers, by
their share of E), and χ the ``alignment`` of the responses of x to them. White errors have φ = 0 and P = P₀. An error
that stays (open loop, φ → 1) or returns (direct quantization of inputs that hardly change) adds up in amplitude.

An error that is the same for every image, such as that of the time embedding, is one fixed sequence rather than noise,
and often the largest error of all. It is not predicted but taken as ``known`` (``transfer.drive``), with its own layers
left out of transfer and noise: its energy adds to P, and what it moves adds to U.

The prediction fails in two cases. (i) At few bits the quantizer rounds whole residuals to zero: layers stand still, and
their error is not noise. Errors upstream then *shrink* what they should add to, and those of successive calls point the
same way. P of a loop is therefore limited by ``held``, the error of not moving at all (0 bits), which is measured
without another call; one bit above, the prediction is too low by a factor of up to 2.5. (ii) Errors can be so large
that the network is no longer linear: direct quantization at 2 bits, which has no such limit, is predicted far too low.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np

from .. import recursion as _recursion
from ..arguments import number, reals
from ..quantizers.base import Quantizer
from . import Driven, Transfer, energy
from .call import ratio
from .predicted import PREDICTED as PREDICTED
from .predicted import Noise as Noise
from .predicted import Prediction as Prediction

#: relative l2 error, median over samples, above which a result no longer counts as full precision's
TOLERANCE = 0.15


def layer_noise(
    inputs: np.ndarray, Q: Quantizer, recursion: str, linear: Callable[[np.ndarray], np.ndarray] = lambda a: a
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The noise (c, g, φ) of one layer, each (T, n).

    The inputs are (T, n, ...), and ``linear`` is the layer's linear operator, rows on axis 0. Raises ValueError for
    inputs of another shape or with NaN or Inf, and for other recursions than the three standard ones.
    """
    inputs = reals("a layer's inputs", inputs, dtype=None, finite=True)
    if inputs.ndim < 3 or inputs.size == 0:
        raise ValueError(f"a layer's inputs have shape (T, n, ...), none of them 0, got {inputs.shape}")
    T, n = inputs.shape[:2]
    chosen = _recursion.get(recursion)
    if _recursion.standard(chosen) not in PREDICTED:
        raise ValueError(f"errors are predicted for {', '.join(PREDICTED)}, got {_recursion.label(chosen)}")
    recursion = str(_recursion.standard(chosen))
    calls = [info for _, info in _recursion.run(chosen, inputs, Q)]
    first = 0 if calls[0].quantized else 1
    quantized = calls[first:]
    if not quantized:
        return np.zeros((T, n)), np.zeros((T, n)), np.zeros((T, n))
    error = np.stack([s.residual_hat - s.residual for s in quantized])
    total = np.cumsum(error, axis=0) if recursion == "open_loop" else error
    behind = linear(total.reshape(-1, *inputs.shape[2:])).reshape(len(quantized), n, -1)
    size = energy(error.reshape(-1, *inputs.shape[2:])).reshape(-1, n)
    residual = np.stack([energy(s.residual) for s in quantized])
    e = energy(behind.reshape(len(quantized) * n, -1)).reshape(-1, n)
    gained = np.diff(e, axis=0, prepend=0.0) if recursion == "open_loop" else e
    both = np.einsum("tni,tni->tn", behind[1:], behind[:-1]).astype(np.float64)
    cosine = np.zeros_like(e)
    cosine[1:] = ratio(both, np.sqrt(e[1:] * e[:-1])) if len(e) > 1 else 0.0

    def placed(values: np.ndarray) -> np.ndarray:
        return np.concatenate([np.zeros((first, n)), values])

    return placed(ratio(size, residual)), placed(ratio(gained, size)), placed(np.clip(cosine, 0.0, 1.0))


def quantization_noise(
    inputs: Sequence[np.ndarray], Q: Quantizer, recursion: str, linear: Callable[[int, np.ndarray], np.ndarray]
) -> Noise:
    """The noise of a quantizer in every layer, a ``Noise``.

    Parameters
    ----------
    inputs : sequence of array_like, shape (T, n, ...)
        One array per layer, as from ``transfer.full_precision``.
    Q : Quantizer
        A deterministic quantizer; a randomised one raises ValueError.
    recursion : str
        One of the three standard recursions.
    linear : callable
        (layer, rows) -> A(rows), as of a network.

    Examples
    --------
    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> inputs = [np.random.default_rng(0).standard_normal((4, 2, 64))]
    >>> noise = ms.prediction.quantization_noise(inputs, ms.AbsMax(8), "direct", lambda layer, a: a)
    >>> bool(noise.contraction.max() < 1e-3)
    True
    """
    if Q.laws.randomised:
        raise ValueError(f"quantization_noise needs a deterministic quantizer, got {Q}")
    if not len(inputs):
        raise ValueError("no layer has any inputs: pass one array (T, n, ...) per layer")
    found = [layer_noise(a, Q, recursion, partial(linear, i)) for i, a in enumerate(inputs)]
    return Noise(recursion, *(np.stack(part, axis=1) for part in zip(*found, strict=True)))


def predict(
    transfer: Transfer, noise: Noise, *, known: Driven | None = None, feedback: bool = True, limit: bool = True
) -> Prediction:
    """The expected error energies of a quantized run, by the module's formulas; a ``Prediction``.

    Parameters
    ----------
    transfer : Transfer
        The transfer of network and sampler.
    noise : Noise
        The noise of the quantizer, for the same calls, layers and samples (ValueError for others).
    known : Driven, optional
        Errors that are not noise, in layers that transfer and noise do not have: ``Driven.of(transfer.layers)``.
    feedback : bool, default True
        False leaves out U and N': a control, which shows what they do.
    limit : bool, default True
        False leaves out the limit ``held``. A loop whose ``amplification`` is above 1 then grows without bound, up
        to inf.

    Examples
    --------
    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> from modiff_sim.transfer.mixture import MixtureNetwork
    >>> exact = ms.denoisers.MixtureDenoiser(ms.mixtures.ring(), ms.schedules.linear().spaced(5))
    >>> run = MixtureNetwork(exact), np.ones((3, 2)), ms.transfer.linear_steps(ms.samplers.ddim, exact.schedule)
    >>> inputs = ms.transfer.full_precision(*run)
    >>> noise = ms.prediction.quantization_noise(inputs, ms.AbsMax(8), "closed_loop", run[0].linear)
    >>> ms.prediction.predict(ms.transfer.measure_transfer(*run), noise).relative.shape
    (5, 3)
    """
    _same(transfer, noise)
    if known is not None and (known.layers != transfer.layers or known.moved.shape != transfer.a.shape):
        raise ValueError("what is known must be of the transfer's own layers, calls and samples: known.of(layers)")
    T, L, n = transfer.a.shape
    direct, adds_up = noise.recursion == "direct", noise.recursion == "open_loop"
    N, e, E = np.zeros((T, L, n)), np.zeros((T, L, n)), np.zeros((T, n))
    P, plain, rho = np.zeros((T + 1, n)), np.zeros((T + 1, n)), np.zeros((T, T, n))
    zero = np.zeros((L, n))
    with np.errstate(over="ignore", invalid="ignore"):
        for t in range(T):
            last_N, last_e = (N[t - 1], e[t - 1]) if t else (zero, zero)
            R = transfer.a[t].copy() if direct else transfer.d[t].copy()
            if feedback and not direct:
                boost = np.minimum(ratio(P[t], plain[t]), 1e300)
                R += np.einsum("sln,sn->ln", transfer.moved[:t, :, t], E[:t]) * boost
                R += last_N if noise.recursion == "closed_loop" else 0.0
                R += known.moved[t] if known is not None else 0.0
            for l in range(L):
                if feedback and not direct and l:
                    before = slice(0, l)
                    phi = noise.correlation[t, before]
                    change = e[t, before] + last_e[before] - 2 * phi * np.sqrt(e[t, before] * last_e[before])
                    R[l] += (transfer.upstream[t, before, l] * change).sum(axis=0)
                N[t, l] = noise.contraction[t, l] * R[l]
                e[t, l] = np.maximum(noise.gain[t, l] * N[t, l] + (last_e[l] if adds_up else 0.0), 0.0)
            share = transfer.output[t] * e[t]
            E[t] = share.sum(axis=0)
            rho[t, t] = 1
            rho[:t, t] = rho[:t, t - 1] * ratio((share * noise.correlation[t]).sum(axis=0), E[t]) if t else 1
            p = np.sqrt(transfer.impulse[: t + 1, t + 1] * E[: t + 1])
            plain[t + 1] = (p**2).sum(axis=0)
            pairs = np.einsum("un,vn,uvn->n", p, p, rho[: t + 1, : t + 1])  # rho is 0 for u > v: each pair once
            P[t + 1] = plain[t + 1] + 2 * transfer.alignment * (pairs - plain[t + 1])
            if limit and not direct:
                P[t + 1] = np.fmin(P[t + 1], transfer.held[t + 1])
    if known is not None:
        still = limit and not direct and transfer.held <= P
        P = np.where(still, transfer.held, P + known.x)  # a network that stands still passes nothing on
    return Prediction(N, E, P, transfer.x, noise.recursion)


def _same(transfer: Transfer, noise: Noise) -> None:
    if noise.contraction.shape != transfer.a.shape:
        raise ValueError(f"noise {noise.contraction.shape} and transfer {transfer.a.shape} differ in (T, L, n)")


def amplification(transfer: Transfer, noise: Noise) -> np.ndarray:
    """The share of a call's error energies that the closed loop brings back: a spectral radius per call, (T,).

    M_t[m, l] is the energy of layer m's error, in all calls together, per unit of energy of layer l's error at call
    t. It is c_m times the sum of 1 if m = l, as the next residual contains it; 2·upstream·g_l, in this call and the
    next; and, through x, Σ_s moved·output·g_l. Energies are means over samples; what is known adds nothing. If the
    coefficients of call t were those of all calls, errors would stay bounded exactly if the spectral radius of M_t
    is below 1: N(t) = Σ_k A_k N(t-k) + b with entrywise non-negative A_k is stable if and only if the spectral
    radius of Σ_k A_k is below 1. It is the typical counterpart of the worst case's κ(1+2L) < 1.

    Parameters
    ----------
    transfer, noise
        As of ``predict``, for the closed loop. The other recursions raise ValueError: direct quantization brings
        nothing back here, and the open loop keeps all.

    Examples
    --------
    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> shapes = [(2, 1, 1)] * 2 + [(3, 1)] * 2 + [(2, 1, 1, 1), (2, 1, 1), (2, 3, 1), (2, 1, 2, 1)]
    >>> alone = ms.transfer.Transfer(("conv",), *map(np.zeros, shapes), alignment=0.0)
    >>> c = np.full((2, 1, 1), 0.01)
    >>> ms.prediction.amplification(alone, ms.prediction.Noise("closed_loop", c, c, c))
    array([0.01, 0.01])
    """
    _same(transfer, noise)
    if noise.recursion != "closed_loop":
        raise ValueError(f"amplification is of the closed loop, got {noise.recursion!r}")
    T, L, _ = transfer.a.shape
    radius = np.zeros(T)
    for t in range(T):
        c, g = noise.contraction[t].mean(axis=1), noise.gain[t].mean(axis=1)
        through_x = np.outer(transfer.moved[t, :, t + 1 :].sum(axis=1).mean(axis=1), transfer.output[t].mean(axis=1))
        M = np.eye(L) + (2 * transfer.upstream[t].mean(axis=2).T + through_x) * g
        radius[t] = np.abs(np.linalg.eigvals(c[:, None] * M)).max()
    return radius


def cliff(errors: Mapping[int, float], tolerance: float = TOLERANCE) -> int | None:
    """The fewest bits from which on every error is at most ``tolerance``; None if even the most bits are too few.

    Parameters
    ----------
    errors : mapping of int to float
        Bits -> relative l2 error of the result, predicted or measured. NaN counts as too large. An empty one raises
        ValueError.
    tolerance : float
        The largest error, above 0; by default ``TOLERANCE``.

    Examples
    --------
    >>> import modiff_sim as ms
    >>> ms.prediction.cliff({3: 0.1, 4: 0.2, 6: 0.05, 8: 0.01})
    6
    """
    number("tolerance", tolerance, above=0)
    if not errors:
        raise ValueError("cliff needs errors per bits, got none")
    found = None
    for bits in sorted(errors, reverse=True):
        if not errors[bits] <= tolerance:
            break
        found = bits
    return found
