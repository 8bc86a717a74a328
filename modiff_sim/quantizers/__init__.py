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

from contextlib import suppress
from typing import Any

from ..names import one_of
from ..registry import entries
from . import granularity
from .absmax import AbsMax, Stochastic
from .aligned import GridAligned
from .base import Quantizer
from .clipping import MSEClip, Percentile
from .custom import Custom
from .fixed import FixedScale, Identity, Static, StaticAffine, Zero
from .floats import FP8E4M3, FP8E5M2, Logarithmic
from .granularity import Granularity
from .grids import DeadZone, HalfAway, MidRise
from .microscaling import MX, MXFP4E2M1, MXFP6E2M3, MXFP6E3M2, MXFP8E4M3, MXFP8E5M2, MXINT8
from .minmax import Floor, MinMax, MinMaxRaw
from .split import Split
from .worst_case import SymmetricGrid

__all__ = [
    "FP8E4M3", "FP8E5M2", "MX", "MXFP4E2M1", "MXFP6E2M3", "MXFP6E3M2", "MXFP8E4M3", "MXFP8E5M2", "MXINT8",
    "QUANTIZERS", "AbsMax", "Custom", "DeadZone", "FixedScale", "Floor", "GridAligned", "HalfAway", "Identity",
    "Logarithmic", "MSEClip", "MidRise", "MinMax", "MinMaxRaw", "Percentile", "Split", "Static", "StaticAffine",
    "Stochastic", "SymmetricGrid", "Zero", "get", "make", "name", "parse", "parts",
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
    kind = QUANTIZERS[one_of("quantizer", name, QUANTIZERS)]
    return kind(**options) if kind.fixed_bits is not None else kind(bits=bits, **options)


def parse(text: str) -> Quantizer:
    """Make a quantizer from text: "NAME:BITS", and after an @ which entries share a scale.

    Parameters
    ----------
    text : str
        Such as "absmax:4", "minmax:8@channel", "absmax:4@group:32"; formats that decide their bits need none, as in
        "mxfp4_e2m1" or "identity".

    Returns
    -------
    Quantizer
        The quantizer.

    Raises
    ------
    ValueError
        For an unknown name or granularity, and where bits are missing or are no number.

    Examples
    --------
    >>> from modiff_sim import quantizers
    >>> quantizers.parse("absmax:4"), quantizers.parse("absmax:3@channel").granularity
    (AbsMax(bits=4, granularity=PerSample()), PerChannel(axis=1))
    """
    name, bits, shared = parts(text)
    kind = QUANTIZERS[name]
    options: dict[str, Any] = {} if shared is None else {"granularity": shared}
    if bits is None and kind.fixed_bits is None:
        raise ValueError(f"quantizer {text!r}: say how many bits, as in '{name}:4'")
    return kind(**options) if bits is None else kind(bits=bits, **options)


def parts(text: str) -> tuple[str, int | None, Granularity | None]:
    """Return what text says of a quantizer: its name, bits and granularity.

    Parameters
    ----------
    text : str
        "NAME", "NAME:BITS", "NAME@GRANULARITY" or "NAME:BITS@GRANULARITY".

    Returns
    -------
    name : str
        A key of ``QUANTIZERS``.
    bits : int or None
        The bits, None where the text has none.
    granularity : Granularity or None
        The granularity, None where the text has none.

    Raises
    ------
    ValueError
        For an unknown name or granularity, and where what follows the colon is no number. Whether the quantizer has
        such bits is not looked at.

    Examples
    --------
    >>> from modiff_sim import quantizers
    >>> quantizers.parts("absmax:3@channel"), quantizers.parts("mxint8")
    (('absmax', 3, PerChannel(axis=1)), ('mxint8', None, None))
    """
    head, at, shared = text.partition("@")
    name, colon, bits = head.partition(":")
    one_of("quantizer", name, QUANTIZERS)
    if colon and not (bits.isascii() and bits.isdecimal()):
        raise ValueError(f"quantizer {text!r}: after the colon comes a number of bits, as in '{name}:4'")
    return name, int(bits) if colon else None, granularity.parse(shared) if at else None


def name(quantizer: Quantizer) -> str:
    """Return the shortest text that ``parse`` reads back, as in "absmax:3@channel"; as ``granularity.name``.

    It is ``str`` of a quantizer whose class is not in ``QUANTIZERS``, or has options that no text names.

    Examples
    --------
    >>> import modiff_sim as ms
    >>> from modiff_sim import quantizers
    >>> quantizers.name(ms.AbsMax(3, granularity=ms.PerGroup(32))), quantizers.name(ms.MXFP4E2M1())
    ('absmax:3@group:32', 'mxfp4_e2m1')
    """
    for key, kind in QUANTIZERS.items():
        if type(quantizer) is kind:
            head = key if kind.fixed_bits is not None else f"{key}:{quantizer.bits}"
            for text in (head, f"{head}@{granularity.name(quantizer.granularity)}"):
                with suppress(ValueError):
                    if parse(text) == quantizer:
                        return text
    return str(quantizer)


def get(what: Quantizer | str, who: str = "a quantizer") -> Quantizer:
    """Return the quantizer that is meant by text, or a quantizer as it is.

    Raises TypeError for anything else, in which ``who`` says what it was for, and ValueError as ``parse``.
    """
    if isinstance(what, Quantizer):
        return what
    if isinstance(what, str):
        return parse(what)
    hint = f": pass an instance, such as {what.__name__}(bits=4)" if isinstance(what, type) else ""
    raise TypeError(f"{who} must be one such as AbsMax(bits=4), or text such as 'absmax:4'; got {what!r}{hint}")
