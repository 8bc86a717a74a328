"""Means over the random bits of a quantizer, and whether one of them refutes what is declared.

Where every entry of Q(x) depends on its own random number alone, as in rounding, a mean over the entries is computed
from ``POINTS`` equally spaced numbers, the same for all entries. It is exact up to half of the variation from 0 to 1
that is seen there, and half of the largest value, for what lies between two numbers, each divided by ``POINTS``
(Koksma's inequality).

Else, as where a whole sample shares one number, means are taken over ``DRAWS`` arrays of random bits. What they refute
is beyond ``SIGMAS`` standard errors in two independent sets of draws. The draws are the same in every run.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .base import Quantizer
from .laws import SIGMAS

POINTS, DRAWS = 256, 1024


def refuted(
    Q: Quantizer,
    x: np.ndarray,
    of: Callable[[np.ndarray], np.ndarray],
    excess: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray | None:
    """Return the mean of ``of(Q(x))`` over the random bits if it is too large, else None.

    Parameters
    ----------
    Q : Quantizer
        A randomised quantizer.
    x : numpy.ndarray
        The input.
    of : callable
        Takes Q(x), and returns an array: sums, over entries, of functions of one entry each.
    excess : callable
        Takes the mean, and returns how far it is beyond what is declared, in the same shape.

    Examples
    --------
    >>> import modiff_sim as ms
    >>> from modiff_sim.quantizers.random_means import refuted
    >>> Q, x = ms.Stochastic(3), np.array([[3.0, 0.25, 1.5]])
    >>> square = lambda values: np.sum((x - values) ** 2)  # its mean is 0 + 3/16 + 1/4
    >>> refuted(Q, x, square, lambda mean: mean - 0.4)
    array(0.4375)
    >>> refuted(Q, x, square, lambda mean: mean - 7 / 16) is None
    True
    """
    numbers = ((np.arange(POINTS) + 0.5) / POINTS).astype(x.dtype)
    ends = np.array([0, np.nextafter(x.dtype.type(1), x.dtype.type(0))], x.dtype)
    rng = np.random.default_rng(0)
    rank = rng.permuted(np.broadcast_to(np.arange(POINTS)[:, None], (POINTS, x.size)), axis=0)
    line = np.concatenate([ends[:1], numbers, ends[1:]])
    same = _outcomes(Q, x, np.broadcast_to(line[:, None], (len(line), x.size)))
    mixed = _outcomes(Q, x, numbers[rank])
    if np.array_equal(mixed.reshape(rank.shape), np.take_along_axis(same[1:-1].reshape(rank.shape), rank, axis=0)):
        found = np.stack([of(values) for values in same])
        off = (np.abs(np.diff(found, axis=0)).sum(axis=0) + np.abs(found).max(axis=0)) / (2 * POINTS)
        mean = np.asarray(found[1:-1].mean(axis=0))
        return mean if np.any(excess(mean) > off) else None
    mean = np.asarray(np.mean([of(values) for values in mixed], axis=0))
    beyond = excess(mean) > 0
    for _ in range(2):
        if not np.any(beyond):
            return None
        bits = np.minimum(rng.random((DRAWS, x.size)).astype(x.dtype), ends[1])  # which may round to 1
        found = np.stack([of(values) for values in _outcomes(Q, x, bits)])
        mean = np.asarray(found.mean(axis=0))
        beyond &= excess(mean) > SIGMAS * found.std(axis=0, ddof=1) / np.sqrt(DRAWS)
    return mean if np.any(beyond) else None


def _outcomes(Q: Quantizer, x: np.ndarray, bits: np.ndarray) -> np.ndarray:
    """Return Q(x), (n, *shape of x), with each of the random bits, (n, entries of x).

    Copies of x beside each other are quantized in one call where that makes no difference for the first two.
    """
    each = bits.reshape(-1, *x.shape)

    def beside(some: np.ndarray) -> np.ndarray:
        copies = np.concatenate([x] * len(some))
        return Q(copies, random=some.reshape(copies.shape)).reshape(some.shape)

    first = np.stack([Q(x, random=one) for one in each[:2]])
    if x.ndim and np.array_equal(beside(each[:2]), first):
        return beside(each)
    return np.stack([Q(x, random=one) for one in each])
