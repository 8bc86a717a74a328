"""One closed form for the worst case of every symmetric grid that reaches max|x|."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from modiff_sim import (
    FP8E4M3,
    FP8E5M2,
    AbsMax,
    Claim,
    DeadZone,
    Evidence,
    HalfAway,
    Logarithmic,
    MidRise,
    Verdict,
    contraction,
)
from modiff_sim.quantizers import SymmetricGrid
from modiff_sim.quantizers.worst_case import sup_c, sup_kappa

from .._shared import EPS, label

ORDER = 1
CLAIM = Claim(
    id="grid_worst_case_c",
    statement="Nearest level of a symmetric grid with top level M = max|x|: c = max (d-1)h²/(M²+(d-1)m²) and κ = max "
    "h/M over the boundaries m between levels, h half the gap; absmax, ties away, mid-rise, dead zone, powers of two, "
    "FP8; d from 2 to 10⁶.",
    source="this project",
    relation="tight",
)
GRIDS: tuple[SymmetricGrid, ...] = (
    AbsMax(2), AbsMax(4), HalfAway(3), MidRise(2), MidRise(4), DeadZone(4), Logarithmic(3), FP8E4M3(), FP8E5M2(),
)  # fmt: skip


def check(
    effort: str = "quick", *, grids: Sequence[SymmetricGrid] = GRIDS, formula=sup_c, formula_kappa=sup_kappa
) -> Evidence:
    """Compare the formula from the grid's levels with a search that only sees the quantizer's output."""
    dims = (36, 10**6) if effort == "quick" else (2, 3, 9, 36, 100, 1000, 4096, 10**5, 10**6)
    claimed, measured, cases = [], [], []
    for Q in grids:
        for d in dims:
            for norm, worst in (("c", formula), ("kappa", formula_kappa)):
                if norm == "kappa" and d != 36:
                    continue  # no dimension in it
                claimed.append(worst(d, Q.boundaries, Q.reach))
                measured.append(contraction.search(Q, d, norm=norm, tries=6, rounds=1, seed=520).value)
                cases.append(f"{label(Q)}, d = {d}, {norm}")
    return Evidence(
        # a boundary is met to one float, and scale, quotient, product and difference round once each: on the squares
        claimed=claimed,
        measured=measured,
        cases=cases,
        atol=32 * EPS * np.maximum(1, claimed),
        seed=520,
        note=f"{len(cases)} cases up to d = {dims[-1]}, every supremum attained by a searched input",
        everywhere=True,
    )


@dataclass(frozen=True, kw_only=True)
class Down(AbsMax):
    """Rounds down, so that the boundaries are elsewhere and the whole gap counts."""

    def round(self, xp, steps):
        """Return the steps, rounded down."""
        return xp.floor(steps)


CONTROLS = [
    ({"formula": lambda d, grid, top: sup_c(d, grid, top) / 2}, Verdict.VIOLATED),
    ({"formula": lambda d, grid, top: sup_c(d + 1, grid, top)}, Verdict.VIOLATED),  # d for d-1
    ({"formula": lambda d, grid, top: sup_c(d, [(0.0, h) for _, h in grid], top)}, Verdict.VIOLATED),
    ({"formula_kappa": lambda d, grid, top: 2 * sup_kappa(d, grid, top)}, Verdict.VIOLATED),
    ({"grids": (Down(3),)}, Verdict.VIOLATED),
]
