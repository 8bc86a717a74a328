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

``parse`` turns text such as "sample", "group:64" or "channel:axis=0,1", on the command line and in the atlas, into a
granularity; ``name`` goes back. A new granularity is a new file with a dictionary ``GRANULARITIES`` (see
docs/extending.md).
"""

from __future__ import annotations

import re
from typing import Any

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


#: classes with a parameter ``axis``, which a text names where it is not the default
_WITH_AXIS = (PerChannel, PerGroup)
_AXIS = re.compile(r"axis=(-?\d+|,|(?:-?\d+,)+(?:-?\d+)?)", re.ASCII)


def parse(text: str) -> Granularity:
    """Make a granularity from text: NAME, for groups NAME:SIZE, and behind that its axis or axes.

    Parameters
    ----------
    text : str
        A key of ``GRANULARITIES``, such as "sample". "group" is runs of 32 entries, "group:64" of 64. Where a channel
        or a group has another axis than by default, it is named last: "channel:axis=0", "channel:axis=0,1" for several
        axes ("0," for a tuple of one), "group:64:axis=1".

    Returns
    -------
    Granularity
        The granularity, of which ``name`` gives the text.

    Raises
    ------
    ValueError
        For any other text; the message names the known ones.

    Examples
    --------
    >>> from modiff_sim.quantizers import granularity
    >>> granularity.parse("group:64"), granularity.parse("channel:axis=0,1")
    (PerGroup(size=64, axis=-1), PerChannel(axis=(0, 1)))
    """
    kind, *parts = text.split(":")
    known = ", ".join(GRANULARITIES)
    if kind not in GRANULARITIES:
        near = meant(kind, GRANULARITIES)
        raise ValueError(f"unknown granularity {text!r}; known: {known}, and group:SIZE, such as group:64{near}")
    made = GRANULARITIES[kind]
    options: dict[str, Any] = {"size": GROUP} if made is PerGroup else {}
    if parts and parts[-1].startswith("axis="):
        options["axis"] = _axis(text, made, parts.pop())
    if parts and made is not PerGroup:
        raise ValueError(f"granularity {text!r}: only group takes a size, such as group:64; known: {known}")
    if parts:
        size = ":".join(parts)
        if not (size.isascii() and size.isdecimal() and int(size) >= 1):
            raise ValueError(f"granularity {text!r}: the size of a group is an int >= 1, such as group:64")
        options["size"] = int(size)
    return made(**options)


def _axis(text: str, made: type[Granularity], said: str) -> int | tuple[int, ...]:
    """Return the axis or the axes that a text names."""
    found = _AXIS.fullmatch(said)
    if made not in _WITH_AXIS or found is None or (made is PerGroup and "," in said):
        raise ValueError(
            f"granularity {text!r}: only a channel has axes and a group one axis, as in channel:axis=0,1 and "
            "group:64:axis=1"
        )
    axes = tuple(int(axis) for axis in found[1].split(",") if axis)
    return axes if "," in said else axes[0]


def name(granularity: Granularity) -> str:
    """Return the text that ``parse`` reads back, which names the size of a group, and an axis that is not the default.

    It is ``str`` of a granularity whose class is not in ``GRANULARITIES``, or has parameters that no text names.

    Examples
    --------
    >>> import modiff_sim as ms
    >>> from modiff_sim.quantizers import granularity
    >>> granularity.name(ms.PerGroup(32)), granularity.name(ms.PerChannel((0, 1)))
    ('group:32', 'channel:axis=0,1')
    """
    for key, kind in GRANULARITIES.items():
        if type(granularity) is not kind:
            continue
        texts = [f"{key}:{granularity.size}" if isinstance(granularity, PerGroup) else key]
        if isinstance(granularity, _WITH_AXIS):
            texts.append(f"{texts[0]}:axis={_said(granularity.axis)}")
        for text in texts:
            if parse(text) == granularity:
                return text
    return str(granularity)


def _said(axis: int | tuple[int, ...]) -> str:
    """Return the text of an axis, or of several: a comma behind a single one says that it is a tuple."""
    return str(axis) if isinstance(axis, int) else ",".join(map(str, axis)) + "," * (len(axis) < 2)
