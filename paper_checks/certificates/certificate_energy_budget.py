"""The worst case when only the energy of the differences is known."""

import numpy as np

from modiff_sim import Claim, Evidence, Verdict, certificates
from modiff_sim.bounds.certificates import Budget

from .. import _shared
from .._shared import Shrink, collinear
from ._certificates import ACCURACY, CONTRACTIONS, lengths, missing

ORDER = 3
CLAIM = Claim(
    id="certificate_energy_budget",
    statement="If of the differences only Σ||d_k||² ≤ D² is known, the exact worst case is D·√(Σ_k q^(2(age+1))) with "
    "compensation, which for c < 1 stays below D·q/√(1-c) at every n, and D·q√n without (value over formula).",
    source="this project; PEPit (Goujaud et al. 2024)",
    relation="equal",
)


def closed(n: int, c: float) -> float:
    """Return the worst case by Cauchy-Schwarz on Σ q^(age+1) ||d_k||, attained by ||d_k|| ∝ q^(age+1)."""
    return float(np.sqrt(np.sum(c ** np.arange(1.0, n + 1))))


def without(n: int, c: float) -> float:
    """Return the worst case by Cauchy-Schwarz on q Σ ||d_k||, attained by equal differences."""
    return float(np.sqrt(c * n))


def check(effort: str = "quick", *, closed=closed, without=without, budget=Budget) -> Evidence:
    """Compare both formulas with certificates, and with runs on the differences that attain them."""
    if (absent := missing()) is not None:
        return absent
    measured, cases = [], []
    for n in lengths(effort):
        for c in CONTRACTIONS:
            spent = {"closed_loop": c ** (np.arange(n)[::-1] / 2), "open_loop": np.ones(n)}
            for loop, formula in (("closed_loop", closed(n, c)), ("open_loop", without(n, c))):
                found = getattr(certificates, loop)(n, c, d=budget(2.0))
                norms = 2 * spent[loop] / np.linalg.norm(spent[loop])
                one = _shared.run(loop, collinear(norms), Shrink(contraction=c)).error[-1, 0]
                measured += [found.value / (2 * formula), one / (2 * formula)]
                cases += [f"{what}, {loop}, n = {n}, c = {c:g}" for what in ("certificate", "Q(x) = (1-q)x")]
    return Evidence(
        claimed=np.ones(len(cases)),
        measured=measured,
        cases=cases,
        atol=ACCURACY,
        note=f"for c = {', '.join(f'{c:g}' for c in CONTRACTIONS)}, up to n = {max(lengths(effort))}",
    )


CONTROLS = [
    ({"closed": lambda n, c: np.sqrt(sum(c**k for k in range(n)))}, Verdict.VIOLATED),
    ({"without": lambda n, c: np.sqrt(c) * n}, Verdict.VIOLATED),
    ({"budget": lambda total: Budget(total / 2)}, Verdict.VIOLATED),
]
