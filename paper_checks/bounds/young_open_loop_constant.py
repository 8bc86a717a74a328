"""The exponential of (30) is that of β = 1: the best constant for a known number of calls is linear."""

from collections.abc import Sequence

import numpy as np

from modiff_sim import Claim, Evidence, Verdict, bounds

ORDER = 14
CLAIM = Claim(
    id="young_open_loop_constant",
    statement="Without compensation, for n equal differences, the best constant β is x/n, x = 2(1-e^-x) = 1.594, and "
    "Young's bound is √((e^x-1)/x²) = 1.243 times the sharp, linear one: the 2^k of (30) comes from β = 1 (n → ∞).",
    source="this project, on (30)",
    relation="equal",
)


def check(
    effort: str = "quick", *, beta="horizon", lengths: Sequence[int] = (400, 800, 1600), c: float = 0.25
) -> Evidence:
    """Find the best β for each n, and extrapolate the lengths to the limit, whose distance decreases like 1/n."""
    x = 2.0
    for _ in range(100):  # a contraction: the derivative of 2(1-e^-x) is 0.41 there
        x = 2 * (1 - np.exp(-x))
    factor, place = [], []
    for n in lengths:
        d = np.ones(n)
        factor.append(float(bounds.young_open_loop(d, c, beta=beta)[-1] / bounds.sharp_open_loop(d, c)[-1]))
        place.append(n * float(bounds.best_constant_beta(d, c, recursion="open_loop")))
    limits = [np.polyval(np.polyfit(1 / np.asarray(lengths), values, 2), 0.0) for values in (place, factor)]
    return Evidence(
        claimed=[x, np.sqrt((np.exp(x) - 1) / x**2)],
        measured=limits,
        cases=["n·β", "bound over the sharp bound"],
        atol=1e-6,  # of a parabola in 1/n: 1/n³ of the shortest is 1.6e-8, times constants of about 10
        params={"n": list(lengths), "n·β": place, "factor": factor},
        note=f"n·β = {place[-1]:.4f} and factor {factor[-1]:.4f} at n = {lengths[-1]}",
    )


CONTROLS = [
    ({"beta": "best"}, Verdict.VIOLATED),
]
