"""Exact expectations of unbiased quantizers, by following every outcome of the random bits instead of sampling."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from modiff_sim import Identity, Laws, Quantizer
from modiff_sim import recursion as rec

from .. import _shared

UP = 1 - 2.0**-53  # the largest random number: floor(x + UP) is the next level for every x off the grid


@dataclass(frozen=True, kw_only=True)
class Coin(Identity):
    """Q(x) = (1 + √omega ξ)x, unbiased, with ||x-Q(x)||² = omega||x||².

    ξ is +1 or -1 with equal chances, the same for all entries.
    """

    laws = Laws(error=None, c="tight", kappa="tight", unbiased=True, randomised=True)
    omega: float

    def quantize(self, blocks: Any, qparams: Any, *, random: Any = None) -> Any:
        """Return (1 ± √omega)x, with the sign from the random bits."""
        return (1 + math.sqrt(self.omega) * np.where(random[..., :1] < 0.5, -1.0, 1.0)) * blocks

    def c(self, d: int) -> float:
        """The contraction in the squared 2-norm."""
        return self.omega

    def kappa(self, d: int) -> float:
        """The contraction in the max norm."""
        return math.sqrt(self.omega)


def outcomes(Q: Quantizer, residual: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (random bits, probability) of every outcome; residual is (rows, d) and probability (rows,)."""
    if isinstance(Q, Coin):
        for u in (0.25, 0.75):
            yield np.full(residual.shape, u), np.full(len(residual), 0.5)
        return
    steps = residual / Q.choose_qparams(residual).scale
    fraction = steps - np.floor(steps)
    for ups in itertools.product((False, True), repeat=residual.shape[1]):
        up = np.asarray(ups)
        yield np.where(up, UP, np.zeros_like(residual)), np.where(up, fraction, 1 - fraction).prod(axis=1)


def expectation(recursion: _shared.Recursion, differences: np.ndarray, Q: Quantizer) -> _shared.Errors:
    """Compute √E||o-ô||² exactly after every difference (A is the identity, exact start at 0).

    Differences are (n, trials, d). The number of rows doubles at every call (Coin) or grows 2^d-fold (AbsMax), so this
    is for short runs only.
    """
    chosen = rec.get(recursion) if isinstance(recursion, str) else recursion
    n, trials, dim = differences.shape
    a = np.zeros((trials, dim))
    state, chance, error = rec.State(a, a, 1), np.ones(trials), []
    for row in differences:
        a = a + row
        repeated = np.tile(a, (len(chance) // trials, 1))
        after = []
        residual = repeated - state.ref
        for random, likely in outcomes(Q, residual):
            moved, _ = chosen.step(state, repeated, Q, lambda x: x, random=random)
            after.append((moved, chance * likely))
        state = rec.State(*(np.concatenate([getattr(s, k) for s, _ in after]) for k in ("ref", "o_hat")), 1)
        chance = np.concatenate([p for _, p in after])
        lost = np.sum((np.tile(repeated, (len(after), 1)) - state.o_hat) ** 2, axis=1)
        error.append(np.sqrt((chance * lost).reshape(-1, trials).sum(axis=0)))
    size = np.maximum.accumulate(np.abs(np.cumsum(differences, axis=0)).max(axis=(1, 2)))[:, None]
    # a call rounds the residual, the reconstruction, two products and the probability
    slack = 8 * _shared.EPS * np.arange(1, n + 1)[:, None] * math.sqrt(dim) * size * np.ones(trials)
    return _shared.Errors(np.stack(error), np.linalg.norm(differences, axis=2), slack, [])


def both_ends(done: _shared.Errors, bound: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return smallest and largest error/bound at every length, over trials with small rounding, and its slack."""
    clear = done.slack < _shared.CLEAR * bound
    ratio = np.divide(done.error, bound, out=np.zeros_like(bound), where=clear)
    slack = np.divide(done.slack, bound, out=np.zeros_like(bound), where=clear)
    return np.where(clear, ratio, np.inf).min(axis=1), ratio.max(axis=1), slack.max(axis=1)


def coverage(inside: np.ndarray, level: float = 0.99) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the share of trials that are inside, per row of a boolean array (rows, trials), with its interval.

    The interval is that of Clopper and Pearson, which is exact for every share.
    """
    from scipy.special import betaincinv

    n, hits = inside.shape[1], inside.sum(axis=1)
    tail = (1 - level) / 2
    low = np.where(hits == 0, 0.0, betaincinv(np.maximum(hits, 1), n - hits + 1, tail))
    high = np.where(hits == n, 1.0, betaincinv(hits + 1, np.maximum(n - hits, 1), 1 - tail))
    return hits / n, low, high
