"""What the bounds share: the checks of their arguments, and the one-step recursion unrolled."""

from __future__ import annotations

import numpy as np

from ..arguments import count, number, reals
from ..typing import Array, ArrayLike


def checked(d: ArrayLike, contraction: float, name: str = "c", start: ArrayLike = 0.0, gain: float = 1.0) -> np.ndarray:
    """``d`` as a float64 array, once it and the constants beside it are valid for a bound.

    Raises TypeError for what does not hold real numbers, and ValueError for numbers out of range or unfitting shapes.
    """
    d = reals("d", d)
    if d.ndim == 0 or d.size == 0:
        raise ValueError(f"d must hold the norms of at least one difference, got shape {d.shape}")
    if not (np.isfinite(d).all() and (d >= 0).all()):
        raise ValueError("d are norms of differences: finite and >= 0")
    number(name, contraction, what="a ratio of norms or of their squares")
    number("gain", gain, what="the norm of an operator")
    begin = reals("start", start)
    if not (begin >= 0).all():
        raise ValueError(f"start is the norm of an error and must be >= 0, got {start!r}")
    try:
        np.broadcast_shapes(begin.shape, d.shape[1:])
    except ValueError:
        raise ValueError(f"start has shape {begin.shape}, which does not fit the trials of d, {d.shape[1:]}") from None
    return d


def qmax(bits: int) -> int:
    """The largest code of a symmetric grid, 2^(b-1) - 1; raises ValueError unless ``bits`` is an int from 2 to 32."""
    if count("bits of a symmetric grid", bits, 2) > 32:
        raise ValueError(f"a symmetric grid has at most 32 bits, got {bits}")
    return int(2 ** (int(bits) - 1) - 1)


def geometric(n: ArrayLike, x: ArrayLike) -> np.ndarray:
    """The sum x + x² + ... + x^n for x >= 0 and n >= 0, elementwise: n at x = 1, and inf where it overflows."""
    n, x = reals("n", n), reals("x", x)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = np.where(x == 1, n, -np.expm1(n * np.log(x)) / (1 - x))
        return np.asarray(np.where(x == 0, 0.0, x * ratio))


def times(factor: float, x: Array) -> Array:
    """The product factor·x, which is 0 for the factor 0 even where x is infinite: an absent term adds nothing."""
    return factor * x if factor else np.zeros_like(x)


def unroll(inputs: np.ndarray, keep: float, start: ArrayLike = 0.0) -> np.ndarray:
    """All x_j = keep·x_{j-1} + inputs_j with x_{-1} = start: Σ_k keep^age inputs_k + keep^(j+1) start."""
    rows, x = [], np.asarray(start, np.float64)
    with np.errstate(over="ignore"):  # a bound that overflows is infinite, which is true
        for row in inputs:
            x = keep * x + row
            rows.append(x)
    return np.stack(rows)
