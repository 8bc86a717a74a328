"""The error bounds, one function per statement, named by what it is.

Every function takes ``d``, the norms of the differences in **sampling order**, shape (n,) or (n, trials): d[0] is the
first (oldest) difference, the paper's k = T-1; d[-1] the newest. It returns an array of the same shape whose row j is
the bound on the **norm** of the output error after difference j (the paper bounds squares: its sums are computed as
printed and their root is returned, so that all bounds can be compared). Row j sees the j+1 differences 0..j.

    age = j - k    how long ago difference k was, at row j (0 is the newest)

c is on the squared 2-norm (the paper's (29)), q = sqrt(c) on the 2-norm, kappa on the max norm. ``gain`` is ||A||:
the spectral norm for 2-norm statements, ||A||_{inf→inf} (largest absolute row sum) for max-norm statements.
``start`` is the norm of the input error a_T - â_T of an inexact start, 0 for the exact one. Any c, kappa >= 0 is
taken: whether the premise of a statement (such as 2c < 1) holds is for the caller to report.

Proofs are one-step recursions, e_j <= ... e_{j-1} ..., given in each docstring, unrolled by ``_unroll``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

INDICES = ("paper", "sampling")


def _checked(d: Any, contraction: float, name: str = "c", start: Any = 0.0) -> np.ndarray:
    d = np.asarray(d, np.float64)
    if d.ndim == 0 or d.size == 0:
        raise ValueError(f"d must hold the norms of at least one difference, got shape {d.shape}")
    if not (np.isfinite(d).all() and (d >= 0).all()):
        raise ValueError("d are norms of differences: finite and >= 0")
    if not 0 <= contraction < math.inf:
        raise ValueError(f"{name} is a squared-norm or norm ratio and must be finite and >= 0, got {contraction}")
    if not np.all(np.asarray(start) >= 0):
        raise ValueError("start is the norm of an error and must be >= 0")
    return d


def _unroll(inputs: np.ndarray, keep: float, start: Any = 0.0) -> np.ndarray:
    """x_j = keep·x_{j-1} + inputs_j with x_{-1} = start: the closed form Σ_k keep^age inputs_k + keep^(j+1) start."""
    rows, x = [], start
    with np.errstate(over="ignore"):  # beyond the largest float a bound is infinite, which is what it is worth
        for row in inputs:
            x = keep * x + row
            rows.append(x)
    return np.stack(rows)


def _summed(d2: np.ndarray, ratio: float) -> np.ndarray:
    """Σ_k ratio^k d2_k, k = 0 the oldest: the weights of the paper's index. A zero difference adds 0 at any weight."""
    with np.errstate(over="ignore", invalid="ignore"):
        terms = ratio ** np.arange(len(d2), dtype=float).reshape(-1, *(1,) * (d2.ndim - 1)) * d2
        return np.cumsum(np.where(d2 == 0, 0.0, terms), axis=0)


def _index(index: str) -> None:
    if index not in INDICES:
        raise ValueError(f"unknown index {index!r}; known: {', '.join(INDICES)}")


# -- as printed (Theorem 4.4) ----------------------------------------


def printed_open_loop(d: Any, c: float, *, gain: float = 1.0, index: str = "paper") -> np.ndarray:
    """(30): ||o_t - õ_t||² <= Σ_{k=t}^{T-1} 2^(T-k-1) c ||A||² ||d_k||². **False** in either reading of its index.

    index="paper": T is the first step, so the *oldest* difference (k = T-1) has weight 2^0 and the newest 2^(n-1).
    index="sampling": k counted in sampling order, exponent = age. Below the truth by a factor under 2.
    """
    d = _checked(d, c)
    _index(index)
    if index == "sampling":
        return gain * np.sqrt(c * _unroll(d**2, 2.0))
    return gain * np.sqrt(c * _summed(d**2, 2.0))


def printed_closed_loop(d: Any, c: float, *, gain: float = 1.0, index: str = "paper") -> np.ndarray:
    """(31): ||o_t - ô_t||² <= Σ_{k=t}^{T-1} (2c)^(T-k-1) ||A||² ||d_k||². **False** with the paper's own index.

    index="paper": the newest difference gets the smallest weight, (2c)^(n-1).
    index="sampling": exponent = age. True for all n exactly when c(2 - 2^(1-n)) <= 1, so for 2c <= 1, and loose by
    the missing factor 2c.
    """
    d = _checked(d, c)
    _index(index)
    if index == "sampling":
        return gain * np.sqrt(_unroll(d**2, 2 * c))
    return gain * np.sqrt(_summed(d**2, 2 * c))


# -- what the proof's own recursions give ----------------------------------------


def young_open_loop(d: Any, c: float, *, gain: float = 1.0) -> np.ndarray:
    """(30'): c||A||² [Σ_{k<T-1} 2^(age+1) ||d_k||² + 2^(T-1-t) ||d_{T-1}||²].

    ||e_j||² <= 2(||e_{j-1}||² + c||d_j||²) by Young's inequality ||x+y||² <= 2||x||² + 2||y||², and the first error is
    c||d_0||² alone.
    """
    d = _checked(d, c)
    inputs = 2 * c * d**2
    inputs[0] /= 2
    return gain * np.sqrt(_unroll(inputs, 2.0))


