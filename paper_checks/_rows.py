"""What the claims on committed rows share: Fréchet distances without their bias, compared in pairs from the same noise.

An *excess* is the distance of one cell minus that of another, over the distance that full precision has at as many
images: 0.1 is "10 % worse". Bias of a finite n cancels in the difference, and so does most of the sampling noise, since
images of equal number start from the same noise. Its interval is the jackknife's (``modiff_sim.metrics.jackknife``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from modiff_sim import Evidence
from modiff_sim.evidence import Premise

Pair = tuple[Any, Any]  # two cells: the first is compared with the second
NO_LOSS = 0.10  # the most by which an arm may exceed what it is compared with and have "no loss"; ours


def cells(name: str, *places: tuple[str, str]) -> list[Any]:
    """Return cells of a table by (row, column)."""
    from analysis.tables.layouts import TABLES

    return [TABLES[name].cells[place] for place in places]


def pseudo(name: str, cell: Any, value: str = "frechet", images: int | None = None) -> np.ndarray:
    """Return the pseudo-values of a cell, one per micro-batch. Raises StoreError where it was not measured.

    ``images`` is how many, by default those of the table.
    """
    from analysis.tables.layouts import TABLES
    from analysis.tables.rows import committed
    from analysis.tables.write import pseudo_values

    table = TABLES[name]
    return pseudo_values(committed(table.model), table, cell, value, images)


def value(name: str, cell: Any, metric: str = "frechet", images: int | None = None) -> float:
    """Return the value of all images of a cell, or of so many. Raises StoreError where it was not measured."""
    from analysis.tables.layouts import TABLES
    from analysis.tables.rows import committed
    from modiff_sim.sweeps.store import StoreError

    table = TABLES[name]
    found = committed(table.model).value(cell, images or table.images, table.seed, metric)
    if found is None:
        raise StoreError(f"table {name!r} has no rows of {cell.label}: measure it with --rerun")
    return found


def images_of(name: str, *cells: Any) -> int:
    """Return the largest number of images with which all of these cells of a table were measured."""
    from analysis.tables.layouts import TABLES

    return TABLES[name].images_of(*cells)


def excess(name: str, cell: Any, base: Any) -> np.ndarray:
    """Return the pseudo-values of the excess of a cell over another, from the most images that both have."""
    n = images_of(name, cell, base, cell.full)
    return (pseudo(name, cell, images=n) - pseudo(name, base, images=n)) / value(name, cell.full, images=n)


def relative(name: str, cell: Any, base: Any) -> np.ndarray:
    """Return the same in units of the other cell's own distance."""
    n = images_of(name, cell, base)
    return (pseudo(name, cell, images=n) - pseudo(name, base, images=n)) / value(name, base, images=n)


def excesses(name: str, pairs: Sequence[Pair], *, claimed: float, ordered: bool = False) -> Evidence:
    """Measure the excess of the first cell of each pair over the second, with its 95 % interval.

    ``ordered`` makes it a premise that the distance can order the pair: not both cells have failed, and not both are
    without loss.
    """
    found = [excess(name, a, b) for a, b in pairs]
    labels = [over(a, b) for a, b in pairs]
    premises = [premise(name, p) for p in pairs for premise in (not_both_failed, one_has_a_loss)] if ordered else []
    return judged(name, found, labels, claimed, premises=premises)


def over(cell: Any, base: Any) -> str:
    """Return what is compared in words, with the samplers where they are not the same."""
    if cell.full == base.full:
        return f"{cell.arm.label} over {base.arm.label}"
    return f"{cell.label} over {base.label}"


def judged(
    name: str,
    found: Sequence[np.ndarray],
    labels: Sequence[str],
    claimed: float,
    *,
    premises: Sequence[Premise] = (),
    what: str = "excess of the Fréchet distance",
) -> Evidence:
    """Return evidence from pseudo-values, an array per case."""
    from modiff_sim.metrics.jackknife import estimate

    each = [estimate(p) for p in found]
    cases = [f"{label}: {e.value:.3g} [{e.low:.3g}, {e.high:.3g}]" for label, e in zip(labels, each, strict=True)]
    return Evidence(
        claimed,
        [e.value for e in each],
        low=[e.low for e in each],
        high=[e.high for e in each],
        cases=cases,
        premises=premises,
        seed=0,
        params=params(name) | {"value": what},
        note="; ".join(cases) if len(cases) <= 6 else "",
    )


def params(name: str) -> dict[str, Any]:
    """Return what a claim says of the rows that it is about."""
    from analysis.tables.layouts import TABLES

    table = TABLES[name]
    about = {"table": name, "images": table.images, "groups": len(pseudo(name, table.bases[0]))}
    return about | ({"images of cells near a mark": sorted(table.closer)} if table.closer else {})


def one_has_a_loss(name: str, pair: Pair) -> Premise:
    """Return the premise that one of two cells is not without loss against quantized weights alone.

    Two sets of images that are both as good as those of full-precision activations have no order but that of chance.
    """
    from modiff_sim.metrics.jackknife import estimate

    most = [estimate(excess(name, cell, cell.weights_only)).high for cell in pair]
    words = ", ".join(f"{cell.arm.label} at most {high:.0%}" for cell, high in zip(pair, most, strict=True))
    return Premise("one of the arms has a loss", max(most) > NO_LOSS, words)


def not_both_failed(name: str, pair: Pair) -> Premise:
    """Return the premise that at least one of two cells still makes images like the real ones.

    A cell has failed where the share of its images within the real ones, their precision, is less than half of full
    precision's: beyond that a Fréchet distance has no order to speak of.
    """
    shares = [value(name, cell, "precision") / value(name, cell.full, "precision") for cell in pair]
    words = ", ".join(f"{cell.arm.label} {share:.0%}" for cell, share in zip(pair, shares, strict=True))
    return Premise("not both arms have failed", max(shares) >= 0.5, f"precision over full precision's: {words}")
