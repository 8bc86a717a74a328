"""Streaming statistics of tensors: range, quantiles from a histogram, moments; mergeable, no values are kept."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

BINS = 1024


class Histogram:
    """Count, min, max, and counts over [-R, R], R a power of two that doubles as needed.

    Doubling merges bins in pairs, so counts are exact at every width. A quantile is off by at most one bin, 2R/BINS.
    """

    def __init__(self) -> None:
        self.count = 0
        self.low, self.high = math.inf, -math.inf
        self.exponent: int | None = None  # R = 2^exponent
        self.counts = np.zeros(BINS, np.int64)

    def add(self, x: Tensor) -> None:
        """Add all entries of a finite tensor."""
        flat = x.detach().reshape(-1)
        low, high = (float(end) for end in torch.aminmax(flat))
        self.count += flat.numel()
        self.low, self.high = min(self.low, low), max(self.high, high)
        largest = max(abs(low), abs(high))
        if largest > 0:
            self._widen(math.frexp(largest)[1])
        if self.exponent is None:  # only zeros so far, which lie just right of the centre at any width
            self.counts[BINS // 2] += flat.numel()
        else:
            self.counts += counted(flat, self.exponent)

    def merge(self, other: Histogram) -> None:
        """Add all that another stream has seen; the other stream is not changed."""
        if not other.count:
            return
        self.count += other.count
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)
        if other.exponent is not None:
            self._widen(other.exponent)
        # the other's counts at this width; where it saw only zeros, their bin is the same at any width
        same = Histogram()
        same.exponent, same.counts = other.exponent, other.counts
        if other.exponent is not None and self.exponent is not None:
            same._widen(self.exponent)
        self.counts += same.counts

    def _widen(self, exponent: int) -> None:
        """Make R at least 2^exponent."""
        if self.exponent is None:
            self.exponent = exponent
        while self.exponent < exponent:
            pairs = self.counts.reshape(-1, 2).sum(axis=1)
            self.counts = np.pad(pairs, BINS // 4)
            self.exponent += 1

    @property
    def absmax(self) -> float:
        """max|x| of all values."""
        return max(abs(self.low), abs(self.high))

    @property
    def bin_width(self) -> float:
        """Resolution of the quantiles; 0 while only zeros were seen."""
        return 0.0 if self.exponent is None else 2.0 ** (self.exponent + 1) / BINS

    def quantiles(self, levels: Sequence[float]) -> np.ndarray:
        """Quantiles at levels in [0, 1], linear within a bin, clamped to the range that was seen."""
        if not self.count:
            raise ValueError("no values were recorded yet")
        if not all(0 <= q <= 1 for q in levels):
            raise ValueError(f"quantile levels lie in [0, 1], got {list(levels)}")
        R = self.bin_width * BINS / 2
        edges = np.linspace(-R, R, BINS + 1)
        cumulative = np.concatenate([[0], np.cumsum(self.counts)])
        return np.clip(np.interp(np.asarray(levels) * self.count, cumulative, edges), self.low, self.high)


def counted(flat: Tensor, exponent: int) -> np.ndarray:
    """Return the counts of values in BINS bins over [-R, R], R = 2^exponent, int64; R itself is in the last bin.

    The number of a bin is floor(x·BINS/2R), which is exact, because BINS and R are powers of two. Half-integers of that
    size are exact in float32, so no copy in float64 is needed, as it would be for x - (-R).
    """
    wide = flat if flat.dtype == torch.float64 else flat.float()
    half = BINS // 2
    factor = math.ldexp(half, -exponent)
    if not torch.finfo(wide.dtype).tiny <= factor <= torch.finfo(wide.dtype).max:
        wide = flat.double()  # values so small or so large that the factor is no normal float32
    places = (wide * factor).floor_().clamp_(max=half - 1).add_(0.5)
    return torch.histc(places, BINS, -half, half).to(torch.int64).cpu().numpy()


class Streaming(Histogram):
    """A histogram with mean and central moments 2-4, merged in float64.

    References
    ----------
    Chan et al. 1979; Pébay 2008, eq. 3.1 for the third and fourth moment.
    """

    def __init__(self) -> None:
        super().__init__()
        self.mean = self.m2 = self.m3 = self.m4 = 0.0

    def add(self, x: Tensor) -> None:
        """Add all entries of a finite tensor."""
        wide = x.detach().reshape(-1).double()
        mean = wide.mean()
        off = wide - mean
        square = off * off
        m2, m3, m4 = float(square.sum()), float((square * off).sum()), float((square * square).sum())
        self._merge_moments(wide.numel(), float(mean), m2, m3, m4)
        super().add(x)

    def merge(self, other: Histogram) -> None:
        """Add all that another stream has seen; the other stream is not changed."""
        if not isinstance(other, Streaming):
            raise TypeError(f"a {type(other).__name__} has no moments to merge")
        if other.count:
            self._merge_moments(other.count, other.mean, other.m2, other.m3, other.m4)
            super().merge(other)

    def _merge_moments(self, n: int, mean: float, m2: float, m3: float, m4: float) -> None:
        """Merge the moments of n values. Call it before these are counted."""
        N = self.count + n
        delta = mean - self.mean
        a, b = self.count, n
        self.m4 += m4 + delta**4 * a * b * (a * a - a * b + b * b) / N**3
        self.m4 += 6 * delta**2 * (a * a * m2 + b * b * self.m2) / N**2 + 4 * delta * (a * m3 - b * self.m3) / N
        self.m3 += m3 + delta**3 * a * b * (a - b) / N**2 + 3 * delta * (a * m2 - b * self.m2) / N
        self.m2 += m2 + delta**2 * a * b / N
        self.mean += delta * b / N

    @property
    def variance(self) -> float:
        """The variance, divided by n."""
        return self.m2 / self.count if self.count else math.nan

    @property
    def kurtosis(self) -> float:
        """m4·n/m2²: 3 for a normal distribution, larger for long tails, NaN for a constant."""
        return self.m4 * self.count / self.m2**2 if self.m2 > 0 else math.nan
