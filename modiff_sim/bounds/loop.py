"""The true loop: a layer's input depends on earlier quantization errors, through the network and the sampler.

a_t is the input of a layer in full precision, d_t = a_t - a_{t-1} its differences (sampling order). The quantized run
feeds ã_t = a_t - η_t, reconstructs â_t and makes the *tracking error* e_t = ã_t - â_t. How strongly errors come back
is one number, the loop gain L >= 0, the premise of everything here:

    ||η_t|| <= L·max_{k<t} ||e_k||     for every sequence of tracking errors,

k <= t with ``same_call=True``, where errors of one call move inputs of the same call: all layers of a network as one
stacked vector. The norm is the max norm with kappa, or the 2-norm with q = sqrt(c) in its place.
L is a worst case over signs and directions; what a network does with *typical* errors is usually far less.
"""

from __future__ import annotations

import math

import numpy as np

from ..arguments import number
from ..names import one_of

EPS = float(np.finfo(np.float64).eps)
RECURSIONS = ("direct", "open_loop", "closed_loop")


def need_gain(L: float) -> float:
    """Return the loop gain if it is a real number >= 0; raise TypeError or ValueError otherwise."""
    return number("the loop gain L", L)


def load(kappa: float, L: float, recursion: str) -> float:
    """Of the condition, what must be below 1: κ(1+2L) in the closed loop, κL for direct; inf in the open loop if κ >
    0.
    """
    one_of("recursion", recursion, RECURSIONS)
    number("kappa", kappa)
    need_gain(L)
    if recursion == "open_loop":
        return math.inf if kappa else 0.0
    return kappa * L if recursion == "direct" else kappa * (1 + 2 * L)


def small_gain(kappa: float, L: float, recursion: str = "closed_loop") -> float:
    """The largest tracking error over the largest difference that the worst case allows; inf where the condition fails.

    Parameters
    ----------
    kappa : float
        Contraction of the quantizer in the max norm, >= 0.
    L : float
        The loop gain, >= 0.
    recursion : {"closed_loop", "direct", "open_loop"}, default "closed_loop"
        How the layer is quantized.

    Returns
    -------
    float
        sup ||e|| over sup ||d|| (direct: over sup ||a||). Closed loop: κ/(1-κ(1+2L)) if κ(1+2L) < 1. Direct: κ/(1-κL)
        if κL < 1. Open loop: inf, because its errors add up. The inputs then deviate from full precision by at most L
        times the tracking error.

    Raises
    ------
    TypeError
        If a constant is not a real number.
    ValueError
        For an unknown recursion or a constant out of range.

    Notes
    -----
    Proof (closed loop). r_t = ã_t - â_{t-1} = d_t - (η_t - η_{t-1}) + e_{t-1} and ||e_t|| <= κ||r_t||. With
    E = max_{k<=n} ||e_k||, which is finite for every n, E <= κ(D + 2LE + E), so E <= κD/(1-κ(1+2L)) for every n.
    Direct: e_t = (I-Q)(a_t - η_t), so E <= κ(sup||a|| + LE).

    Sharp: see ``small_gain_closed_loop``; at and above the condition its linear example is unbounded.

    References
    ----------
    docs/theory.md, section 9.

    Examples
    --------
    >>> from modiff_sim import bounds
    >>> bounds.small_gain(0.125, L=1.5), bounds.small_gain(0.125, L=4.0)
    (0.25, inf)
    """
    margin = 1 - load(kappa, L, recursion)
    return kappa / margin if margin > 4 * EPS else math.inf  # κ, 2L, the sum, the product: 4 roundings


