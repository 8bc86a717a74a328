"""What the claims on committed rows share: Fréchet distances without their bias, compared in pairs from the same noise.

The *excess* of a cell over another is the difference of their distances, from the most images that both have. A mark
in per cent is of a *unit*, the distance of full precision under the same sampler: an excess of 0.1 units is "10 %
worse". The unit is without the bias of a finite number of images, as the excess is, and from the most images that there
are, so that a mark means the same at every n. The interval of the ratio is Fieller's and holds the error of the unit
(``modiff_sim.metrics.jackknife``). Of the bias of finite sets that of the real images is left: distances are to the
moments of these images, and not to those of a population.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from modiff_sim import Evidence
from modiff_sim.evidence import Premise

if TYPE_CHECKING:
    from analysis.tables.rows import Rows
    from modiff_sim.metrics.jackknife import Levels
    from modiff_sim.metrics.resampling import Interval

Pair = tuple[Any, Any]  # two cells: the first is compared with the second
NO_LOSS = 0.10  # the most by which an arm may exceed what it is compared with and have "no loss"; ours


#: whether rows are those that were judged by a classifier of other people
_OUTSIDE: ContextVar[bool] = ContextVar("outside", default=False)


@contextmanager
def judged_outside(outside: bool) -> Iterator[None]:
    """Read the rows in the features of a classifier of other people, or of the one trained here."""
    before = _OUTSIDE.set(outside)
    try:
        yield
    finally:
        _OUTSIDE.reset(before)


def _rows_of(model: str) -> Rows:
    from analysis.tables import rows

    return rows.committed(model, rows.OUTSIDE) if _OUTSIDE.get() else rows.committed(model)


def cells(name: str, *places: tuple[str, str]) -> list[Any]:
    """Return cells of a table by (row, column)."""
    from analysis.tables.layouts import TABLES

    return [TABLES[name].cells[place] for place in places]


def pseudo(name: str, cell: Any, value: str = "frechet", images: int | None = None) -> np.ndarray:
    """Return the pseudo-values of a cell, one per micro-batch. Raises StoreError where it was not measured.

    ``images`` is how many, by default those of the table.
    """
    from analysis.tables.layouts import TABLES
    from analysis.tables.write import pseudo_values

    table = TABLES[name]
    return pseudo_values(_rows_of(table.model), table, cell, value, images)


def value(name: str, cell: Any, metric: str = "frechet", images: int | None = None) -> float:
    """Return the value of all images of a cell, or of so many. Raises StoreError where it was not measured."""
    from analysis.tables.layouts import TABLES
    from modiff_sim.sweeps.store import StoreError

    table = TABLES[name]
    found = _rows_of(table.model).value(cell, images or table.images, table.seed, metric)
    if found is None:
        raise StoreError(f"table {name!r} has no rows of {cell.label}: measure it with --rerun")
    return found


def images_of(name: str, *cells: Any) -> int:
    """Return the largest number of images with which all of these cells of a table's model were measured."""
    from analysis.tables.layouts import TABLES, images_of

    return images_of(TABLES[name].model, *cells)


def excess(name: str, cell: Any, base: Any) -> Levels:
    """Return the excess of a cell over another, from the most images that both have."""
    from modiff_sim.metrics.jackknife import Levels

    n = images_of(name, cell, base)
    return Levels.of(pseudo(name, cell, images=n) - pseudo(name, base, images=n))


def distance(name: str, cell: Any) -> Levels:
    """Return the distance of a cell to the real images, of which most is measured with more images than the cell has.

    It is the sum of full precision's distance, of the excess of quantized weights alone over that, and of the cell's
    excess over these, each from the most images that there are.
    """
    from modiff_sim.metrics.jackknife import Levels

    steps = list(dict.fromkeys((cell.full, cell.weights_only, cell)))
    found = Levels.of(pseudo(name, cell.full, images=images_of(name, cell.full)))
    for base, each in pairwise(steps):
        found += excess(name, each, base)
    return found


def loss(name: str, cell: Any, base: Any) -> Interval:
    """Return the excess of a cell over another, in units of full precision's distance under the same sampler."""
    from modiff_sim.metrics.jackknife import ratio

    return ratio(excess(name, cell, base), distance(name, cell.full))


def relative(name: str, cell: Any, base: Any) -> Interval:
    """Return the excess of a cell over another with the same quantized weights, in units of the other's own distance.

    Both are compared with these weights alone, each from the most images that it has: what arms that lose nothing have
    in common with them cancels, and what is left needs few images.
    """
    from modiff_sim.metrics.jackknife import ratio

    alone = cell.weights_only
    return ratio(excess(name, cell, alone) - excess(name, base, alone), distance(name, base))


