"""Where the factor 2 of (30) and (31) comes from, and what the best choice gives."""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize_scalar

from modiff_sim import bounds
from modiff_sim.evidence import Claim, Evidence

ORDER = 44
CLAIM = Claim(
    id="young_best_beta",
    statement="The proof's ||x+y||² ≤ 2||x||²+2||y||² is Young's inequality with β = 1. The best constant β gives "
    "EF21's contraction 1-θ = √(1-α), α = 1-c, and the sharp steady state (q/(1-q))², for every c < 1.",
    source="this project; EF21 (Richtárik et al. 2021)",
    relation="equal",
)


def steady(beta: float, c: float) -> float:
    """Limit of e² ← c(1+β)||d||² + c(1+1/β)e² for ||d|| = 1; infinite where it does not contract."""
    keep = c * (1 + 1 / beta)
    return c * (1 + beta) / (1 - keep) if keep < 1 else np.inf


def check(
    effort: str = "quick",
    *,
    bound=bounds.sharp_closed_loop,
    contractions: Sequence[float] = (0.05, 0.2, 0.4, 0.5, 0.7, 0.9),
) -> Evidence:
    claimed, measured, cases = [], [], []
    for c in contractions:
        least = c / (1 - c)  # below it the recursion does not contract
        best = minimize_scalar(
            lambda log, c=c, least=least: steady(least + np.exp(log), c), bounds=(-12, 8), method="bounded",
            options={"xatol": 1e-10},
        )  # fmt: skip
        beta = least + np.exp(best.x)
        sharp = bound(np.ones(4000), c)[-1] ** 2
        claimed += [sharp, np.sqrt(c)]
        measured += [best.fun, c * (1 + 1 / beta)]
        cases += [f"c = {c:g}, steady state squared", f"c = {c:g}, contraction 1-θ"]
    # the minimum is flat: its value is good to eps, its place to √eps, with the curvature's constant about 10
    return Evidence(
        claimed=claimed, measured=measured, cases=cases, atol=1e-6 * (1 + np.asarray(claimed)),
        note=f"for c = {', '.join(f'{c:g}' for c in contractions)}",
    )  # fmt: skip
