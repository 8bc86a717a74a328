"""Ties do not decide the worst case: at a tie both levels are equally far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from modiff_sim import AbsMax, Claim, Evidence, HalfAway, Verdict, contraction
from modiff_sim.evidence import Premise

from .._shared import EPS, label

ORDER = 8
CLAIM = Claim(
    id="half_away_same_worst_case",
    statement="Rounding ties away from zero has absmax's worst cases, c = (d-1)/(d-1+4·qmax²) and κ = 1/(2·qmax), "
    "attained by the same input: that ties go to even does not matter.",
    source="this project, on (29)",
    relation="tight",
)


def check(effort: str = "quick", *, quantizers: Sequence[type[AbsMax]] = (AbsMax, HalfAway)) -> Evidence:
    """Measure the input with one entry at qmax steps and ties elsewhere, and search, for both rules."""
    claimed, measured, cases, apart = [], [], [], []
    for bits in (2, 3, 4):
        qmax = 2 ** (bits - 1) - 1
        for d in (2, 37, 4096) if effort == "quick" else (2, 5, 37, 500, 4096, 10**5):
            tie = np.full((1, d), 0.5)
            tie[0, 0] = qmax
            apart.append(not np.array_equal(*(kind(bits)(tie) for kind in (AbsMax, HalfAway))))
            for kind in quantizers:
                Q = kind(bits)
                for norm, known in (("c", (d - 1) / (d - 1 + 4 * qmax**2)), ("kappa", 1 / (2 * qmax))):
                    found = contraction.search(Q, d, norm=norm, tries=6, rounds=1).value if d == 37 else 0.0
                    claimed.append(known)
                    measured.append(max(found, contraction.ratios(Q, tie, norm=norm)[0]))
                    cases.append(f"{label(Q)}, d = {d}, {norm}")
    return Evidence(
        claimed=claimed,
        measured=measured,
        cases=cases,
        atol=16 * EPS,
        seed=0,  # as grid_worst_case_c
        premises=(Premise("the two rules differ on this input", all(apart)),),
        everywhere=True,
    )


@dataclass(frozen=True, kw_only=True)
class DownAway(HalfAway):
    """Rounds down instead of to nearest."""

    def round(self, xp, steps):
        """Return the steps, rounded down."""
        return xp.floor(steps)


CONTROLS = [
    ({"quantizers": (DownAway,)}, Verdict.VIOLATED),
]
