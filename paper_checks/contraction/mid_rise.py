"""A grid without a zero level: better in the max norm, no contraction in the 2-norm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from modiff_sim import AbsMax, Claim, Evidence, MidRise, Verdict, contraction

from .._shared import EPS

ORDER = 9
CLAIM = Claim(
    id="mid_rise",
    statement="Levels (k+½)s up to max|x|, none of them 0: κ = 1/(2^b-1), less than absmax's, but c = (d-1)/(2^b-1)², "
    "above 1 for d-1 > (2^b-1)² (d ≥ 11 at 2 bits): zeros beside one large entry become errors.",
    source="this project",
    relation="tight",
)


def check(effort: str = "quick", *, quantizer=MidRise) -> Evidence:
    """Compare both constants with a search, and with the input of one entry beside zeros."""
    claimed, measured, cases, first = [], [], [], {}
    for bits in (2, 3, 4):
        N, Q = 2**bits - 1, quantizer(bits)
        for d in (2, N**2 + 1, N**2 + 2, 4096 if effort == "quick" else 10**6):
            zeros = np.zeros((1, d))
            zeros[0, 0] = 1.0
            for norm, known in (("c", (d - 1) / N**2), ("kappa", 1 / N)):
                found = contraction.search(Q, d, norm=norm, tries=6, rounds=1).value
                claimed.append(known)
                measured.append(max(found, contraction.ratios(Q, zeros, norm=norm)[0]))
                cases.append(f"b = {bits}, d = {d}, {norm}")
                if norm == "c" and measured[-1] > 1 + 1e-9:
                    first.setdefault(bits, d)
    return Evidence(
        claimed=claimed,
        measured=measured,
        cases=cases,
        atol=32 * EPS * np.maximum(1, claimed),
        seed=0,
        note="c > 1 from " + ", ".join(f"d = {d} at {bits} bits" for bits, d in first.items()),
        everywhere=True,
    )


@dataclass(frozen=True, kw_only=True)
class WithZero(MidRise):
    """Has a zero level, which mid-rise lacks."""

    def quantize(self, blocks, qparams, *, random=None):
        """Return the codes, with 0 for small entries."""
        codes = super().quantize(blocks, qparams)
        return np.where(np.abs(blocks) < qparams.scale / 4, 0.0, codes)


CONTROLS = [
    ({"quantizer": WithZero}, Verdict.VIOLATED),
    ({"quantizer": AbsMax}, Verdict.VIOLATED),
]
