"""MX formats: a power-of-two scale clamps the largest entry, and blocks of 32 keep the 2-norm's worst case small."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from modiff_sim import (
    MXFP4E2M1,
    MXFP6E2M3,
    MXFP6E3M2,
    MXFP8E4M3,
    MXFP8E5M2,
    MXINT8,
    Claim,
    Evidence,
    PerGroup,
    QParams,
    Verdict,
    contraction,
)
from modiff_sim.evidence import Premise
from modiff_sim.quantizers import MX

from .._shared import EPS

ORDER = 4
CLAIM = Claim(
    id="block_formats",
    statement="OCP MX in blocks of 32 whose scale E8M0 can express (2^(emax-127) ≤ max|x| < 2^(emax+128), or all 0): "
    "κ = 1 - M/2^(emax+1), M the largest number, 1/4 (MXFP4), 1/8 (MXFP8, MXFP6 e3m2), 1/16 (MXFP6 e2m3), 1/128 "
    "(MXINT8); c < 0.11 for any number of such blocks, so (29) with 2c < 1 holds at 4 bits.",
    source="this project, on OCP MX 1.0",
    relation="tight",
)
KAPPA: dict[type[MX], float] = {
    MXFP4E2M1: 1 / 4, MXFP8E4M3: 1 / 8, MXFP8E5M2: 1 / 8, MXFP6E3M2: 1 / 8, MXFP6E2M3: 1 / 16, MXINT8: 1 / 128,
}  # fmt: skip
BLOCK = 32


def check(
    effort: str = "quick",
    *,
    kappa: Mapping[type[MX], float] = KAPPA,
    largest: float = 0.11,
    block: int = BLOCK,
    size: float = 1.0,
) -> Evidence:
    """Search for κ and c of a block per format, and measure c of long inputs: worst blocks at many scales, t3 entries.

    ``size`` multiplies the long inputs; beyond the range of E8M0 the premise fails.
    """
    rng = np.random.default_rng(528)
    n, tries = (4096, 3) if effort == "quick" else (2**18, 8)
    claimed, measured, cases, beyond = [], [], [], 0
    for kind, known in kappa.items():
        Q = kind(granularity=PerGroup(block))
        found = {norm: contraction.search(Q, BLOCK, norm=norm, tries=tries, seed=528) for norm in contraction.NORMS}
        data = rng.standard_t(3, (2, n))
        data[0] = np.tile(found["c"].x[0], n // BLOCK) * 2.0 ** np.repeat(rng.integers(-9, 9, n // BLOCK), BLOCK)
        data *= size
        beyond += int(np.sum(~Q.in_domain(data)))
        ratio = np.sum((data - Q(data)) ** 2, axis=1) / np.sum(data**2, axis=1)
        claimed += [known, min(Q.c(BLOCK), largest)]
        measured += [found["kappa"].value, max(found["c"].value, *ratio)]
        cases += [f"{kind.__name__}: κ", f"{kind.__name__}: c, up to {n} entries"]
    return Evidence(
        # κ and c are approached to a float below the next power of two, and 32 squares are added up
        claimed=claimed,
        measured=measured,
        cases=cases,
        atol=64 * EPS,
        seed=528,
        premises=(Premise("every block's scale lies in E8M0's range", beyond == 0, f"{beyond} blocks do not"),),
        note="c: " + ", ".join(f"{k.__name__} {m:.4f}" for k, m in zip(kappa, measured[1::2], strict=True)),
        everywhere=True,
    )


class RoundedUp(MXFP4E2M1):
    """The shared scale rounded up to the next power of two: nothing is clamped, and the grid is twice as coarse."""

    def choose_qparams(self, a):
        """Return the parameters with twice the scale."""
        qparams = super().choose_qparams(a)
        return QParams(2 * qparams.scale, zero_range=qparams.zero_range)


CONTROLS = [
    ({"kappa": {MXFP4E2M1: 1 / 6}}, Verdict.VIOLATED),  # what a scale that reaches max|x| would have
    ({"kappa": {RoundedUp: 1 / 4}}, Verdict.VIOLATED),
    ({"block": 4096}, Verdict.VIOLATED),  # one scale for all
    ({"largest": 0.1}, Verdict.VIOLATED),
    ({"size": 2.0**200}, Verdict.PREMISE_FAILS),  # beyond E8M0: all is clamped
    ({"size": 2.0**-200}, Verdict.PREMISE_FAILS),  # below: all is rounded away
]
