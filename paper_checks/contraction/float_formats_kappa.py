"""The max norm of float grids: the widest gap decides, which lies at the top."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from modiff_sim import FP8E4M3, FP8E5M2, Claim, Evidence, Logarithmic, Quantizer, Verdict, contraction
from modiff_sim.quantizers.laws import SLACK

from .._shared import EPS, label

ORDER = 2
CLAIM = Claim(
    id="float_formats_kappa",
    statement="Scaled onto max|x|, FP8 has κ = 1/28 (e4m3) or 1/14 (e5m2, as absmax with 4 bits), and powers of two "
    "have κ = 1/4 from 3 bits on, at every dimension and for every tail.",
    source="this project",
    relation="tight",
)
KAPPA: dict[Quantizer, float] = {
    FP8E4M3(): 1 / 28, FP8E5M2(): 1 / 14, Logarithmic(3): 1 / 4, Logarithmic(5): 1 / 4, Logarithmic(8): 1 / 4,
}  # fmt: skip


def check(effort: str = "quick", *, kappa: Mapping[Quantizer, float] = KAPPA) -> Evidence:
    """Search for the largest ratio, and measure it on data."""
    rng = np.random.default_rng(524)
    claimed, measured, cases = [], [], []
    for Q, known in kappa.items():
        for d in (2, 64, 2**14 if effort == "quick" else 2**18):
            data = [rng.standard_normal((2, d)), rng.standard_t(1.5, (2, d)), 2.0 ** rng.uniform(-30, 0, (2, d))]
            found = contraction.search(Q, d, norm="kappa", tries=6, rounds=2, seed=524).value
            claimed.append(known)
            measured.append(max(found, *(contraction.ratios(Q, x, norm="kappa").max() for x in data)))
            cases.append(f"{label(Q)}, d = {d}")
    return Evidence(
        claimed=claimed,
        measured=measured,
        cases=cases,
        atol=SLACK * EPS,
        seed=524,  # SLACK: laws.py
        note=f"up to d = {d}, entries over 30 binades included",
        everywhere=True,
    )


CONTROLS = [
    ({"kappa": {FP8E4M3(): 1 / 32}}, Verdict.VIOLATED),  # half an ulp of the mantissa: not at 448
    ({"kappa": {Logarithmic(4): 1 / 2}}, Verdict.VIOLATED),
]
