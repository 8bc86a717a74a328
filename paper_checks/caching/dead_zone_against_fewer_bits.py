"""Zeros made on purpose (Remark 4.2's sparsity) against zeros that come with fewer bits."""

from modiff_sim import Claim, Evidence
from modiff_sim.evidence import Premise

from .. import _caching
from .._digits import STAND_IN

ORDER = 8
CLAIM = Claim(
    id="dead_zone_against_fewer_bits",
    statement=f"{STAND_IN}: a dead zone of 0.15 max|r| on 4-bit residuals has fewer zero codes than 3 bits without "
    "one, and is further from full precision: ratio of the images' relative l2 above 1. Dropping a bit is the cheaper "
    "zero.",
    source="this project, on Remark 4.2, for which the paper has no experiment",
    relation="lower",
    topic="practice",
)


def check(effort: str = "quick", *, width: float = 0.15) -> Evidence:
    """Compare the errors of a dead zone and of fewer bits, with the shares of zeros as the premise."""
    from analysis.experiments.schemes import CachingScheme

    zone, loop = CachingScheme("dead_zone", width), CachingScheme("closed_loop", 3)
    rows = _caching.measured(effort, [zone, loop])
    zeros = [rows[s]["zeros"] for s in (zone, loop)]
    return Evidence(
        claimed=1.0,
        seed=0,
        params={"zeros": [round(z, 3) for z in zeros]},
        premises=[Premise("fewer zeros", zeros[0] <= zeros[1], f"{zeros[0]:.1%} against {zeros[1]:.1%}")],
        **_caching.ratios(rows, [(zone, loop)]),
    )
