"""What the claims with certificates share: whether they can run, and how a certificate is compared with a formula."""

from collections.abc import Callable

import numpy as np

from modiff_sim import Evidence, certificates

from .. import _shared
from .._shared import Bound, Recursion, Shrink, collinear

#: how much a ratio that should be 1 may be off. Solvers stop at 1e-8 of the square; 1e-9 was measured.
ACCURACY = 1e-5
CONTRACTIONS = (0.05, 0.6, 2.0)  # below and above 1/2 and 1
Certify = Callable[..., certificates.Certificate]


def missing() -> Evidence | None:
    """Return NOT_RUN evidence where PEPit is not installed, else None."""
    if certificates.available():
        return None
    return Evidence(not_run="PEPit is not installed: pip install 'modiff-sim[theory]'", deferred=True)


def lengths(effort: str) -> tuple[int, ...]:
    """Return the numbers of differences that are certified at this effort."""
    return (1, 4) if effort == "quick" else (1, 2, 3, 6, 10)


def profiles(n: int) -> dict[str, np.ndarray]:
    """Return norms of n differences: equal ones, and four others that a wrong exponent cannot fit all at once."""
    k = np.arange(n)
    return {"equal": np.ones(n), "shrinking": 0.5**k, "growing": 2.0**k, "uneven": 1 + (7 * k % 5)}


def formula_is_exact(certify: Certify, recursion: Recursion, bound: Bound, effort: str) -> Evidence:
    """Return evidence that the formula, the certificate over all quantizers, and the error of one run are equal."""
    if (absent := missing()) is not None:
        return absent
    measured, cases, gaps = [], [], []
    for n in lengths(effort):
        kinds = profiles(n) if effort == "full" else {"equal": np.ones(n), "uneven": profiles(n)["uneven"]}
        for c in CONTRACTIONS:
            for name, d in kinds.items():
                found = certify(n, c, d=d)
                formula = bound(d, c)[-1]
                one = _shared.run(recursion, collinear(d), Shrink(contraction=c)).error[-1, 0]
                measured += [found.value / formula, one / formula]
                cases += [
                    f"{what}, n = {n}, c = {c:g}, {name} differences" for what in ("certificate", "Q(x) = (1-q)x")
                ]
                gaps.append(found.gap)
    return Evidence(
        claimed=np.ones(len(cases)),
        measured=measured,
        cases=cases,
        atol=ACCURACY,
        params={"contractions": list(CONTRACTIONS), "lengths": list(lengths(effort)), "solver": found.solver},
        note=f"{len(gaps)} semidefinite programs, n up to {max(lengths(effort))}, relative gap at most {max(gaps):.1g}",
    )
