"""The sharp bound against the exact worst case over all contractive quantizers."""

from modiff_sim import Claim, Evidence, Verdict, bounds, certificates

from .._broken import halved, shifted
from ._certificates import formula_is_exact

ORDER = 1
CLAIM = Claim(
    id="certificate_closed_loop",
    statement="With compensation the exact worst case over all quantizers with ||x-Q(x)||² ≤ c||x||² (semidefinite "
    "programming) is Σ_k q^(age+1) ||d_k||, q = √c, for c below and above 1, and one Q for all steps attains it "
    "(value over formula).",
    source="this project; PEPit (Goujaud et al. 2024)",
    relation="equal",
)


def check(
    effort: str = "quick", *, certify=certificates.closed_loop, recursion="closed_loop", bound=bounds.sharp_closed_loop
) -> Evidence:
    """Compare the formula with the certificate, and with the error of one quantizer."""
    return formula_is_exact(certify, recursion, bound, effort)


CONTROLS = [
    ({"bound": halved(bounds.sharp_closed_loop)}, Verdict.VIOLATED),
    ({"bound": shifted(bounds.sharp_closed_loop, 1)}, Verdict.VIOLATED),
    ({"bound": shifted(bounds.sharp_closed_loop, -1)}, Verdict.VIOLATED),
    ({"bound": bounds.young_closed_loop}, Verdict.VIOLATED),
    ({"certify": certificates.open_loop}, Verdict.VIOLATED),
    ({"recursion": "open_loop"}, Verdict.VIOLATED),
]
