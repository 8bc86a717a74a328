"""Rounding down, as in the proof of Theorem 4.3, is a contraction in small dimensions only."""

from __future__ import annotations

from modiff_sim import Claim, Evidence, Floor, MinMaxRaw, Verdict, contraction

from .._shared import EPS

ORDER = 11


def _c(d: int, N: int) -> float:
    return max(2 * (d - 1) / (N**2 + 1), (2 * d - 3) / N**2)


CLAIM = Claim(
    id="floor_worst_case_c",
    statement="Min-max rounding down, the quantizer of Theorem 4.3's proof, has c = max(2(d-1)/(N²+1), (2d-3)/N²), N = "
    "2^b-1: above 1, so no contraction, from d = 7 at 2 bits and d = 27 at 3 bits on.",
    source="this project, on Theorem 4.3 and (29)",
    relation="tight",
)


def check(effort: str = "quick", *, quantizer=Floor, formula=_c) -> Evidence:
    """Compare the formula with a search, and note the first dimension with c > 1."""
    claimed, measured, cases, first = [], [], [], {}
    for bits in (2, 3) if effort == "quick" else (1, 2, 3, 4, 6, 8):
        N, Q = 2**bits - 1, quantizer(bits, floor=0.0)
        for d in (2, 6, 7, 26, 27, 10**4) if effort == "quick" else (2, 3, 4, 6, 7, 26, 27, 112, 113, 10**4, 10**6):
            claimed.append(formula(d, N))
            measured.append(contraction.search(Q, d, seed=550).value)
            cases.append(f"b = {bits}, d = {d}")
            if measured[-1] > 1 + 1e-9:
                first.setdefault(bits, d)
    return Evidence(
        # the extremes are met to one float, which N steps of rounding magnify: relative, on the squares
        claimed=claimed,
        measured=measured,
        cases=cases,
        atol=[256 * EPS * max(1, v) for v in claimed],
        seed=550,
        note="c > 1 from " + ", ".join(f"d = {d} at {bits} bits" for bits, d in first.items() if bits in (2, 3)),
        everywhere=True,
    )


CONTROLS = [
    ({"formula": lambda d, N: 2 * d / N**2}, Verdict.VIOLATED),  # an upper bound that no input attains
    ({"formula": lambda d, N: 2 * (d - 1) / (N**2 + 1)}, Verdict.VIOLATED),  # one of the two ends only
    ({"quantizer": MinMaxRaw}, Verdict.VIOLATED),
]
