"""Warm-up by feeding the first input m times."""

from collections.abc import Sequence

import numpy as np

from modiff_sim import AbsMax, Claim, Evidence, Static, Verdict
from modiff_sim import recursion as rec
from modiff_sim.quantizers.laws import SLACK

from .._broken import Dropped, FloorAbsMax
from .._shared import EPS

ORDER = 1
CLAIM = Claim(
    id="warm_up",
    statement="Feeding a_T from a zero state m times leaves ||a_T-â_T||_∞ ≤ κ^m ||a_T||_∞ with dynamic scales; the "
    "largest ratio is κ^m, at every m = 1..6 and b = 2..6.",
    source="this project, on the paper's warm-up",
    relation="tight",
)


def check(
    effort: str = "quick", *, recursion="closed_loop", quantizer=AbsMax, bits: Sequence[int] = (2, 3, 4, 5, 6)
) -> Evidence:
    """Coordinates 1, κ, κ², ... attain the error: each in turn is the tie beside the maximum."""
    rng = np.random.default_rng(61)
    claimed, measured, atol, cases = [], [], [], []
    for b in bits:
        Q, kappa = quantizer(b), AbsMax(b).kappa(2)
        ladder = kappa ** np.arange(8)[None]
        data = [ladder, rng.standard_normal((64, 8)), rng.standard_t(2, (64, 8)), rng.standard_t(2, (4, 4096))]
        for m in range(1, 7):
            worst = 0.0
            for a in data:
                state, _ = next(rec.run(recursion, [a], Q, warmup=m))
                worst = max(worst, float(np.max(np.abs(a - state.ref).max(axis=1) / np.abs(a).max(axis=1))))
            # relative to κ^m, so that late feeds count as much as the first
            claimed.append(1.0)
            measured.append(worst / kappa**m)
            atol.append(SLACK * EPS * m / kappa**m)
            cases.append(f"b = {b}, m = {m}: ||a-â||_∞ = {worst:.3g}·||a||_∞, κ^m = {kappa**m:.3g}")
    return Evidence(
        claimed=claimed,
        measured=measured,
        atol=atol,
        cases=cases,
        seed=61,
        note="ratio 1 at every b and m",
        everywhere=True,
    )


CONTROLS = [
    ({"quantizer": Static}, Verdict.VIOLATED),
    ({"quantizer": FloorAbsMax}, Verdict.VIOLATED),
    ({"recursion": Dropped()}, Verdict.VIOLATED),
]
