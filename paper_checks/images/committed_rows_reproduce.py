"""The tables are drawn from committed rows: is this code what made them? A few micro-batches are sampled again."""

from __future__ import annotations

from typing import Any

from modiff_sim import Claim, Evidence

from .._digits import STAND_IN

ORDER = 12
LIVE = True
# The same versions on the same kind of CPU give the same bytes. Elsewhere rounding flips codes, and a compensated run
# carries this on to visible differences in single images; mean and rms over 64 images or more move by less than this.
CLOSE = 0.01
CLAIM = Claim(
    id="committed_rows_reproduce",
    statement=f"{STAND_IN} and at 32×32: micro-batches of the committed rows, sampled again, have the mean and "
    f"the rms pixel that were committed (largest difference; pixels lie in [-1, 1]; at most {CLOSE}).",
    source="this project, on its own tables",
    relation="upper",
    topic="practice",
)


def cells(effort: str) -> list[tuple[str, Any]]:
    """Return (model, cell) of cheap cells, with full precision and the closed loop among them.

    Effort full takes the closed loop at 32×32, the colour model, a static scale and the open loop of convolutions alone
    as well.
    """
    from analysis.tables.layouts import AT_32, TABLES

    digits = TABLES["16"].cells
    closed, at_32 = digits["W8A4", "closed"], AT_32["W8A3 closed loop", "DDIM 10"]
    found = [("digits", closed), ("digits", closed.full), ("fashion32", at_32.full)]
    if effort == "full":
        found.append(("cifar10_small", TABLES["cifar10"].cells["full precision", "DDIM 50"]))
        found += [("fashion32", at_32), ("digits", TABLES["15"].cells["W8A6", "closed"])]
        found.append(("digits", TABLES["1"].cells["W8A4", "static closed"]))
        found.append(("digits", TABLES["4"].cells["W8A4", "convolutions: open loop"]))
    return found


def check(effort: str = "quick", *, seed: int = 0, models=("digits", "fashion32", "cifar10_small")) -> Evidence:
    """Sample the cells again, and compare mean and rms pixel. A seed that was not committed gives other images."""
    from analysis.tables import sampling
    from analysis.tables.cells import from_flat
    from analysis.tables.rows import committed

    apart, cases = [], []
    for model, cell in (each for each in cells(effort) if each[0] in models):
        known = next(
            r
            for r in committed(model).measured.micro_batches
            if r["seed"] == 0 and r["micro_batch"] == 0 and from_flat(r) == cell
        )
        (point,) = sampling.points(model, [sampling.Wanted(cell, sampling.BATCH[model], seed)])
        again = sampling.compute(point).row
        apart += [abs(again[k] - known[k]) for k in ("mean", "rms")]
        cases += [f"{model}, {cell.label}: {k} {again[k]:.6f}, committed {known[k]:.6f}" for k in ("mean", "rms")]
    made_by = {model: committed(model).manifest["source"] == sampling.source() for model in models}
    same = "; ".join(f"{m}: {'this source' if same else 'an older source'}" for m, same in made_by.items())
    return Evidence(
        CLOSE,
        apart,
        cases=cases,
        seed=seed,
        params={"cells": len(apart) // 2},
        note=f"committed rows are of {same}",
    )
