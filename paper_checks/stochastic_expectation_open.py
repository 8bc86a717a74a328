"""Unbiased rounding without compensation: a random walk."""

from collections.abc import Sequence

from modiff_sim import Claim, Evidence, Stochastic, bounds

from ._stochastic import Coin
from .stochastic_expectation_closed import exactly

ORDER = 412
CLAIM = Claim(
    id="stochastic_expectation_open",
    statement="Unbiased rounding with E||x-Q(x)||² ≤ ω||x||² and exogenous differences: without compensation "
    "E||o-õ||² ≤ ω||A||² Σ_k ||d_k||², so the error grows like √n, not n; Q(x) = (1±√ω)x attains it at every call of "
    "every sequence (smallest and largest error over bound).",
    source="this project",
    relation="equal",
)


def check(
    effort: str = "quick",
    *,
    recursion="open_loop",
    bound=bounds.stochastic_open_loop,
    compressor=Coin,
    quantizer=Stochastic,
    omegas: Sequence[float] = (0.05, 0.5, 1.0, 2.25),
) -> Evidence:
    return exactly(recursion, bound, compressor, quantizer, omegas, effort, seed=412)
