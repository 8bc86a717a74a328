"""The bounds for layers in a chain against the exact worst case."""

import numpy as np

from modiff_sim import Claim, Evidence, Verdict, bounds, certificates

from ._certificates import ACCURACY, missing

ORDER = 5
CLAIM = Claim(
    id="certificate_chain",
    statement="In a chain of two and three layers with gains g_l the exact worst total error with compensation "
    "(semidefinite programming over all quantizers with this c) is the recursion F_t = (1+q)H_t + q(||d_t||+F_{t-1}), "
    "H^{l+1} = g_l F^l (value over formula).",
    source="this project; PEPit (Goujaud et al. 2024)",
    relation="equal",
)


def check(effort: str = "quick", *, certify=certificates.chain_closed_loop, bound=bounds.chain_closed_loop) -> Evidence:
    """Compare the certificates of chains with the formula."""
    if (absent := missing()) is not None:
        return absent
    rng = np.random.default_rng(564)
    sizes = ((1, 2), (3, 2), (2, 3)) if effort == "quick" else ((1, 2), (3, 2), (5, 2), (2, 3), (4, 3))
    measured, cases = [], []
    for n, layers in sizes:
        for c in (0.05, 0.5, 1.5):
            d, gains = rng.uniform(0.2, 2, (n, layers)), rng.uniform(0.3, 2, layers - 1)
            formula = bound(d, np.sqrt(c), gains)[-1, -1]
            measured.append(certify(n, c, gains, d=d).value / formula)
            cases.append(f"{layers} layers, n = {n}, c = {c:g}")
    steps = 3
    loose = certificates.chain_open_loop(steps, 0.2, [1.0, 1.0])
    share = loose.value / bounds.chain_open_loop(np.ones((steps, 3)), np.sqrt(0.2), [1.0, 1.0])[-1, -1]
    return Evidence(
        claimed=np.ones(len(cases)),
        measured=measured,
        cases=cases,
        seed=564,
        atol=ACCURACY,
        note=f"without compensation the bound is loose from three layers on: {share:.3f} of it at most, n = {steps}",
    )


CONTROLS = [
    ({"bound": lambda d, q, gains: bounds.chain_closed_loop(d, q, gains) / (1 + q)}, Verdict.VIOLATED),
    ({"bound": lambda d, q, gains: bounds.chain_closed_loop(d, q / 2**0.5, gains)}, Verdict.VIOLATED),
    ({"certify": certificates.chain_open_loop}, Verdict.VIOLATED),
]
