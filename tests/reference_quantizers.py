"""The oracle of the quantizers beyond the paper's: literal, one number at a time, as ``reference.py``.

Float formats are the lists of values that ``ml_dtypes`` decodes from all bit patterns; an entry goes to the nearest of
them by exact fractions, ties to the even bit pattern.
"""

from __future__ import annotations

import bisect
import functools
import math
from fractions import Fraction

import ml_dtypes
import numpy as np
import reference


def half_away(x, bits):
    qmax = 2 ** (bits - 1) - 1
    s = max(abs(v) for v in x) / qmax
    if s == 0:
        return [0 * v for v in x]
    return [s * math.copysign(math.floor(Fraction(abs(v / s)) + Fraction(1, 2)), v) for v in x]


def mid_rise(x, bits):
    """Levels (k+½)s, the highest of which is max|x|."""
    half = (2**bits - 1) / 2
    s = max(abs(v) for v in x) / half
    if s == 0:
        return [0 * v for v in x]
    return [s * min(half, max(-half, math.floor(v / s) + 0.5)) for v in x]


def dead_zone(x, bits, threshold=0.2):
    qmax = 2 ** (bits - 1) - 1
    s = max(abs(v) for v in x) / qmax
    if s == 0:
        return [0 * v for v in x]
    return [0 * v if abs(v / s) <= threshold * qmax else s * round(v / s) for v in x]


def logarithmic(x, bits):
    """0 and max|x|·2^-k; a tie between two powers goes to the larger one, one with 0 to 0."""
    s = max(abs(v) for v in x)
    if s == 0:
        return [0 * v for v in x]
    levels = [Fraction(1, 2**k) for k in range(2 ** (bits - 1) - 1)]

    def rounded(v):
        size = abs(Fraction(v / s))
        best = min([Fraction(0), *levels], key=lambda level: (abs(level - size), -level if level >= levels[-1] else -9))
        return s * math.copysign(float(best), v)

    return [rounded(v) for v in x]


def percentile(x, bits, percent=Fraction(99)):
    qmax = 2 ** (bits - 1) - 1
    sizes = sorted(abs(v) for v in x)
    end = sizes[math.ceil(percent * len(x) / 100) - 1] or sizes[-1]
    s = end / qmax
    if s == 0:
        return [0 * v for v in x]
    return [s * max(-qmax, min(qmax, round(v / s))) for v in x]


def static_affine(x, bits, low=-1.0, high=1.0):
    """MinMax's grid for data whose extremes are low and high."""
    n = 2**bits - 1
    s = (high - low) / n
    z = round(-low / s)
    return [s * (max(0, min(n, round(v / s) + z)) - z) for v in x]


def grid_aligned(x, bits, base=1.0):
    """Multiples of base·2^j, j as small as the largest entry allows."""
    qmax, s = 2 ** (bits - 1) - 1, base
    while max(map(abs, x)) > qmax * s:
        s *= 2
    return [s * round(v / s) for v in x]


# -- float formats ----------------------------------------------------------------------------------------------------


@functools.cache
def decoded(name):
    """The non-negative finite values of an ml_dtypes format, sorted: their index is their bit pattern."""
    dtype = np.dtype(getattr(ml_dtypes, name))
    bits = ml_dtypes.finfo(dtype).bits
    values = np.arange(2 ** (bits - 1), dtype=np.uint8).view(dtype).astype(np.float64)
    return [Fraction(float(v)) for v in values if math.isfinite(v)]


def nearest(values, v):
    """The nearest of sorted ``values`` to v >= 0, ties to the even index, saturating."""
    high = bisect.bisect_left(values, v)
    if high == 0 or high == len(values):
        return values[min(high, len(values) - 1)]
    below, above = v - values[high - 1], values[high] - v
    return values[high - 1 if below < above or (below == above and high % 2) else high]


def scaled_float(name, x, emax):
    """x / s rounded to the format, s = max|x| / (largest value); s is computed in units of 2^emax, which is exact."""
    values = decoded(name)
    s = max(abs(v) for v in x) / float(values[-1] / Fraction(2) ** emax)
    if s == 0:
        return [0 * v for v in x]
    unit = Fraction(2) ** emax
    return [s * math.copysign(float(nearest(values, abs(Fraction(v / s)) * unit) / unit), v) for v in x]


def mx(x, values, emax):
    """OCP MX 1.0, 6.3: X = 2^(floor(log2 max|x|) - emax), elements x/X rounded, those beyond the largest clamped."""
    largest = max(abs(v) for v in x)
    if largest == 0:
        return [0 * v for v in x]
    X = Fraction(2) ** (math.frexp(largest)[1] - 1 - emax)
    return [math.copysign(float(X * nearest(values, abs(Fraction(v)) / X)), v) for v in x]


INT8 = [Fraction(k, 64) for k in range(128)]

QUANTIZERS = {
    **reference.QUANTIZERS,
    "half_away": half_away,
    "mid_rise": mid_rise,
    "dead_zone": dead_zone,
    "logarithmic": logarithmic,
    "percentile": percentile,
    "static_affine": static_affine,
    "grid_aligned": grid_aligned,
    "fp8_e4m3": lambda x, bits: scaled_float("float8_e4m3fn", x, 8),
    "fp8_e5m2": lambda x, bits: scaled_float("float8_e5m2", x, 15),
    "mxfp8_e4m3": lambda x, bits: mx(x, decoded("float8_e4m3fn"), 8),
    "mxfp8_e5m2": lambda x, bits: mx(x, decoded("float8_e5m2"), 15),
    "mxfp6_e2m3": lambda x, bits: mx(x, decoded("float6_e2m3fn"), 2),
    "mxfp6_e3m2": lambda x, bits: mx(x, decoded("float6_e3m2fn"), 4),
    "mxfp4_e2m1": lambda x, bits: mx(x, decoded("float4_e2m1fn"), 2),
    "mxint8": lambda x, bits: mx(x, INT8, 0),
}
