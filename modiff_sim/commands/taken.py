"""Quantizers as text, ``--bits`` and ``--granularity``, for every command that makes a quantizer."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable, Sequence
from typing import Any

from .. import quantizers
from ..contraction.atlas import shared_by_samples
from ..contraction.premises import premises as premises
from ..quantizers import QUANTIZERS, granularity
from ..quantizers.base import Quantizer
from ..quantizers.granularity import PerGroup


def quantizer(text: str, bits: int, shared: str | None) -> Quantizer:
    """Return the quantizer that is meant by "NAME", "NAME:BITS", "NAME@GRANULARITY" or "NAME:BITS@GRANULARITY".

    A text without bits takes ``bits``, and one without an @ takes the granularity ``shared``; where this is None, it
    has its own (runs of 32 for the MX formats). Raises ValueError as ``quantizers.parse`` does.
    """
    head, own_bits, own = quantizers.parts(text)
    if own is None and shared is not None:
        own = granularity.parse(shared)
    options: dict[str, Any] = {} if own is None else {"granularity": own}
    if own_bits is None:
        return quantizers.make(head, bits, **options)
    return QUANTIZERS[head](bits=own_bits, **options)  # which refuses other bits than those of a format


def several(texts: Iterable[str], bits: int, shared: str | None) -> list[Quantizer]:
    """Return the quantizers of several texts, each once."""
    return list({said(Q): Q for Q in (quantizer(text, bits, shared) for text in texts)}.values())


def name(Q: Quantizer) -> str:
    """Return the name under which a quantizer is registered."""
    return next(key for key, kind in QUANTIZERS.items() if kind is type(Q))


def said(Q: Quantizer) -> str:
    """Return the text by which a quantizer can be named, as in "absmax:3@channel": the shortest one."""
    return quantizers.name(Q)


def about(Q: Quantizer, d: int, entries: int, c: float | None = None, kappa: float | None = None) -> dict[str, Any]:
    """Return what a row says of a quantizer: its name, its declared (or these) c and kappa, and what they allow.

    ``d`` is the number of entries of a sample, and ``entries`` that of the entries that share a scale.
    """
    c, kappa = Q.c(entries) if c is None else c, Q.kappa(entries) if kappa is None else kappa
    which = (name(Q), Q.bits, granularity.name(Q.granularity), d, entries)
    return dict(zip(ABOUT, which, strict=True)) | {"c": c, "kappa": kappa} | premises(c, kappa)


#: the columns that say which quantizer constants belong to
ABOUT = ("quantizer", "bits", "granularity", "d", "entries_per_scale")


def constants(chosen: Namespace, needed: Sequence[str]) -> tuple[Quantizer | None, dict[str, Any]]:
    """Return the quantizer that declares the constants of a command, and what is known of these, as in ``about``.

    "given" are those that options say. Where options say all that are ``needed``, there is no quantizer, and what only
    a quantizer would say is None.
    """
    given = {name: value for name in needed if (value := getattr(chosen, name)) is not None}
    if len(given) < len(needed):
        Q = quantizer(chosen.quantizer, chosen.bits, chosen.granularity)
        return Q, about(Q, chosen.d, block(Q, chosen.d), **given) | {"given": list(given)}
    row: dict[str, Any] = dict.fromkeys((*ABOUT, "c", "kappa")) | given
    return None, row | premises(row["c"], row["kappa"]) | {"given": list(given)}


#: what the conditions are for
CONDITIONS_OF_C = "c < 1: the condition of the sharp bounds (closed loop); 2c ≤ 1: that of the paper's (31)."
CONDITIONS = f"{CONDITIONS_OF_C[:-1]}; kappa < 1: that of the max-norm bounds (closed loop)."


def verdicts(c: float, kappa: float | None = None) -> str:
    """Return the constants and their conditions, as in "c = 0.8392 (c < 1: yes, 2c ≤ 1: no)"."""
    met = {key: yes_or_no(value) for key, value in premises(c, kappa).items()}
    text = f"c = {_below_1(c)} (c < 1: {met['c_below_1']}, 2c ≤ 1: {met['c_at_most_half']})"
    return text if kappa is None else f"{text}, kappa = {_below_1(kappa)} (kappa < 1: {met['kappa_below_1']})"


def yes_or_no(met: bool | None) -> str | None:
    """Return whether a condition is met, in words; None stays None."""
    return None if met is None else "yes" if met else "no"


def _below_1(value: float) -> str:
    """Return a number with four digits, or with as many as show that it is below 1."""
    return next((t for n in range(4, 17) if float(t := f"{value:.{n}g}") < 1), "") if value < 1 else f"{value:.4g}"


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
        if not isinstance(Q.granularity, PerGroup) or shared_by_samples(Q.granularity, d):
            raise
        size = Q.granularity.size
        raise ValueError(
            f"{type(Q).__name__} has one scale per run of {size} entries, and d={d} is not a multiple of {size}: pass "
            f"--d {size}, or --granularity group:SIZE with a SIZE that divides {d}, or --granularity sample"
        ) from None


def entries(Q: Quantizer, d: int) -> int:
    """Return ``block``, but at most d where a run is longer than a sample, for tables of declared constants."""
    if isinstance(Q.granularity, PerGroup) and d >= 1 and not shared_by_samples(Q.granularity, d):
        return min(Q.granularity.size, d)
    return block(Q, d)


def words(Q: Quantizer, d: int, entries: int) -> str:
    """Return the granularity in words, as in "one scale per group:32, 32 entries"."""
    count = f"{entries} entr{'y' if entries == 1 else 'ies'}"
    all_trials = " of all trials" if shared_by_samples(Q.granularity, d) else ""
    return f"one scale per {granularity.name(Q.granularity)}, {count}{all_trials}"
