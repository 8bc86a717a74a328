"""Which quantizers are meant, and how one is called in the rows of the atlas."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

from ..arguments import listed
from ..quantizers import QUANTIZERS, get, make, parse, parts
from ..quantizers import granularity as _granularity
from ..quantizers.base import Quantizer
from ..quantizers.granularity import Granularity


def label(Q: Quantizer) -> str:
    """The registered name of a quantizer; its text where the name, bits and granularity do not say all of it.

    Examples
    --------
    >>> import modiff_sim as ms
    >>> from modiff_sim.contraction.which import label
    >>> label(ms.AbsMax(3)), label(ms.Static(3, scale=0.5))
    ('absmax', 'Static(bits=3, granularity=PerSample(), scale=0.5)')
    """
    name = next((name for name, kind in QUANTIZERS.items() if kind is type(Q)), "")
    known = name and make(name, Q.bits, granularity=Q.granularity) == Q
    return name if known else str(Q)


def several(
    quantizers: Any, bits: Iterable[int], granularities: Iterable[str | Granularity | None]
) -> list[tuple[str, Quantizer]]:
    """Quantizers with their labels, each once, granularity by granularity.

    A name takes all ``bits``, unless the format decides them, and a text such as "absmax:3" or "absmax@channel" has its
    own. An object has its own bits and granularity. Bits below a quantizer's fewest are left out.

    Raises
    ------
    TypeError
        For what is neither text nor a quantizer.
    ValueError
        For unknown names, and where two quantizers would have one label.

    Examples
    --------
    >>> import modiff_sim as ms
    >>> from modiff_sim.contraction.which import several
    >>> [(name, Q.bits) for name, Q in several(["absmax", "minmax:8", ms.AbsMax(3)], [2, 3], [None])]
    [('absmax', 2), ('absmax', 3), ('minmax', 8)]
    """
    found: dict[Quantizer, str] = {}
    for granularity in granularities:
        named = _granularity.parse(granularity) if isinstance(granularity, str) else granularity
        for what in listed(quantizers):
            found |= {Q: label(Q) for Q in _meant(what, list(bits), named)}
    labels = [(name, Q.bits, Q.granularity) for Q, name in found.items()]
    if twice := [one for one in labels if labels.count(one) > 1]:
        raise ValueError(f"two different quantizers are called {twice[0][0]}: their rows could not be told apart")
    return [(name, Q) for Q, name in found.items()]


def fewer(
    quantizers: Any, bits: Iterable[int], granularities: Iterable[str | Granularity | None]
) -> list[dict[str, Any]]:
    """What ``several`` leaves out: rows of quantizer, bits, granularity and the reason.

    Examples
    --------
    >>> from modiff_sim.contraction.which import fewer
    >>> [(row["bits"], row["reason"]) for row in fewer("absmax", [1, 2], [None])]
    [(1, 'AbsMax needs 2 <= bits <= 32, got 1')]
    """
    found = {}
    for what, granularity in itertools.product(listed(quantizers), granularities):
        name, own_bits, own = parts(what) if isinstance(what, str) else ("", None, None)
        if not name or own_bits is not None or QUANTIZERS[name].fixed_bits is not None:
            continue
        named = _granularity.parse(granularity) if isinstance(granularity, str) else granularity
        shared = _granularity.name(own or named or make(name, 8).granularity)
        for b in (b for b in bits if b < QUANTIZERS[name].min_bits):
            try:
                make(name, b)
            except ValueError as error:
                found[name, b, shared] = str(error)
    columns = ("quantizer", "bits", "granularity")
    return [dict(zip(columns, key, strict=True)) | {"reason": reason} for key, reason in found.items()]


def text(name: str, bits: int, shared: Granularity) -> str:
    """The shortest text that names a registered quantizer by these parts, whether it has such bits or not.

    Examples
    --------
    >>> import modiff_sim as ms
    >>> from modiff_sim.contraction.which import text
    >>> text("absmax", 3, ms.PerSample()), text("mxint8", 8, ms.PerSample())
    ('absmax:3', 'mxint8@sample')
    """
    own = "" if shared == make(name, 8).granularity else f"@{_granularity.name(shared)}"
    return name + (f":{bits}" if QUANTIZERS[name].fixed_bits is None else "") + own


def _meant(what: Any, bits: list[int], granularity: Granularity | None) -> list[Quantizer]:
    """The quantizers that a text or an object stands for."""
    if not isinstance(what, str):
        return [get(what, "a quantizer of the atlas")]
    name, own_bits, own = parts(what)
    shared = granularity if own is None else own
    options: dict[str, Any] = {} if shared is None else {"granularity": shared}
    kind = QUANTIZERS[name]
    if kind.fixed_bits is not None:
        return [make(name, **options)] if own_bits is None else [parse(what)]
    if own_bits is not None:
        return [make(name, own_bits, **options)]
    return [make(name, b, **options) for b in bits if b >= kind.min_bits]