def young_closed_loop(d: Any, c: float, *, gain: float = 1.0, start: Any = 0.0) -> np.ndarray:
    """(31') with its oldest term tight: ||A||² [Σ_{k<T-1} (2c)^(age+1) ||d_k||² + c(2c)^(T-1-t) ||d_{T-1}||²].

    e_j² <= c||d_j + e_{j-1}||² <= 2c(||d_j||² + e_{j-1}²); with an exact start the first is c||d_0||². An inexact
    start adds (2c)^(j+1)·start² and makes the oldest weight (2c)^(age+1).
    """
    d = _checked(d, c, start=start)
    inputs = 2 * c * d**2
    inputs[0] = np.where(np.asarray(start) == 0, inputs[0] / 2, inputs[0])
    return gain * np.sqrt(_unroll(inputs, 2 * c, np.asarray(start, np.float64) ** 2))


# -- sharp -----------------------------------------------------------------------------------------------------------


def sharp_open_loop(d: Any, c: float, *, gain: float = 1.0) -> np.ndarray:
    """||o - õ|| <= q||A|| Σ_k ||d_k||, q = sqrt(c): **linear** in the norm. The error is the sum of all steps' errors.

    Tight: collinear differences and the scalar quantizer Q(x) = (1-q)x attain it at every step.
    """
    d = _checked(d, c)
    return gain * math.sqrt(c) * np.cumsum(d, axis=0)


def sharp_closed_loop(d: Any, c: float, *, gain: float = 1.0, start: Any = 0.0) -> np.ndarray:
    """||o - ô|| <= ||A|| [Σ_k q^(age+1) ||d_k|| + q^n start], for every c >= 0 (bounded in n for every c < 1).

    e_j = ||r - Q(r)|| with r = d_j + e_{j-1}, so e_j <= q(||d_j|| + e_{j-1}). Tight, as the open loop's.
    Steady state for constant ||d||: q/(1-q)·||d||.
    """
    d = _checked(d, c, start=start)
    q = math.sqrt(c)
    return gain * _unroll(q * d, q, start)


def max_norm_open_loop(d_inf: Any, kappa: float, *, gain: float = 1.0) -> np.ndarray:
    """||o - õ||_inf <= ||A||_{inf→inf} kappa Σ_k ||d_k||_inf."""
    d = _checked(d_inf, kappa, "kappa")
    return gain * kappa * np.cumsum(d, axis=0)


def max_norm_closed_loop(d_inf: Any, kappa: float, *, gain: float = 1.0, start: Any = 0.0) -> np.ndarray:
    """||o - ô||_inf <= ||A||_{inf→inf} [Σ_k kappa^(age+1) ||d_k||_inf + kappa^n start_inf].

    No dimension and no tail enters; every b >= 2. ``processes.alternating`` attains it at every step for AbsMax, d=2.
    """
    d = _checked(d_inf, kappa, "kappa", start)
    return gain * _unroll(kappa * d, kappa, start)


def direct(a: Any, contraction: float, *, gain: float = 1.0) -> np.ndarray:
    """Direct quantization, no history: ||o - A(Q(a))|| <= ||A|| sqrt(c)||a|| (pass kappa² as c for max norms)."""
    a = _checked(a, contraction)
    return gain * math.sqrt(contraction) * a


# -- single-step statements ----------------------------------------


def theorem_4_3(scale: Any, d: int, *, rounding: str = "floor") -> np.ndarray:
    """Theorem 4.3: ||x - Q(x)||² <= s²d for floor; s²d/4 for round-to-nearest. A bound on the *square*, as printed."""
    factor = {"floor": 1.0, "nearest": 0.25}
    if rounding not in factor:
        raise ValueError(f"unknown rounding {rounding!r}; known: {', '.join(factor)}")
    scale = np.asarray(scale, np.float64)
    if d < 1 or not np.all(scale >= 0):
        raise ValueError(f"Theorem 4.3 needs d >= 1 and scales >= 0, got d={d}, scale={scale}")
    return np.asarray(factor[rounding] * scale**2 * d)


def corollary_a3_bits(d: int, c: float) -> float:
    """Corollary A.3: (29) holds if b >= log2(sqrt(4d/c) + 1). d >= 1, c > 0."""
    if d < 1 or not c > 0:
        raise ValueError(f"Corollary A.3 needs d >= 1 and c > 0, got d={d}, c={c}")
    return math.log2(math.sqrt(4 * d / c) + 1)


def bits_saved(bits: int, ratio: float) -> float:
    """Bits that a closed loop saves over direct AbsMax at an equal steady-state max-norm bound.

    ``ratio`` is R = ||a||_inf/||d||_inf. Equating kappa(b')·||a|| with kappa(b)/(1-kappa(b))·||d|| gives
    qmax(b') = (qmax - ½)R, so b' - b = log2((1 + (qmax - ½)R)/(qmax + 1)): 1.6, 2.7, 3.0 at 2, 3, 4 bits for R = 10.
    """
    if bits < 2 or not ratio > 0:
        raise ValueError(f"bits_saved needs bits >= 2 and a ratio > 0, got bits={bits}, ratio={ratio}")
    qmax = 2 ** (bits - 1) - 1
    return math.log2((1 + (qmax - 0.5) * ratio) / (qmax + 1))


#: name -> bound, as legends and the command line list them
BOUNDS: dict[str, Callable[..., np.ndarray]] = {
    f.__name__: f
    for f in (
        printed_open_loop, young_open_loop, sharp_open_loop, max_norm_open_loop,
        printed_closed_loop, young_closed_loop, sharp_closed_loop, max_norm_closed_loop,
    )
}  # fmt: skip
