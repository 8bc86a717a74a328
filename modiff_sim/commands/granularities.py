"""The option ``--granularity``: which entries share a scale, for every command that makes a quantizer."""

from __future__ import annotations

from argparse import Namespace

from .. import quantizers
from ..contraction.atlas import shared_by_samples
from ..quantizers import granularity
from ..quantizers.base import Quantizer
from ..quantizers.granularity import PerGroup


def quantizer(chosen: Namespace, name: str, bits: int) -> Quantizer:
    """Return the named quantizer with ``--granularity``, or its own by default (runs of 32 for the MX formats)."""
    text = chosen.granularity
    return quantizers.make(name, bits, **({} if text is None else {"granularity": granularity.parse(text)}))


def block(Q: Quantizer, d: int, samples: int | None = None) -> int:
    """Return how many entries share a scale, for samples of d entries.

    ``samples`` is the number of samples. None means that the command is about a single one, which needs its own scale.
    Raises ValueError, naming options, where samples cannot be cut into such blocks.
    """
    if d < 1:
        raise ValueError(f"--d: a sample has at least one entry, got d={d}")
    if samples is None and shared_by_samples(Q.granularity, d):
        raise ValueError(
            f"--granularity {granularity.name(Q.granularity)}: samples would share scales, but this command is about "
            "a single sample: pass --granularity sample and, as --d, how many entries share a scale"
        )
    try:
        return Q.granularity.block_size((samples or 1, d))
    except ValueError:
        if not isinstance(Q.granularity, PerGroup):
            raise
        size = Q.granularity.size
        raise ValueError(
            f"{type(Q).__name__} has one scale per run of {size} entries, and d={d} is not a multiple of {size}: pass "
            f"--d {size}, or --granularity group:SIZE with a SIZE that divides {d}, or --granularity sample"
        ) from None


def entries(Q: Quantizer, d: int) -> int:
    """Return ``block``, but at most d where a run is longer than a sample, for tables of declared constants."""
    if isinstance(Q.granularity, PerGroup) and d >= 1:
        return min(Q.granularity.size, d)
    return block(Q, d)


def words(Q: Quantizer, d: int, entries: int) -> str:
    """Return the granularity in words, as in "one scale per group:32, 32 entries"."""
    count = f"{entries} entr{'y' if entries == 1 else 'ies'}"
    all_trials = " of all trials" if shared_by_samples(Q.granularity, d) else ""
    return f"one scale per {granularity.name(Q.granularity)}, {count}{all_trials}"
