"""The assumption of Theorem 4.4 on what a trained model really quantizes, with channel-wise scales (LCQ)."""

from modiff_sim import Claim, Evidence

from .._digits import STAND_IN
from ._residuals import assumption

ORDER = 5
CLAIM = Claim(
    id="assumption_29_on_real_residuals",
    statement=f"{STAND_IN}: (29) with c < 1/2 holds for every recorded residual a_t - â_(t+1) at 3 bits (min-max, one "
    "scale per channel of a convolution and per sample of a linear layer; DDIM, 100 quad steps).",
    source="(29), appendix",
    relation="upper",
    topic="practice",
    printed=True,
    quote="||x - Q(x)||² ≤ c||x||², 0 < c < 1/2",
    reading="charitable: for the residuals that a trained model really makes, with the scales of LCQ, for which the "
    "paper claims 3 bits",
    instead=("assumption_29_residuals_per_sample", "kappa_on_real_residuals"),
)


def check(effort: str = "quick", *, limit: float = 0.5) -> Evidence:
    """Compare the largest c of all recorded residuals with the limit."""
    return assumption(effort, "channel", limit)
