"""Which entries of an array share one scale. Only this package knows about axes.

A granularity turns a shape into a *blocked* shape and the axes over which a block is reduced; the scale has the
blocked shape with those axes set to 1. For an activation of shape (N, C, H, W) = (8, 64, 16, 16):

    PerBatch()             scale (1, 1, 1, 1)          one scale for everything: a sample depends on its batch-mates
    PerSample()            scale (8, 1, 1, 1)          one per index of axis 0 (the default everywhere)
    PerChannel()           scale (1, 64, 1, 1)         one per index of axis 1, shared by the batch
    PerChannel((0, 1))     scale (8, 64, 1, 1)         one per sample and channel
    PerToken()             scale (8, 64, 16, 1)        one per index of all axes but the last
    PerGroup(32, axis=1)   scale (8, 2, 1, 16, 16)     one per run of 32 entries along the axis, at every other index

A weight of shape (out, in, kh, kw) is quantized "per channel" by ``PerChannel(0)``.

Groups run along the axis that a product sums over, as the OCP Microscaling formats intend. For tokens and vectors
(..., features) and for the weight (out, in) of a linear layer that is the last one, the default of ``PerGroup``. For a
convolution's activations (N, C, H, W) and its weight (out, in, kh, kw) it is ``axis=1``. No axis is guessed from a
shape.

``parse`` turns text such as "sample" or "group:64", on the command line and in the atlas, into a granularity; ``name``
goes back. A new granularity is a new file with a dictionary ``GRANULARITIES`` (see docs/extending.md).
"""

from __future__ import annotations

from ...names import meant
from ...registry import entries
from .axes import PerBatch, PerChannel, PerSample, PerToken
from .base import Granularity, Shape
from .runs import GROUP, PerGroup

__all__ = [
    "GRANULARITIES", "GROUP", "Granularity", "PerBatch", "PerChannel", "PerGroup", "PerSample", "PerToken", "Shape",
    "name", "parse",
]  # fmt: skip

#: the order of tables; a granularity that is not named here follows by name
ORDER = ("batch", "sample", "channel", "token", "group")

#: name -> class, from the dictionaries of this name in the files
GRANULARITIES: dict[str, type[Granularity]] = entries(__name__, "GRANULARITIES")


def parse(text: str) -> Granularity:
    """The granularity of a name: a key of ``GRANULARITIES``; "group" is runs of 32, "group:SIZE" of SIZE entries.

    ``PerChannel`` and ``PerGroup`` have their default axes. Raises ValueError, naming the known ones, for any other
    text.
    """
    kind, colon, size = text.partition(":")
    known = ", ".join(GRANULARITIES)
    if kind not in GRANULARITIES:
        near = meant(kind, GRANULARITIES)
        raise ValueError(f"unknown granularity {text!r}; known: {known}, and group:SIZE, such as group:64{near}")
    if not colon:
        return PerGroup(GROUP) if kind == "group" else GRANULARITIES[kind]()
    if kind != "group":
        raise ValueError(f"granularity {text!r}: only group takes a size, such as group:64; known: {known}")
    if not (size.isascii() and size.isdecimal() and int(size) >= 1):
        raise ValueError(f"granularity {text!r}: the size of a group is an int >= 1, such as group:64")
    return PerGroup(int(size))


def name(granularity: Granularity) -> str:
    """The text that ``parse`` takes ("group:32" with its size), or ``str`` of one that has other axes."""
    for key, kind in GRANULARITIES.items():
        text = f"{key}:{granularity.size}" if isinstance(granularity, PerGroup) and kind is PerGroup else key
        if type(granularity) is kind and parse(text) == granularity:
            return text
    return str(granularity)
