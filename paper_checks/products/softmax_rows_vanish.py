"""What sharing a scale does to a softmax: rows that attend everywhere are rounded to zero."""

import numpy as np

from modiff_sim import AbsMax, Claim, Evidence, MinMax, PerSample, PerToken, Verdict
from modiff_sim.bounds import products

ORDER = 5
BITS = (2, 3, 4, 6, 8)
CLAIM = Claim(
    id="softmax_rows_vanish",
    statement="A quantized softmax does not sum to one. With one unsigned scale per head a uniform row beside a "
    "one-hot row becomes all zero from 2(2^b-1) tokens on: 30 at 4 bits, 510 at 8 (fewest tokens).",
    source="this project, on softmax bits",
    relation="equal",
)


def check(effort: str = "quick", *, tokens=products.vanishing_tokens, granularity=None, quantizer=MinMax) -> Evidence:
    """Find the number of tokens at which a uniform row is rounded to zero beside a row with a single entry."""
    measured, sums = [], {}
    for bits in BITS:
        Q = quantizer(bits, granularity=granularity or PerSample())
        totals = [1.0]  # with one token
        while totals[-1] > 0 and len(totals) < 2 ** (bits + 2):
            n = len(totals) + 1
            p = np.stack([np.full(n, 1 / n), np.eye(n)[0]])[None]
            totals.append(float(Q(p)[0, 0].sum()))
        measured.append(len(totals))
        sums[bits] = f"{min(totals[:-1]):.2f}..{max(totals):.2f}"
    return Evidence(
        claimed=[tokens(bits) for bits in BITS],
        measured=measured,
        cases=[f"b = {bits}" for bits in BITS],
        params={"row sums before that": sums},
        note=f"row sums before that at 4 bits: {sums[4]}",
    )


CONTROLS = [
    ({"granularity": PerToken()}, Verdict.VIOLATED),
    ({"quantizer": AbsMax}, Verdict.VIOLATED),
    ({"tokens": lambda bits: 2**bits - 1}, Verdict.VIOLATED),
]
