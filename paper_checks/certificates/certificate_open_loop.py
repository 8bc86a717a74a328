"""The sharp bound without compensation against the exact worst case over all contractive quantizers."""

from modiff_sim import Claim, Evidence, Verdict, bounds, certificates

from .._broken import halved, shifted
from ._certificates import formula_is_exact

ORDER = 2
CLAIM = Claim(
    id="certificate_open_loop",
    statement="Without compensation the exact worst case over all quantizers with ||x-Q(x)||² ≤ c||x||² "
    "(semidefinite programming) is q Σ_k ||d_k||: linear in n, not exponential; one Q for all steps attains it "
    "(value over formula).",
    source="this project; PEPit (Goujaud et al. 2024)",
    relation="equal",
)


def check(
    effort: str = "quick", *, certify=certificates.open_loop, recursion="open_loop", bound=bounds.sharp_open_loop
) -> Evidence:
    """Compare the formula with the certificate, and with the error of one quantizer."""
    return formula_is_exact(certify, recursion, bound, effort)


CONTROLS = [
    ({"bound": halved(bounds.sharp_open_loop)}, Verdict.VIOLATED),
    ({"bound": shifted(bounds.sharp_open_loop, 1)}, Verdict.VIOLATED),
    ({"bound": bounds.young_open_loop}, Verdict.VIOLATED),
    ({"certify": certificates.closed_loop}, Verdict.VIOLATED),
    ({"recursion": "closed_loop"}, Verdict.VIOLATED),
]
