"""The 2-norm of float grids: small entries have small steps, so the worst case hardly depends on the dimension."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from modiff_sim import FP8E4M3, FP8E5M2, AbsMax, Claim, Evidence, Quantizer, Verdict, contraction
from modiff_sim.evidence import Premise

from .._shared import EPS, label

ORDER = 3
CLAIM = Claim(
    id="float_formats_c",
    statement="FP8 scaled onto max|x| has c < 1/289 (e4m3) or 1/81 (e5m2) for every input of up to 10⁶ entries, so "
    "(29) holds with 2c < 1 at the dimension of a layer, where absmax needs d ≤ 4·qmax².",
    source="this project, on (29)",
    relation="upper",
)
LIMIT: dict[Quantizer, float] = {FP8E4M3(): 1 / 289, FP8E5M2(): 1 / 81}


def check(effort: str = "quick", *, limit: Mapping[Quantizer, float] = LIMIT) -> Evidence:
    """Search for the largest c at several dimensions, and measure it on data."""
    rng = np.random.default_rng(526)
    dims = (36, 4096, 10**6) if effort == "quick" else (2, 36, 500, 4096, 10**5, 10**6)
    claimed, measured, cases = [], [], []
    for Q, most in limit.items():
        for d in dims:
            data = [rng.standard_normal((2, d)), rng.standard_t(1.5, (2, d))] if d < 10**5 else []
            found = contraction.search(Q, d, tries=6, rounds=2, seed=526).value
            claimed.append(most)
            measured.append(max(found, *(contraction.ratios(Q, x).max() for x in data)) if data else found)
            cases.append(f"{label(Q)}, d = {d}: c = {measured[-1]:.4g}")
    beside = AbsMax(8).c(10**6)
    return Evidence(
        claimed=claimed,
        measured=measured,
        cases=cases,
        atol=16 * EPS,
        seed=526,
        premises=(Premise("absmax with 8 bits has 2c > 1 there", 2 * beside > 1, f"c = {beside:.2f}"),),
        note=f"at d = 10⁶ absmax with 8 bits has c = {beside:.2f}",
    )


CONTROLS = [
    ({"limit": {FP8E4M3(): 1 / 290}}, Verdict.VIOLATED),
    ({"limit": {AbsMax(8): 1 / 2}}, Verdict.VIOLATED),
]