def losses(name: str, pairs: Sequence[Pair], *, claimed: float) -> Evidence:
    """Measure the loss of the first cell of each pair over the second, with its 95 % interval."""
    labels = [over(a, b) for a, b in pairs]
    return judged(name, [loss(name, a, b) for a, b in pairs], labels, claimed, pairs=pairs, unit=True)


def excesses(name: str, pairs: Sequence[Pair], *, ordered: bool = False) -> Evidence:
    """Measure the excess of the first cell of each pair over the second, which is claimed to be above 0.

    ``ordered`` makes it a premise that the distance can order the pair: not both cells have failed, and not both are
    without loss.
    """
    premises = [premise(name, p) for p in pairs for premise in (not_both_failed, one_has_a_loss)] if ordered else []
    found, labels = [excess(name, a, b) for a, b in pairs], [over(a, b) for a, b in pairs]
    return judged(name, found, labels, 0.0, pairs=pairs, premises=premises)


def over(cell: Any, base: Any) -> str:
    """Return what is compared in words, with the samplers where they are not the same."""
    if cell.full == base.full:
        return f"{cell.arm.label} over {base.arm.label}"
    return f"{cell.label} over {base.label}"


def judged(
    name: str,
    found: Sequence[np.ndarray | Levels | Interval],
    labels: Sequence[str],
    claimed: float,
    *,
    pairs: Sequence[Pair],
    unit: bool = False,
    premises: Sequence[Premise] = (),
    what: str = "excess of the Fréchet distance",
) -> Evidence:
    """Return evidence from an estimate per case: pseudo-values, Levels, or what has an interval already.

    ``pairs`` are the cells that were compared, and ``unit`` says that it was in units of full precision's distance.
    """
    from modiff_sim.metrics.jackknife import estimate
    from modiff_sim.metrics.resampling import Interval

    each = [e if isinstance(e, Interval) else estimate(e) for e in found]
    cases = [f"{label}: {e.value:.3g} [{e.low:.3g}, {e.high:.3g}]" for label, e in zip(labels, each, strict=True)]
    units = list(dict.fromkeys(cell.full for cell, _ in pairs)) if unit else []
    about = {"unit": "; ".join(unit_of(name, full) for full in units)} if units else {}
    return Evidence(
        claimed,
        [e.value for e in each],
        low=[e.low for e in each],
        high=[e.high for e in each],
        cases=cases,
        premises=premises,
        seed=0,
        params=params(name, pairs) | {"value": what} | about,
        note="; ".join(cases) if len(cases) <= 6 else "",
    )


def unit_of(name: str, cell: Any) -> str:
    """Return a cell's distance in words, with its interval and the number of its images."""
    from modiff_sim.metrics.jackknife import estimate

    e = estimate(distance(name, cell))
    return f"{cell.label} {e.value:.3g} [{e.low:.3g}, {e.high:.3g}] from {images_of(name, cell)} images"


def params(name: str, pairs: Sequence[Pair]) -> dict[str, Any]:
    """Return what a claim says of the rows that it is about: the table, and how many images of the pairs there are."""
    counts = sorted({images_of(name, *pair) for pair in pairs})
    return {"table": name, "images": counts[0] if len(counts) == 1 else counts}


def one_has_a_loss(name: str, pair: Pair) -> Premise:
    """Return the premise that one of two cells loses more than ``NO_LOSS`` against quantized weights alone.

    Two sets of images that are both as good as those of full-precision activations have no order but that of chance.
    """
    lost = [loss(name, cell, cell.weights_only) for cell in pair]
    words = ", ".join(f"{cell.arm.label} {e.low:.0%} to {e.high:.0%}" for cell, e in zip(pair, lost, strict=True))
    return Premise("one of the arms has a loss", max(e.low for e in lost) > NO_LOSS, words)


def not_both_failed(name: str, pair: Pair) -> Premise:
    """Return the premise that at least one of two cells still makes images like the real ones.

    A cell has failed where the share of its images within the real ones, their precision, is less than half of full
    precision's: beyond that a Fréchet distance has no order to speak of.
    """
    shares = [value(name, cell, "precision") / value(name, cell.full, "precision") for cell in pair]
    words = ", ".join(f"{cell.arm.label} {share:.0%}" for cell, share in zip(pair, shares, strict=True))
    return Premise("not both arms have failed", max(shares) >= 0.5, f"precision over full precision's: {words}")
