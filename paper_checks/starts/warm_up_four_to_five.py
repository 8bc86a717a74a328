"""How many warm-up feeds suffice, and for which inputs."""

import math
from collections.abc import Sequence

import numpy as np

from modiff_sim import AbsMax, Claim, Evidence, Verdict, bounds
from modiff_sim.evidence import Premise
from modiff_sim.simulation.processes import alternating

from .. import _shared
from . import _restarts

ORDER = 6
CLAIM = Claim(
    id="warm_up_four_to_five",
    statement="m repeated inputs leave κ^m||a_T||_∞, at most the steady state κ/(1-κ)·||d||_∞ where "
    "||a_T||_∞/||d||_∞ ≤ κ^(1-m)/(1-κ): at 4 bits 15, 211, 2955, 41371 for m = 2..5. So the paper's 4 to 5 inputs "
    "suffice, and 2 do for inputs 10 times their differences (4 and 5: below 1 % and 0.1 % of the steady state).",
    source="this project, on the paper's warm-up",
    relation="equal",
)


def check(
    effort: str = "quick",
    *,
    recursion="closed_loop",
    quantizer=AbsMax,
    formula=bounds.warm_up_ratio,
    needed=bounds.feeds_needed,
    bits: Sequence[int] = (3, 4, 5),
) -> Evidence:
    """Run both sides: the worst start, on a ladder 1, κ, κ², ..., and the worst steady state, on alternating inputs."""
    claimed, measured, atol, cases = [], [], [], []
    kappas = [AbsMax(b).kappa(2) for b in bits]
    for b, kappa in zip(bits, kappas, strict=True):
        n = 2 + math.ceil(math.log(_shared.EPS) / math.log(kappa)) if 0 < kappa < 1 else 64
        stream = np.stack(list(alternating(bits=b).stream(np.random.default_rng(0), 1, n)))
        steady = float(_restarts.errors("closed_loop", stream, AbsMax(b), order=np.inf)[0].max())
        ladder = kappa ** np.arange(8)[None, None]
        for m in range(1, 7):
            left = float(_restarts.errors(recursion, ladder, quantizer(b), order=np.inf, warmup=m)[0].max())
            # relative, as κ^m spans seven decades; the start is good to eps of ||a||, which is κ^-m of itself
            claimed.append(1.0)
            measured.append(steady / left / formula(kappa, m) if left else 0.0)
            atol.append(16 * _shared.EPS * m / kappa**m)
            cases.append(f"b = {b}, m = {m}: ||a||/||d|| up to {steady / left if left else math.inf:.4g}")
    for ratio, share, m in ((10, 1, 2), (10, 1e-2, 4), (10, 1e-3, 5), (2955, 1, 4), (41371, 1, 5)):
        claimed.append(m)
        measured.append(needed(AbsMax(4).kappa(2), ratio, share=share))
        atol.append(0)
        cases.append(f"b = 4, ||a||/||d|| = {ratio}, {share:g} of the steady state")
    return Evidence(
        claimed=claimed,
        measured=measured,
        cases=cases,
        atol=atol,
        seed=0,
        premises=(Premise("κ < 1", all(0 < k < 1 for k in kappas), f"κ = {', '.join(f'{k:.3g}' for k in kappas)}"),),
        note="; ".join(case for case in cases if case.startswith(("b = 4, m = 4", "b = 4, m = 5"))),
    )


CONTROLS = [
    ({"formula": lambda kappa, m: bounds.warm_up_ratio(kappa, m + 1)}, Verdict.VIOLATED),
    ({"recursion": "open_loop"}, Verdict.VIOLATED),
    ({"needed": lambda *a, **o: bounds.feeds_needed(*a, **o) - 1}, Verdict.VIOLATED),
]