def loop_gain_limit(kappa: float, recursion: str = "closed_loop") -> float:
    """The loop gain L below which the worst case is bounded.

    Parameters
    ----------
    kappa : float
        Contraction of the quantizer in the max norm, >= 0.
    recursion : {"closed_loop", "direct", "open_loop"}, default "closed_loop"
        How the layer is quantized.

    Returns
    -------
    float
        (1/κ-1)/2 in the closed loop, 1/κ for direct, 0 in the open loop. 0 says that no L is small enough, which is so
        for κ >= 1 with compensation as well. inf for κ = 0.

    Raises
    ------
    TypeError
        If ``kappa`` is not a real number.
    ValueError
        For an unknown recursion or a constant out of range.

    Notes
    -----
    For AbsMax, κ = 1/(2·qmax), these are qmax - ½ and 2·qmax: in the worst case compensation asks for at most one bit
    more than direct quantization.

    References
    ----------
    docs/theory.md, section 9.

    Examples
    --------
    >>> import modiff_sim as ms
    >>> ms.bounds.loop_gain_limit(ms.AbsMax(4).kappa(64))
    6.5
    """
    load(kappa, 0.0, recursion)
    if kappa == 0:
        return math.inf
    return {"closed_loop": max(0.0, (1 / kappa - 1) / 2), "direct": 1 / kappa, "open_loop": 0.0}[recursion]


def loop_growth(kappa: float, L: float, recursion: str = "closed_loop") -> float:
    """The factor by which the worst-case error grows per call in the long run; below 1 exactly under the condition.

    Parameters
    ----------
    kappa : float
        Contraction of the quantizer in the max norm, >= 0.
    L : float
        The loop gain, >= 0.
    recursion : {"closed_loop", "direct", "open_loop"}, default "closed_loop"
        How the layer is quantized.

    Returns
    -------
    float
        Closed loop: the positive root of z² = κ((1+L)z + L). Direct: κL. Open loop: the positive root of
        z² = (1+κL)z + κL, which is 1 for L = 0 (linear growth) and above 1 for every L > 0.

    Raises
    ------
    TypeError
        If a constant is not a real number.
    ValueError
        For an unknown recursion or a constant out of range.

    Notes
    -----
    Proof: the recursions of ``small_gain_closed_loop``, ``small_gain_direct`` and ``small_gain_open_loop``, whose
    errors do not decrease for constant differences, so that M_j = E_j.

    References
    ----------
    docs/theory.md, section 9.

    Examples
    --------
    >>> from modiff_sim import bounds
    >>> round(bounds.loop_growth(0.25, L=1.0), 4), bounds.loop_growth(0.25, L=0.0, recursion="open_loop")
    (0.809, 1.0)
    """
    load(kappa, L, recursion)
    if recursion == "direct":
        return kappa * L
    b, c = (kappa * (1 + L), kappa * L) if recursion == "closed_loop" else (1 + kappa * L, kappa * L)
    return (b + math.sqrt(b * b + 4 * c)) / 2


def bits_for_small_gain(L: float, recursion: str = "closed_loop") -> int:
    """The smallest number of AbsMax bits for which the worst case is bounded.

    Parameters
    ----------
    L : float
        The loop gain, >= 0.
    recursion : {"closed_loop", "direct"}, default "closed_loop"
        How the layer is quantized.

    Returns
    -------
    int
        Closed loop: the least b with κ(1+2L) < 1, which is qmax > L + ½. Direct: with κL < 1, which is 2·qmax > L.

    Raises
    ------
    TypeError
        If ``L`` is not a real number.
    ValueError
        For a gain out of range, and for the open loop, for which no number of bits is enough.

    References
    ----------
    docs/theory.md, section 9.

    Examples
    --------
    >>> from modiff_sim import bounds
    >>> bounds.bits_for_small_gain(10.0), bounds.bits_for_small_gain(10.0, "direct")
    (5, 4)
    """
    need = {"closed_loop": float(need_gain(L)) + 0.5, "direct": float(L) / 2}  # what qmax must exceed
    if recursion not in need:
        raise ValueError(f"bits_for_small_gain knows {', '.join(need)}: no number of bits bounds {recursion!r}")
    bits = 2
    while 2 ** (bits - 1) - 1 <= need[recursion]:
        bits += 1
    return bits
