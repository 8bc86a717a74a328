"""c and kappa measured on data, with an interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arguments import affordable, count, number, reals
from ..arguments import seed as whole_seed
from ..names import one_of
from ..quantizers import get
from ..quantizers.base import Quantizer
from ..shown import Said, Shown
from ..typing import Array, ArrayLike

NORMS = ("c", "kappa")


@dataclass(frozen=True, repr=False)
class Measured(Shown):
    """A measured contraction.

    Parameters
    ----------
    values : numpy.ndarray
        The ratio of each block, shape (n,).
    mean : float
        Their mean.
    low, high : float
        Its bootstrap interval.
    largest : float
        The largest value.

    Examples
    --------
    >>> from modiff_sim import contraction
    >>> contraction.summary([0.25, 0.25, 0.25])
    Measured: a contraction, over 3 blocks
        mean      0.25
        interval  0.25 to 0.25
        largest   0.25
    """

    values: np.ndarray
    mean: float
    low: float
    high: float
    largest: float

    def _said(self) -> Said:
        interval = f"{self.low:.4g} to {self.high:.4g}"
        facts = {"mean": self.mean, "interval": interval, "largest": self.largest}
        return Said(f"Measured: a contraction, over {len(self.values)} blocks", facts)


def ratios(Q: Quantizer | str, x: ArrayLike, *, norm: str = "c", random: Array | None = None) -> np.ndarray:
    """The contraction of every block of x: ||x - Q(x)||²/||x||², or the ratio of the max norms.

    Parameters
    ----------
    Q : Quantizer or str
        The quantizer, or text such as "absmax:3".
    x : array_like of float
        An array that fits the quantizer's granularity; its dtype is kept.
    norm : {"c", "kappa"}, default "c"
        The squared 2-norm or the max norm.
    random : array, optional
        Random bits for a randomised quantizer, uniform in [0, 1), of x's shape.

    Returns
    -------
    numpy.ndarray
        One ratio per block, shape (blocks,); 0 for a block of zeros.

    Raises
    ------
    TypeError
        If ``x`` is not an array of real floats.
    ValueError
        For an unknown norm, or an array that the quantizer refuses.

    Examples
    --------
    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> ms.contraction.ratios(ms.AbsMax(3), np.array([[3.0, 0.5], [3.0, 1.0]]), norm="kappa").round(4)
    array([0.1667, 0.    ])
    """
    one_of("norm", norm, NORMS)
    Q = get(Q, "Q of a contraction")
    x = reals("x", x, dtype=None)
    Q.check(x)
    blocks, axes = Q.blocks(np, x)
    wide = blocks.astype(np.float64)
    error = wide - np.reshape(Q(x, random=random), blocks.shape)
    if norm == "c":
        top, bottom = np.sum(error**2, axis=axes), np.sum(wide**2, axis=axes)
    else:
        top, bottom = np.max(np.abs(error), axis=axes), np.max(np.abs(wide), axis=axes)
    return np.divide(top, bottom, out=np.zeros_like(top), where=bottom > 0).ravel()


def summary(values: ArrayLike, *, level: float = 0.95, resamples: int = 1000, seed: int = 0) -> Measured:
    """Mean of independent values with its percentile-bootstrap interval.

    Parameters
    ----------
    values : array_like of float, shape (n,)
        At least two finite values.
    level : float, default 0.95
        Confidence level of the interval.
    resamples : int, default 1000
        How often the values are resampled.
    seed : int, default 0
        Seed of the resampling.

    Returns
    -------
    Measured
        The mean with its interval.

    Raises
    ------
    TypeError
        If ``values`` does not hold real numbers.
    ValueError
        For fewer than 2 values, or arguments out of range.
    MemoryError
        If the resamples do not fit into this machine's memory.

    Examples
    --------
    >>> from modiff_sim import contraction
    >>> m = contraction.summary([0.1, 0.2, 0.3, 0.2])
    >>> m.low <= m.mean <= m.high
    True
    """
    values = reals("values", values, finite=True)
    if values.ndim != 1 or values.size < 2:
        raise ValueError(
            f"an interval needs at least 2 blocks (rows, for PerSample), shape (n,), got {values.shape}; use ratios() "
            "for a single one"
        )
    number("level", level, above=0, below=1, what="a probability")
    rng = np.random.default_rng(whole_seed(seed))
    affordable(f"{count('resamples', resamples):,} resamples of {values.size:,} values", 16 * resamples * values.size)
    means = values[rng.integers(0, values.size, (resamples, values.size))].mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Measured(values, float(values.mean()), float(low), float(high), float(values.max()))


def measure(
    Q: Quantizer | str, x: ArrayLike, *, norm: str = "c", random: Array | None = None, **options: Any
) -> Measured:
    """Contraction measured on data, with a percentile-bootstrap interval of its mean over blocks.

    Parameters
    ----------
    Q : Quantizer or str
        The quantizer, or text such as "absmax:3".
    x : array_like of float
        An array whose blocks (for ``PerSample``: rows) are independent draws.
    norm : {"c", "kappa"}, default "c"
        The squared 2-norm or the max norm.
    random : array, optional
        Random bits for a randomised quantizer, uniform in [0, 1), of x's shape.
    **options
        level, resamples and seed of ``summary``.

    Returns
    -------
    Measured
        The ratios with their mean and its interval.

    Raises
    ------
    TypeError
        If ``x`` is not an array of real floats.
    ValueError
        For an array of one block, which gives no interval, and as ``ratios``.

    Examples
    --------
    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> x = np.random.default_rng(0).standard_normal((32, 64))
    >>> ms.contraction.measure(ms.AbsMax(4), x).largest <= ms.AbsMax(4).c(64)
    True
    """
    return summary(ratios(Q, x, norm=norm, random=random), **options)
