"""Temporal differences under a stochastic sampler, whose fresh noise reaches every layer."""

from modiff_sim import Claim, Evidence

from ._witnesses import WITNESSES, judged, ratios

ORDER = 7
LIVE = True  # of committed rows
CLAIM = Claim(
    id="witnesses_differences_stochastic",
    statement=f"{WITNESSES}, in full precision: under a stochastic sampler max|a_t| is at most 5 times "
    "max|a_t - a_(t+1)|, in the median over layers and steps.",
    source="this project, on section 4",
    relation="upper",
    topic="practice",
)


def check(effort: str = "quick", *, sampler: str = "stochastic", factor: float = 5.0) -> Evidence:
    """Measure the ratio on every witness."""
    return judged(ratios(sampler), claimed=factor, unit="times")
