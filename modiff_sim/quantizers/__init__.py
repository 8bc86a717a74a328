"""The quantizers, each written once for NumPy and torch, and their registry.

Rounding is ties-to-even (HalfAway excepted); the zero point is added after rounding. The *scale* is guarded against 0,
never absmax: absmax/qmax can underflow where absmax does not (float16). A block of zeros, or one whose scale
underflows, is mapped to exact zeros.

House rules of this package: about a dozen array operations, no Python ``if`` on array values, random bits are an
argument, nothing is written into an argument.

affine.py: integer grids from a block's extremes. grids.py: variants of the symmetric one. floats.py: FP8, MX,
logarithmic. aligned.py: dynamic, on one fixed grid. clipping.py: grids that end before max|x|. fixed.py: scales that
are no function of the data.
split.py: channel ranges with a scale each; it needs to know where to cut, so it is not in the registry.
closed_form.py: the worst case of all that reach max|x| exactly.
"""

from __future__ import annotations

from typing import Any

from .affine import AbsMax, Floor, MinMax, MinMaxRaw, Stochastic
from .aligned import GridAligned
from .base import Quantizer
from .clipping import MSEClip, Percentile
from .closed_form import SymmetricGrid
from .fixed import FixedScale, Identity, Static, StaticAffine, Zero
from .floats import (
    FP8E4M3,
    FP8E5M2,
    MX,
    MXFP4E2M1,
    MXFP6E2M3,
    MXFP6E3M2,
    MXFP8E4M3,
    MXFP8E5M2,
    MXINT8,
    Logarithmic,
)
from .grids import DeadZone, HalfAway, MidRise
from .split import Split

__all__ = [
    "FP8E4M3", "FP8E5M2", "MX", "MXFP4E2M1", "MXFP6E2M3", "MXFP6E3M2", "MXFP8E4M3", "MXFP8E5M2", "MXINT8",
    "QUANTIZERS", "AbsMax", "DeadZone", "FixedScale", "Floor", "GridAligned", "HalfAway", "Identity", "Logarithmic",
    "MSEClip", "MidRise", "MinMax", "MinMaxRaw", "Percentile", "Split", "Static", "StaticAffine", "Stochastic",
    "SymmetricGrid", "Zero", "make",
]  # fmt: skip

#: name -> class. Property tests, bound tests, CLI choices and legends iterate over it.
QUANTIZERS: dict[str, type[Quantizer]] = {
    "absmax": AbsMax,
    "half_away": HalfAway,
    "mid_rise": MidRise,
    "dead_zone": DeadZone,
    "minmax": MinMax,
    "minmax_raw": MinMaxRaw,
    "floor": Floor,
    "stochastic": Stochastic,
    "percentile": Percentile,
    "mse": MSEClip,
    "logarithmic": Logarithmic,
    "fp8_e4m3": FP8E4M3,
    "fp8_e5m2": FP8E5M2,
    "mxfp8_e4m3": MXFP8E4M3,
    "mxfp8_e5m2": MXFP8E5M2,
    "mxfp6_e2m3": MXFP6E2M3,
    "mxfp6_e3m2": MXFP6E3M2,
    "mxfp4_e2m1": MXFP4E2M1,
    "mxint8": MXINT8,
    "static": Static,
    "grid_aligned": GridAligned,
    "static_affine": StaticAffine,
    "zero": Zero,
    "identity": Identity,
}


def make(name: str, bits: int = 4, **options: Any) -> Quantizer:
    """A quantizer by its registered name; ``bits`` is not passed on where the format has its own (``fixed_bits``)."""
    if name not in QUANTIZERS:
        raise ValueError(f"unknown quantizer '{name}'; known: {', '.join(QUANTIZERS)}")
    kind = QUANTIZERS[name]
    return kind(**options) if kind.fixed_bits is not None else kind(bits=bits, **options)
