"""What ``modiff-sim contraction`` was asked for: quantizers and dimensions, and which of them have no rows, and why."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from .. import quantizers
from ..arguments import count
from ..contraction.left_out import LEAST, short, why_not
from ..contraction.samples import DISTRIBUTIONS
from ..names import one_of
from ..quantizers import granularity
from ..quantizers.base import Quantizer
from ..quantizers.granularity import Granularity
from . import taken

#: the columns that say what a row is about, besides the norm
WHICH = ("quantizer", "bits", "granularity", "d", "distribution")


@dataclass(frozen=True)
class Asked:
    """What is asked for, all of it read before anything is measured.

    ``quantizers`` are the ones that there are, each once. ``left_out`` has a row per quantizer and dimension that
    cannot be measured, with the reason.
    """

    quantizers: list[Quantizer]
    dims: list[int]
    distributions: list[str]
    left_out: list[dict[str, Any]]

    def calls(self) -> Iterator[tuple[Granularity, list[int], list[str]]]:
        """Yield granularities, bits and names, with which the atlas measures every quantizer that can be, once."""
        names: dict[tuple[Granularity, int], list[str]] = {}
        there = {tuple(row[name] for name in WHICH[:3]) for row in self.expected()}
        for Q in (Q for Q in self.quantizers if _key(Q) in there):
            names.setdefault((Q.granularity, Q.bits), []).append(taken.name(Q))
        bits: dict[tuple[Granularity, tuple[str, ...]], list[int]] = {}
        for (shared, b), group in names.items():
            bits.setdefault((shared, tuple(group)), []).append(b)
        yield from ((shared, several, list(group)) for (shared, group), several in bits.items())

    def expected(self) -> list[dict[str, Any]]:
        """Return the rows as far as they are known before they are measured: ``WHICH``, and nothing searched."""
        without = {tuple(row[name] for name in WHICH[:-1]) for row in self.left_out}
        keys = [(*_key(Q), d) for Q in self.quantizers for d in self.dims]
        kept = [(*key, distribution) for key in keys if key not in without for distribution in self.distributions]
        return [dict(zip(WHICH, key, strict=True)) | {"searched": None} for key in kept]

    def missing(self, rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return ``left_out``, and a row per quantizer and dimension for which the recording has too few samples."""
        found = {tuple(row[name] for name in WHICH) for row in rows}
        known = {_key(Q): Q.granularity for Q in self.quantizers}
        more = [{name: row[name] for name in WHICH} for row in self.expected()]
        more = [row for row in more if tuple(row.values()) not in found]
        for row in more:
            row["reason"] = short(known[row["quantizer"], row["bits"], row["granularity"]], row["d"])
        return self.left_out + more


def read(chosen: Namespace) -> Asked:
    """Return what is asked for. Raises ValueError for what no quantizer, dimension or distribution is called."""
    count("--trials", chosen.trials, LEAST)
    dims = list(dict.fromkeys(count("--d", d) for d in chosen.d))
    distributions = list(dict.fromkeys(one_of("distribution", name, DISTRIBUTIONS) for name in chosen.distribution))
    usual = [granularity.parse(text) for text in chosen.granularity or ()]
    found: dict[Quantizer, None] = {}
    left_out: dict[tuple[Any, ...], str] = {}
    for text in chosen.quantizer:
        name, bits, shared = quantizers.parts(text)
        if bits is not None:
            quantizers.parse(text)  # bits that a text says must be bits of the quantizer; others are left out
        own = quantizers.make(name, 8).granularity
        for g in [shared] if shared is not None else usual or [own]:
            for b in chosen.bits if bits is None else [bits]:
                try:
                    Q = quantizers.make(name, b, granularity=g)
                except ValueError as error:
                    left_out |= {(name, b, granularity.name(g), d): str(error) for d in dims}
                    continue
                found[Q] = None
                whys = {(*_key(Q), d): why_not(Q.granularity, d, chosen.trials) for d in dims}
                left_out |= {key: why for key, why in whys.items() if why}
    drawn = [*distributions, *["recorded"] * bool(chosen.recorded)]
    rows = [dict(zip(WHICH, (*key, None), strict=True)) | {"reason": why} for key, why in left_out.items()]
    return Asked(list(found), dims, drawn, rows)


def _key(Q: Quantizer) -> tuple[str, int, str]:
    return taken.name(Q), Q.bits, granularity.name(Q.granularity)
