"""A percentile as the end of the grid: a single outlier destroys the contraction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from modiff_sim import AbsMax, Claim, Evidence, Percentile, Verdict, contraction
from modiff_sim.evidence import Premise

from .._shared import EPS

ORDER = 6
CLAIM = Claim(
    id="percentile_not_contractive",
    statement="Clipped at the 99th percentile of |x| no c < 1 and no κ < 1 exist as soon as an entry can lie beyond "
    "(d ≥ 100): one outlier loses everything, whatever the bits.",
    source="this project",
    relation="tight",
)


def check(effort: str = "quick", *, quantizer=Percentile, dims: Sequence[int] = (100, 1000, 10**5)) -> Evidence:
    """Search for the largest c and κ, which come as near to 1 as one likes."""
    claimed, measured, cases = [], [], []
    for bits in (2, 8) if effort == "quick" else range(2, 9):
        for d in dims:
            for norm in contraction.NORMS:
                claimed.append(1.0)
                measured.append(contraction.search(quantizer(bits), d, norm=norm, tries=4, rounds=0).value)
                cases.append(f"b = {bits}, d = {d}, {norm}")
    clipped = all(Percentile(4).rank(d) < d for d in dims)
    return Evidence(
        claimed=claimed,
        measured=measured,
        cases=cases,
        atol=16 * EPS,
        seed=0,
        premises=(Premise("an entry can lie beyond the percentile", clipped, f"d = {min(dims)}"),),
        note=f"absmax at 8 bits has c = {AbsMax(8).c(100):.2g} at d = 100",
    )


@dataclass(frozen=True, kw_only=True)
class Reaching(Percentile):
    """Ends at max|x| instead of the percentile."""

    def clipped_at(self, xp, blocks, axes, top):
        """Return the largest magnitude."""
        return top


CONTROLS = [
    ({"quantizer": Reaching}, Verdict.VIOLATED),
    ({"quantizer": AbsMax}, Verdict.VIOLATED),
    ({"dims": (99,)}, Verdict.PREMISE_FAILS),
]
