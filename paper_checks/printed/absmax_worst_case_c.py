"""In the 2-norm the worst case depends on the dimension."""

import numpy as np

from modiff_sim import AbsMax, Claim, Evidence, Verdict, contraction

from .._broken import FloorAbsMax
from .._shared import EPS

ORDER = 7
CLAIM = Claim(
    id="absmax_worst_case_c",
    statement="For round-to-nearest absmax the best constant in (29) is c = (d-1)/(d-1+4·qmax²), so 2c < 1 for every "
    "input needs d ≤ 4·qmax² (36 at 3 bits).",
    source="this project, on (29)",
    relation="tight",
)


def check(effort: str = "quick", *, quantizer=AbsMax) -> Evidence:
    """Search for the worst case from random starts, with moves onto rounding boundaries, and compare the formula."""
    claimed, measured, cases = [], [], []
    dims = (2, 5, 16, 36, 37, 64) if effort == "quick" else (2, 5, 16, 36, 37, 64, 256, 1024, 4096)
    for bits in (2, 3, 4):
        qmax = 2 ** (bits - 1) - 1
        for d in dims:
            claimed.append((d - 1) / (d - 1 + 4 * qmax**2))
            measured.append(contraction.search(quantizer(bits), d, tries=8, rounds=2, seed=d).value)
            cases.append(f"b = {bits}, d = {d}")
    small = [d for d in range(2, 100) if 2 * AbsMax(3).c(d) < 1]
    return Evidence(
        claimed=claimed,
        measured=measured,
        cases=cases,
        seed=21,
        atol=16 * EPS * np.asarray(dims * 3),  # a sum of d squares of entries that round 4 times
        note=f"at 3 bits 2c < 1 up to d = {max(small)}",
        everywhere=True,
    )


CONTROLS = [
    ({"quantizer": FloorAbsMax}, Verdict.VIOLATED),
]
