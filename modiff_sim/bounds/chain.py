"""Several layers in a chain: the error of layer l enters the input of layer l+1, in the same call.

Layer l has the input a^l, a^{l+1} = σ_l(A_l a^l). The quantized network feeds ã^l = a^l - η^l, with η^1 = 0 (the
network's input is exogenous), and reconstructs â^l; f^l = a^l - â^l is the *total* error, ||f^l_t|| <= F^l_t, and

    H^{l+1}_t = g_l F^l_t,   g_l = λ_l ||A_l||,   λ_l a Lipschitz constant of σ_l (1 for ReLU, 1.1 for SiLU)

bounds ||η^{l+1}_t||. Norms are the max norm with kappa and ||A||_{inf→inf}, or the 2-norm with q = sqrt(c) and ||A||; q
stands for either here. The first call is exact. For output errors multiply F^l by ||A_l||.

d has shape (n, layers, ...): norms of the differences of the *full-precision* inputs of every layer, sampling order.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ..arguments import reals
from ..typing import Array, ArrayLike
from ._common import checked, times


def _chain(d: ArrayLike, q: ArrayLike, gains: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    d, q, gains = reals("d", d), reals("q", q), reals("gains", gains)
    if d.ndim < 2 or d.size == 0:
        raise ValueError(f"d must have shape (steps, layers, ...), none of them 0, got {d.shape}")
    checked(d, 0.0)
    layers = d.shape[1]
    q = np.broadcast_to(q, (layers,)) if q.ndim == 0 else q
    if q.shape != (layers,) or gains.shape != (layers - 1,):
        raise ValueError(
            f"{layers} layers need one q or {layers}, and {layers - 1} gains between them, got {q.shape}, {gains.shape}"
        )
    for name, value in (("q", q), ("gains", gains)):
        if not (np.isfinite(value).all() and (value >= 0).all()):
            raise ValueError(f"{name} must be finite and >= 0, got {value}")
    return d, q, gains


def _enters(gains: np.ndarray, before: list[Array], layer: int, like: Array) -> Array:
    """H of a layer: what the one before it passes on, 0 at the first."""
    return times(gains[layer - 1], before[layer - 1]) if layer else np.zeros_like(like)


def _passed_on(d: np.ndarray, gains: np.ndarray, error: Callable[[int, Array, Array], Array]) -> np.ndarray:
    """The errors of all layers at every step, error(layer, ||d||, H); each passes its own on to the next layer."""
    rows = []
    with np.errstate(over="ignore"):  # a bound that overflows is infinite, which is true
        for row in d:
            now: list[Array] = []
            for layer, size in enumerate(row):
                now.append(error(layer, size, _enters(gains, now, layer, size)))
            rows.append(np.stack(now))
    return np.stack(rows)


def chain_closed_loop(d: ArrayLike, q: ArrayLike, gains: ArrayLike) -> np.ndarray:
    """Total input error of every layer of a chain of closed loops.

        F^l_t = (1+q_l)H^l_t + q_l(||d^l_t|| + F^l_{t-1}),  H^{l+1}_t = g_l F^l_t

    Parameters
    ----------
    d : array_like of float, shape (n, layers, ...)
        Norms of the differences of every layer's full-precision inputs in sampling order, finite and >= 0.
    q : float or array_like, shape (layers,)
        One contraction, or one per layer: kappa in the max norm, sqrt(c) in the 2-norm.
    gains : array_like of float, shape (layers - 1,)
        g_1..g_{layers-1}, Lipschitz constants times ||A_l||.

    Returns
    -------
    numpy.ndarray
        F after each difference, shape of ``d``.

    Raises
    ------
    TypeError
        If an argument does not hold real numbers.
    ValueError
        If ``d`` is empty, or if a norm or a constant is negative, infinite or NaN.

    Notes
    -----
    Proof: r_t = ã_t - â_{t-1} = d_t + f_{t-1} - η_t, so f_t = η_t + (I-Q)(d_t + f_{t-1} - η_t). (It is the same number
    as from ||η_t - η_{t-1}|| <= H_t + H_{t-1} and tracking errors E = F - H: what is lost by bounding that difference
    is won back by F_{t-1} = H_{t-1} + E_{t-1}.)

    Tight at every step in every layer: gains without nonlinearity, d^1_t = (-1)^t |d_t|, Q(x) = (1+q)x. Then
    f_t = (1+q)η_t - q(d_t + f_{t-1}), and all three terms have the sign -(-1)^t. The steady state is
    ``chain_steady_state``.

    References
    ----------
    docs/theory.md, section 8.

    Examples
    --------
    >>> import numpy as np
    >>> from modiff_sim import bounds
    >>> bounds.chain_closed_loop(np.ones((3, 2)), 0.25, [1.0])
    array([[0.25      , 0.5625    ],
           [0.3125    , 0.78125   ],
           [0.328125  , 0.85546875]])
    """
    d, q, gains = _chain(d, q, gains)
    last = list(np.zeros_like(d[0]))

    def error(layer: int, size: Array, H: Array) -> Array:
        last[layer] = (1 + q[layer]) * H + times(q[layer], size + last[layer])
        return last[layer]

    return _passed_on(d, gains, error)


def chain_open_loop(d: ArrayLike, q: ArrayLike, gains: ArrayLike) -> np.ndarray:
    """Total input error of every layer of a chain of open loops, which grows polynomially.

        S^l_t = S^l_{t-1} + q_l(||d^l_t|| + H^l_t + H^l_{t-1}),  F = H + S,  H^{l+1}_t = g_l F^l_t

    Parameters
    ----------
    d : array_like of float, shape (n, layers, ...)
        Norms of the differences of every layer's full-precision inputs in sampling order, finite and >= 0.
    q : float or array_like, shape (layers,)
        One contraction, or one per layer: kappa in the max norm, sqrt(c) in the 2-norm.
    gains : array_like of float, shape (layers - 1,)
        g_1..g_{layers-1}, Lipschitz constants times ||A_l||.

    Returns
    -------
    numpy.ndarray
        F after each difference, shape of ``d``. For constant differences F^l grows like t^l: every layer sums up what
        the one before it has summed.

    Raises
    ------
    TypeError
        If an argument does not hold real numbers.
    ValueError
        If ``d`` is empty, or if a norm or a constant is negative, infinite or NaN.

    Notes
    -----
    Proof: ô is A of ã_t - Σ_k e_k, where e_k = (I-Q)(ã_k - ã_{k-1}) and ã_k - ã_{k-1} = d_k - η_k + η_{k-1}; S bounds
    the sum. Tight for layer 1 at every step, and for layer 2 at every second one: a^2 = |a^1|, a^1 swinging from side
    to side, Q(x) = x - q|x|, so that η^2 alternates in sign and e^2 does not. Beyond, it is an upper bound: F^2 is not
    attained in the steps between.

    References
    ----------
    docs/theory.md, section 8.

    Examples
    --------
    >>> import numpy as np
    >>> from modiff_sim import bounds
    >>> bounds.chain_open_loop(np.ones((3, 2)), 0.25, [1.0])
    array([[0.25  , 0.5625],
           [0.5   , 1.25  ],
           [0.75  , 2.0625]])
    """
    d, q, gains = _chain(d, q, gains)
    S, before = list(np.zeros_like(d[0])), list(np.zeros_like(d[0]))

    def error(layer: int, size: Array, H: Array) -> Array:
        S[layer] = S[layer] + times(q[layer], size + H + before[layer])
        before[layer] = H
        return H + S[layer]

    return _passed_on(d, gains, error)


def chain_direct(a: ArrayLike, q: ArrayLike, gains: ArrayLike) -> np.ndarray:
    """Total input error of every layer of a chain with direct quantization: F^l_t = (1+q_l)H^l_t + q_l ||a^l_t||.

    Parameters
    ----------
    a : array_like of float, shape (calls, layers, ...)
        Norms of every layer's full-precision inputs, finite and >= 0.
    q : float or array_like, shape (layers,)
        One contraction, or one per layer: kappa in the max norm, sqrt(c) in the 2-norm.
    gains : array_like of float, shape (layers - 1,)
        g_1..g_{layers-1}, Lipschitz constants times ||A_l||.

    Returns
    -------
    numpy.ndarray
        F at each call, shape of ``a``.

    Raises
    ------
    TypeError
        If an argument does not hold real numbers.
    ValueError
        If ``d`` is empty, or if a norm or a constant is negative, infinite or NaN.

    Notes
    -----
    Proof: f = η + (I-Q)(a - η). Tight at every call in every layer: positive gains and inputs, Q(x) = (1+q)x.

    References
    ----------
    docs/theory.md, section 8.

    Examples
    --------
    >>> from modiff_sim import bounds
    >>> bounds.chain_direct([[8.0, 8.0]], 0.25, [1.0])
    array([[2. , 4.5]])
    """
    a, q, gains = _chain(a, q, gains)
    now: list[Array] = []
    for layer in range(a.shape[1]):
        H = _enters(gains, now, layer, a[:, layer])
        now.append((1 + q[layer]) * H + q[layer] * a[:, layer])
    return np.stack(now, axis=1)


def chain_steady_state(d: ArrayLike, q: ArrayLike, gains: ArrayLike) -> np.ndarray:
    """The supremum over t of F^l_t in a chain of closed loops: F^l = ((1+q_l)H^l + q_l d^l)/(1-q_l).

    Parameters
    ----------
    d : array_like of float, shape (layers, ...)
        The largest norms of every layer's differences, finite and >= 0.
    q : float or array_like, shape (layers,)
        One contraction, or one per layer: kappa in the max norm, sqrt(c) in the 2-norm.
    gains : array_like of float, shape (layers - 1,)
        g_1..g_{layers-1}, Lipschitz constants times ||A_l||.

    Returns
    -------
    numpy.ndarray
        F of every layer, shape of ``d``; inf from the first layer with q_l >= 1 on, while anything enters it.

    Raises
    ------
    TypeError
        If an argument does not hold real numbers.
    ValueError
        If ``d`` is empty, or if a norm or a constant is negative, infinite or NaN.

    Notes
    -----
    A layer passes errors on with the factor g(1+q)/(1-q), which at 4 bits (max norm) is 1.15·g, at 2 bits 3·g. The
    value is the fixed point of the recursion and its limit for constant differences, from below.

    References
    ----------
    docs/theory.md, section 8.

    Examples
    --------
    >>> from modiff_sim import bounds
    >>> bounds.chain_steady_state([1.0, 1.0], 0.5, [1.0])
    array([1., 4.])
    """
    d, q, gains = _chain(reals("d", d)[None], q, gains)
    now: list[Array] = []
    for layer, size in enumerate(d[0]):
        push = (1 + q[layer]) * _enters(gains, now, layer, size) + q[layer] * size
        now.append(push / (1 - q[layer]) if q[layer] < 1 else np.where(push > 0, math.inf, 0.0))
    return np.stack(now)
