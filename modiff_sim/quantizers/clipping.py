"""Symmetric grids that do not reach max|x|: clipping helps the 2-norm on typical data and costs the max norm.

Both keep absmax's codes, ±qmax, and choose a smaller scale per block.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from array_api_compat import array_namespace

from ..arguments import count, number
from ..typing import Array
from .absmax import AbsMax, guarded
from .base import QParams, Quantizer
from .laws import NEAREST
from .worst_case import need_dimension

MOST_CANDIDATES = 10**4


def _rows(xp: Any, blocks: Array, axes: tuple[int, ...]) -> Array:
    """The entries of each block along a last axis, (..., d)."""
    kept = tuple(i for i in range(blocks.ndim) if i not in axes)
    moved = xp.permute_dims(blocks, kept + axes)
    return xp.reshape(moved, (*(blocks.shape[i] for i in kept), math.prod(blocks.shape[i] for i in axes)))


def _sum(xp: Any, rows: Array) -> Array:
    """Sum over the last axis, halved again and again: the same additions, so the same bits, on every backend."""
    while rows.shape[-1] > 1:
        half = rows.shape[-1] // 2
        odd = rows[..., 2 * half :]
        rows = rows[..., :half] + rows[..., half : 2 * half]
        rows = xp.concat([rows, odd], axis=-1) if odd.shape[-1] else rows
    return rows


@dataclass(frozen=True, kw_only=True)
class _Clipped(AbsMax):
    """Base: codes are clamped to ±qmax, because entries lie beyond."""

    laws = NEAREST
    saturates = True
    scale_from_extremes = False

    @property
    def limits(self) -> tuple[float, float]:
        """Entries below or above these, in scales, are clipped."""
        return -(self.qmax + 0.5), self.qmax + 0.5

    def clipped_at(self, xp: Any, blocks: Array, axes: tuple[int, ...], top: Array) -> Array:
        """The largest value of the grid, in the shape of ``top`` = max|x|."""
        raise NotImplementedError  # pragma: no cover - abstract

    def choose_qparams(self, a: Array) -> QParams:
        """Scale (and zero point) of every block of ``a``."""
        xp = array_namespace(a)
        blocks, axes = self.blocks(xp, a)
        top = xp.max(xp.abs(blocks), axis=axes, keepdims=True)
        end = self.clipped_at(xp, blocks, axes, top)
        return guarded(xp, xp.where(xp.isfinite(top), end, top) / self.qmax)  # NaN and Inf reach the scale

    def quantize(self, blocks: Array, qparams: QParams, *, random: Array | None = None) -> Array:
        """Codes of a blocked array, in its dtype."""
        xp = array_namespace(blocks)
        return xp.clip(xp.round(blocks / qparams.scale), -self.qmax, self.qmax)


@dataclass(frozen=True, kw_only=True)
class Percentile(_Clipped):
    """Symmetric quantizer that clips at a percentile of |x|.

    The grid ends at the entry of rank ⌈percentile·d/100⌉, without interpolation. Where that entry is 0 it reaches
    max|x|, as absmax's does.

    Parameters
    ----------
    bits : int
        Bits b of a code, from 2 to 32.
    granularity : Granularity, default PerSample()
        Which entries share a scale.
    percentile : float, default 99.0
        Greater than 0 and at most 100.

    Notes
    -----
    Not a contraction as soon as one entry can lie beyond: an outlier loses all but a vanishing part, c = kappa = 1
    (never more: 0 is a level, and the nearest level is no further). For d so small that the rank is d it is absmax.

    Examples
    --------
    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> ms.Percentile(bits=3, percentile=75.0)(np.array([[3.0, 1.2, -0.6, 100.0]]))
    array([[ 3.,  1., -1.,  3.]])
    """

    percentile: float = 99.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < number("Percentile: percentile", self.percentile, least=-math.inf) <= 100:
            raise ValueError(f"Percentile needs 0 < percentile <= 100, got {self.percentile}")

    def rank(self, d: int) -> int:
        """Which of d magnitudes, sorted in ascending order and counted from 1, is the grid's end."""
        return max(1, math.ceil(self.percentile * d / 100 - 1e-9))  # 99.9 is not a float; 1000 entries have rank 999

    def clipped_at(self, xp: Any, blocks: Array, axes: tuple[int, ...], top: Array) -> Array:
        """The magnitude of that rank, per block."""
        rows = xp.sort(_rows(xp, xp.abs(blocks), axes), axis=-1)
        rank = self.rank(rows.shape[-1])
        end = xp.reshape(rows[..., rank - 1 : rank], top.shape)
        return xp.where(end == 0, top, end)

    def c(self, d: int) -> float:
        """Declared c for d entries that share a scale; d >= 1."""
        return 1.0 if self.rank(need_dimension(d)) < d else super().c(d)

    def kappa(self, d: int) -> float:
        """Declared kappa for d entries that share a scale; d >= 1."""
        return 1.0 if self.rank(need_dimension(d)) < d else super().kappa(d)


@dataclass(frozen=True, kw_only=True)
class MSEClip(_Clipped):
    """Symmetric quantizer that chooses, per block, the clipping ratio with the smallest squared error.

    The ratios are k/candidates, k = candidates ... 1.

    Parameters
    ----------
    bits : int
        Bits b of a code, from 2 to 32.
    granularity : Granularity, default PerSample()
        Which entries share a scale.
    candidates : int, default 16
        How many ratios are tried, at most 10,000.

    Notes
    -----
    Ratio 1 is absmax and wins ties, so the squared error of no block exceeds absmax's, and c is at most absmax's. This
    does not carry over to the max norm: with r the smallest ratio, the largest entry may lose (1-r) of itself where
    many others gain, kappa <= max(1-r, 1/(2·qmax)), and at most √(d-1)/(2·qmax), as ||·||_∞ <= ||·||_2 <= absmax's
    error.

    Examples
    --------
    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> ms.MSEClip(bits=2)(np.array([[4.0, 3.0, 3.0, 3.0, 3.0]]))
    array([[3.25, 3.25, 3.25, 3.25, 3.25]])
    """

    laws = replace(NEAREST, c="upper", kappa="upper")
    candidates: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        count("MSEClip: candidates", self.candidates, most=MOST_CANDIDATES, why="as each is tried in turn")

    def clipped_at(self, xp: Any, blocks: Array, axes: tuple[int, ...], top: Array) -> Array:
        """The end whose squared error is smallest, per block."""
        unit = guarded(xp, top).scale
        best = end = None
        for k in range(self.candidates, 0, -1):
            tried = top * (k / self.candidates)
            qparams = guarded(xp, tried / self.qmax)
            lost = (blocks - self.dequantize(self.quantize(blocks, qparams), qparams)) / unit  # squares stay in range
            error = xp.reshape(_sum(xp, _rows(xp, lost * lost, axes)), top.shape)
            better = error < (xp.full_like(error, math.inf) if best is None else best)
            best = error if best is None else xp.where(better, error, best)
            end = tried if end is None else xp.where(better, tried, end)
        return end

    def kappa(self, d: int) -> float:
        """Declared kappa for d entries that share a scale; d >= 1."""
        half = super().kappa(d)
        return min(max(1 - 1 / self.candidates, half), math.sqrt(d - 1) * half)


QUANTIZERS: dict[str, type[Quantizer]] = {"percentile": Percentile, "mse": MSEClip}
