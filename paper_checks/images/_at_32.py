"""What the claims at 32×32 share: Fréchet distances of all images of a cell, with a bootstrap paired by the noise."""

from __future__ import annotations

from typing import Any

import numpy as np

from modiff_sim import Evidence

AT_32 = (
    "On the 32×32 model (Fashion-MNIST, 1.1 M parameters, trained on a CPU; a stand-in for the paper's CIFAR-10 and "
    "LSUN models)"
)
TABLE = "fashion32"


def cell(row: str, column: str) -> Any:
    """Return a cell of the table of the 32×32 model."""
    from analysis.tables.layouts import AT_32 as CELLS

    return CELLS[row, column]


def product(powers: dict[Any, int], label: str, *, claimed: float, resamples: int = 400) -> Evidence:
    """Measure the product of Fréchet distances to their powers, such as {a: 1, b: -1}, with a paired 95 % interval.

    Every resample takes the same images, that is the same noise, of all cells. Its effect on the logarithm is taken to
    first order and centred: resamples have fewer distinct images, which increases all distances alike and must not
    pull a ratio towards 1.

    Raises StoreError where the features of a cell were not kept.
    """
    from analysis.metrics import reference
    from analysis.metrics.frechet import distance_of_moments, moments
    from analysis.tables.layouts import TABLES
    from analysis.tables.rows import committed
    from modiff_sim.sweeps.store import StoreError

    table, rows = TABLES[TABLE], committed(TABLE)
    target = reference.load(TABLE).moments
    features = {each: rows.features(each) for each in powers}
    if missing := [each.label for each, found in features.items() if found is None]:
        raise StoreError(f"no features of {', '.join(missing)}: measure table {TABLE!r} with --rerun")
    sets = {each: np.asarray(found, np.float64) for each, found in features.items()}
    n = len(next(iter(sets.values())))
    at = {each: distance_of_moments(moments(f), target) for each, f in sets.items()}
    value = sum(power * np.log(at[each]) for each, power in powers.items())
    rng = np.random.Generator(np.random.PCG64(0))
    effect = np.empty(resamples)
    for i in range(resamples):
        times = np.bincount(rng.integers(n, size=n), minlength=n).astype(np.float64)
        moved = {each: distance_of_moments(moments(f, times), target) for each, f in sets.items()}
        effect[i] = sum(power * moved[each] / at[each] for each, power in powers.items())
    low, middle, high = np.quantile(effect, [0.025, 0.5, 0.975])
    found = np.exp([value, value + low - middle, value + high - middle])
    words = "; ".join(f"{each.label} {at[each]:.1f}" for each in powers)
    case = f"{label}: {found[0]:.3g} [{found[1]:.3g}, {found[2]:.3g}] ({words})"
    return Evidence(
        claimed,
        found[0],
        low=found[1],
        high=found[2],
        cases=case,
        seed=table.seeds[0],
        note=case,
        params={"table": TABLE, "images": n, "seeds": list(table.seeds), "resamples": resamples},
    )
