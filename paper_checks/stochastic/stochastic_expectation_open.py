"""Unbiased rounding without compensation: a random walk."""

from collections.abc import Sequence

from modiff_sim import Claim, Evidence, Stochastic, Verdict, bounds

from .._broken import halved, scaled
from ._controls import Lopsided
from ._stochastic import Coin
from .stochastic_expectation_closed import exactly

ORDER = 5
CLAIM = Claim(
    id="stochastic_expectation_open",
    statement="Unbiased rounding with E||x-Q(x)||² ≤ ω||x||² and exogenous differences: without compensation "
    "E||o-õ||² ≤ ω||A||² Σ_k ||d_k||², so the error grows like √n, not n; Q(x) = (1±√ω)x attains it at every call of "
    "every sequence (smallest and largest error over bound).",
    source="this project",
    relation="tight",
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
    """Compute expectations exactly and compare them with the bound."""
    return exactly(recursion, bound, compressor, quantizer, omegas, effort, seed=412)


CONTROLS = [
    ({"bound": halved(bounds.stochastic_open_loop)}, Verdict.VIOLATED),
    ({"bound": scaled(bounds.stochastic_open_loop, 1.01)}, Verdict.VIOLATED),  # true, not attained
    ({"compressor": Lopsided}, Verdict.VIOLATED),
    ({"recursion": "closed_loop"}, Verdict.VIOLATED),
    ({"bound": bounds.sharp_open_loop}, Verdict.VIOLATED),  # linear: true, not attained
]
