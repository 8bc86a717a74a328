"""Statements on one step: Theorem 4.3, Corollary A.3, the bits that a smaller range saves."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..arguments import count, number, reals
from ._common import qmax


def theorem_4_3(scale: Any, d: int, *, rounding: str = "floor") -> np.ndarray:
    """Theorem 4.3: ||x - Q(x)||² <= s²d for floor; s²d/4 for round-to-nearest. A bound on the *square*, as printed."""
    factor = {"floor": 1.0, "nearest": 0.25}
    if rounding not in factor:
        raise ValueError(f"unknown rounding {rounding!r}; known: {', '.join(factor)}")
    scale = reals("scale", scale)
    count("d", d)
    if not (np.isfinite(scale).all() and (scale >= 0).all()):
        raise ValueError(f"Theorem 4.3 needs finite scales >= 0, got scale={scale}")
    return np.asarray(factor[rounding] * scale**2 * d)


def corollary_a3_bits(d: int, c: float) -> float:
    """Corollary A.3: (29) holds if b >= log2(sqrt(4d/c) + 1). d >= 1, c > 0."""
    count("d", d)
    number("c", c, above=0)
    return math.log2(math.sqrt(4 * d / c) + 1)


def bits_saved(bits: int, ratio: float) -> float:
    """Bits that a closed loop saves over direct AbsMax at an equal steady-state max-norm bound.

    ``ratio`` is R = ||a||_inf/||d||_inf. Equating kappa(b')·||a|| with kappa(b)/(1-kappa(b))·||d|| gives
    qmax(b') = (qmax - ½)R, so b' - b = log2((1 + (qmax - ½)R)/(qmax + 1)): 1.6, 2.7, 3.0 at 2, 3, 4 bits for R = 10.
    """
    top = qmax(bits)
    number("ratio", ratio, above=0, what="||a||/||d||")
    return math.log2((1 + (top - 0.5) * ratio) / (top + 1))
