"""From streaming statistics to the range of a static grid: min-max, percentile, least squared error.

A range is (low, high) with low <= 0 <= high; ``grid`` makes the quantizer of it. Percentiles and squared errors are
taken from the histogram of ``Histogram`` (1024 bins), so that no values are kept; min-max is exact.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...arguments import number
from ...names import one_of
from ...quantizers import Static, StaticAffine
from ...quantizers.base import QParams, Quantizer
from ...quantizers.granularity import PerBatch
from ..measure.histogram import BINS, Histogram

Range = tuple[float, float]

CANDIDATES = 64  # ratios k/64 of the min-max range among which the least squared error is sought
_POINTS = 4  # per bin, for the squared error: at 8 bits a step is about 4 bins wide
#: half-width of the range of a layer whose values were all 0 (such as a condition that does not change): the smallest
#: normal float16, so that it fits every dtype. A later value that is not 0 is clipped, and counted by the audit.
EMPTY = 2.0**-14


def grid(bounds: Range, bits: int, symmetric: bool) -> Quantizer:
    """``Static`` whose highest level is ``high``, or ``StaticAffine``; one scalar scale for all samples."""
    low, high = bounds
    if symmetric:
        return Static(bits, scale=high / max(2 ** (bits - 1) - 1, 1), granularity=PerBatch())  # it refuses 1 bit
    return StaticAffine(bits, low=low, high=high, granularity=PerBatch())


def _extremes(seen: Histogram, symmetric: bool) -> Range:
    if not seen.absmax:
        return (-EMPTY if symmetric else 0.0), EMPTY
    return (-seen.absmax, seen.absmax) if symmetric else (min(seen.low, 0.0), max(seen.high, 0.0))


def minmax(seen: Histogram, bits: int, symmetric: bool, percentile: float) -> Range:
    """The whole range that was seen, so that nothing is clipped."""
    return _extremes(seen, symmetric)


def by_percentile(seen: Histogram, bits: int, symmetric: bool, percentile: float) -> Range:
    """The narrowest symmetric range that holds ``percentile`` % of the values.

    An affine range leaves out half of the rest on each side, and is widened to include 0. Where a range would be empty,
    it is that of min-max.
    """
    if symmetric:
        top = _magnitude(seen, percentile / 100)
        return (-top, top) if top > 0 else _extremes(seen, symmetric)
    rest = (1 - percentile / 100) / 2
    low, high = seen.quantiles([rest, 1 - rest]).tolist()
    return (min(low, 0.0), max(high, 0.0)) if min(low, 0.0) < max(high, 0.0) else _extremes(seen, symmetric)


def _magnitude(seen: Histogram, level: float) -> float:
    """Quantile of |x|: the histogram folded at 0, linear within a bin, at most max|x|."""
    folded = seen.counts[BINS // 2 :] + seen.counts[BINS // 2 - 1 :: -1]
    edges = np.linspace(0, seen.bin_width * BINS / 2, BINS // 2 + 1)
    return float(min(np.interp(level * seen.count, np.concatenate([[0], np.cumsum(folded)]), edges), seen.absmax))


def least_squares(seen: Histogram, bits: int, symmetric: bool, percentile: float) -> Range:
    """The k/64 of the min-max range, k = 64 ... 1, with the least squared error on the histogram; ties to the wider."""
    low, high = _extremes(seen, symmetric)
    if not seen.absmax:
        return low, high
    held = np.flatnonzero(seen.counts)
    inside = (np.arange(_POINTS) + 0.5) / _POINTS - BINS / 2
    values = np.clip((held[:, None] + inside) * seen.bin_width, seen.low, seen.high).reshape(-1)
    weights = np.repeat(seen.counts[held] / (_POINTS * seen.count), _POINTS)
    tried = [(low * k / CANDIDATES, high * k / CANDIDATES) for k in range(CANDIDATES, 0, -1)]
    grids = [grid(bounds, bits, symmetric) for bounds in tried]
    steps, zeros = (np.array([[getattr(Q, name, 0)] for Q in grids], np.float64) for name in ("step", "zero_point"))
    qparams = QParams(steps, None if symmetric else zeros)
    hat = grids[0].dequantize(grids[0].quantize(values[None], qparams), qparams)  # one row per grid
    return tried[int(np.argmin((values - hat) ** 2 @ weights))]


def official_minmax(seen: Histogram, bits: int, symmetric: bool, percentile: float) -> Range:
    """The official code's min-max initialisation of symmetric quantizers: scale (max-min)/(qmax-1), qmax = 2^(b-1)-1.

    At 4 bits the scale is about 2.3 times max|x|/qmax for values that reach equally far to both sides; at 2 bits it
    divides by zero, which is refused here. For extremes equally far on both sides it is exactly the scale of min-max
    with one bit less. Source: official code.
    """
    qmax = 2 ** (bits - 1) - 1
    if not symmetric:
        raise ValueError('quantizer="official_minmax" is the initialisation of symmetric quantizers: symmetric=True')
    if qmax < 2:
        raise ValueError(f"official_minmax at {bits} bits: (max-min)/(qmax-1) with qmax = {qmax} divides by zero")
    high = (seen.high - seen.low) / (qmax - 1) * qmax
    return (-high, high) if high > 0 else _extremes(seen, symmetric)


#: name -> (stream, bits, symmetric, percentile) -> range
METHODS: dict[str, Callable[[Histogram, int, bool, float], Range]] = {
    "minmax": minmax,
    "percentile": by_percentile,
    "mse": least_squares,
    "official_minmax": official_minmax,
}


def choose(method: str, seen: Histogram, *, bits: int, symmetric: bool, percentile: float = 99.9) -> Range:
    """The range that a method of ``METHODS`` chooses for what was seen.

    Raises ValueError for unknown names and for a percentile outside (0, 100].
    """
    one_of("quantizer of a calibration", method, METHODS)
    number("percentile", percentile, above=0)
    if percentile > 100:
        raise ValueError(f"percentile must be at most 100, got {percentile}")
    return METHODS[method](seen, bits, symmetric, percentile)
