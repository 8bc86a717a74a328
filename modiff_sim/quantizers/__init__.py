"""The quantizers, each written once for NumPy and torch, and their registry.

Rounding is ties-to-even, except in ``HalfAway``; the zero point is added after rounding. The *scale* is guarded against
0 rather than absmax, because absmax/qmax can underflow where absmax does not (float16). A block of zeros, or one whose
scale underflows, is mapped to exact zeros.

A quantizer here consists of about a dozen array operations, has no Python ``if`` on array values, takes random bits as
an argument, and writes nothing into an argument.

absmax.py, minmax.py: integer grids from a block's extremes. grids.py: variants of the symmetric one. floats.py: FP8
and logarithmic. microscaling.py: MX. formats.py: the float formats of both. aligned.py: dynamic, on one fixed grid.
clipping.py: grids that end before max|x|. fixed.py: scales that do not depend on the data. split.py: channel ranges
with a scale each; it needs to know where to cut, so it is not in the registry. worst_case.py: the worst case of all
grids that reach max|x| exactly. A new family is a new file with a dictionary ``QUANTIZERS`` (see docs/extending.md).
"""

from __future__ import annotations

from typing import Any

from ..registry import entries
from .absmax import AbsMax, Stochastic
from .aligned import GridAligned
from .base import Quantizer
from .clipping import MSEClip, Percentile
from .fixed import FixedScale, Identity, Static, StaticAffine, Zero
from .floats import FP8E4M3, FP8E5M2, Logarithmic
from .grids import DeadZone, HalfAway, MidRise
from .microscaling import MX, MXFP4E2M1, MXFP6E2M3, MXFP6E3M2, MXFP8E4M3, MXFP8E5M2, MXINT8
from .minmax import Floor, MinMax, MinMaxRaw
from .split import Split
from .worst_case import SymmetricGrid

__all__ = [
    "FP8E4M3", "FP8E5M2", "MX", "MXFP4E2M1", "MXFP6E2M3", "MXFP6E3M2", "MXFP8E4M3", "MXFP8E5M2", "MXINT8",
    "QUANTIZERS", "AbsMax", "DeadZone", "FixedScale", "Floor", "GridAligned", "HalfAway", "Identity", "Logarithmic",
    "MSEClip", "MidRise", "MinMax", "MinMaxRaw", "Percentile", "Split", "Static", "StaticAffine", "Stochastic",
    "SymmetricGrid", "Zero", "make",
]  # fmt: skip

#: the order of tables and legends; a quantizer that is not named here follows by name
ORDER = (
    "absmax", "half_away", "mid_rise", "dead_zone", "minmax", "minmax_raw", "floor", "stochastic", "percentile", "mse",
    "logarithmic", "fp8_e4m3", "fp8_e5m2", "mxfp8_e4m3", "mxfp8_e5m2", "mxfp6_e2m3", "mxfp6_e3m2", "mxfp4_e2m1",
    "mxint8", "static", "grid_aligned", "static_affine", "zero", "identity",
)  # fmt: skip

#: name -> class, from the dictionaries of this name in the files. Property tests, bound tests, CLI choices and legends
#: iterate over it.
QUANTIZERS: dict[str, type[Quantizer]] = entries(__name__, "QUANTIZERS")


def make(name: str, bits: int = 4, **options: Any) -> Quantizer:
    """Make a quantizer by its registered name.

    Parameters
    ----------
    name : str
        A key of ``QUANTIZERS``.
    bits : int, default 4
        Bits of a code; not passed on where the format decides them (``fixed_bits``).
    **options
        Further fields of the class, such as ``granularity``.

    Returns
    -------
    Quantizer
        The quantizer.

    Raises
    ------
    ValueError
        For an unknown name, or options that the class refuses.

    Examples
    --------
    >>> from modiff_sim import quantizers
    >>> quantizers.make("absmax", 3).bits, quantizers.make("fp8_e4m3", 3).bits
    (3, 8)
    """
    if name not in QUANTIZERS:
        raise ValueError(f"unknown quantizer '{name}'; known: {', '.join(QUANTIZERS)}")
    kind = QUANTIZERS[name]
    return kind(**options) if kind.fixed_bits is not None else kind(bits=bits, **options)
