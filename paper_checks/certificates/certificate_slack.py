"""How far every squared bound is from the exact worst case: the largest possible error² over bound²."""

from functools import partial

import numpy as np

from modiff_sim import Claim, Evidence, Verdict, bounds, certificates
from modiff_sim.bounds.certificates import Budget

from .._broken import halved
from .._shared import Bound
from ._certificates import ACCURACY, missing

PRINTED = partial(bounds.printed_closed_loop, index="sampling")
PRINTED_OPEN = partial(bounds.printed_open_loop, index="sampling")
EF21 = partial(bounds.young_closed_loop, beta="ef21")
ORDER = 4
CLAIM = Claim(
    id="certificate_slack",
    statement="Over all quantizers with this c and all differences, the largest square of error over bound is exactly "
    "c(2-2^(1-n)) for (31) in sampling order, which is too small where that exceeds 1; 2-2^(1-n) for (30), which is "
    "too small from n = 2 on; and 1 for (30'), (31') and EF21's constants, each attained by one profile.",
    source="this project, on Theorem 4.4; PEPit (Goujaud et al. 2024)",
    relation="equal",
)


def largest(certify, bound: Bound, n: int, c: float) -> float:
    """Return max error²/bound² for a bound Σ_k w_k ||d_k||²: the worst case under Σ_k w_k ||d_k||² <= 1.

    The weights are derived from the bound, to which doubling one difference adds 3w_k. (An impulse would not do: there
    is no error before it, so bounds by Young's inequality do not use the inequality.)
    """
    doubled = bound(np.ones((n, n)) + np.eye(n), c)[-1] ** 2
    weights = (doubled - bound(np.ones((n, 1)), c)[-1] ** 2) / 3
    return certify(n, c, d=Budget(1.0, weights)).value ** 2


def check(
    effort: str = "quick",
    *,
    printed=PRINTED,
    printed_open=PRINTED_OPEN,
    young=bounds.young_closed_loop,
    young_open=bounds.young_open_loop,
    ef21=EF21,
) -> Evidence:
    """Compare the largest error² over every bound² with its closed form."""
    if (absent := missing()) is not None:
        return absent
    closed, without = certificates.closed_loop, certificates.open_loop
    claimed, measured, cases = [], [], []
    lengths, contractions = (2, 4), (0.2, 0.9)
    if effort == "full":
        lengths, contractions = (1, 2, 3, 6), (0.05, 0.2, 0.45, 0.6, 0.9)
    for n in lengths:
        half = 2 - 2.0 ** (1 - n)
        for c in contractions:
            for name, certify, bound, exact in (
                ("(31)", closed, printed, c * half), ("(30)", without, printed_open, half),
                ("(31')", closed, young, 1), ("(30')", without, young_open, 1), ("EF21", closed, ef21, 1),
            ):  # fmt: skip
                claimed.append(exact)
                measured.append(largest(certify, bound, n, c))
                cases.append(f"{name}, n = {n}, c = {c:g}")
    equal = np.ones(lengths[-1])
    slack = []
    for c in (0.2, 0.9):
        worst = closed(lengths[-1], c).value
        known = {"sharp": bounds.sharp_closed_loop, "EF21": ef21, "(31')": young, "(31)": printed}
        slack.append(", ".join(f"{name} {bound(equal, c)[-1] / worst:.3g}" for name, bound in known.items()))
    return Evidence(
        claimed=claimed,
        measured=measured,
        cases=cases,
        atol=2 * ACCURACY * np.maximum(claimed, 1),
        note=f"for {lengths[-1]} equal differences, bound over worst case: c = 0.2: {slack[0]}; c = 0.9: {slack[1]}",
    )


CONTROLS = [
    ({"printed": partial(bounds.printed_closed_loop, index="paper")}, Verdict.VIOLATED),
    ({"printed_open": halved(partial(bounds.printed_open_loop, index="sampling"))}, Verdict.VIOLATED),
    ({"young": halved(bounds.young_closed_loop)}, Verdict.VIOLATED),
    ({"ef21": partial(bounds.young_closed_loop, beta=1.0, gain=1.1)}, Verdict.VIOLATED),
]
