"""The premise of Theorem 4.4 on what a trained model really quantizes."""

import numpy as np

from modiff_sim import Claim, Evidence, Verdict

from .._digits import STAND_IN

ORDER = 5
CLAIM = Claim(
    id="assumption_29_on_real_residuals",
    statement=f"{STAND_IN}: (29) with c < 1/2 holds for every recorded residual a_t - â_(t+1) at 3 bits (one scale per "
    "image).",
    source="(29)",
    relation="upper",
    topic="practice",
    printed=True,
    expected=Verdict.VIOLATED,
    quote="||x - Q(x)||² ≤ c||x||², 0 < c < 1/2",
    reading="charitable: for the residuals that a trained model really makes",
    instead=("kappa_on_real_residuals",),
)


def check(effort: str = "quick", *, limit: float = 0.5) -> Evidence:
    """Compare the largest c of all recorded residuals with the limit."""
    from analysis.experiments.trained import RECORD_BITS, distributions

    seen = distributions(effort)
    worst, middle = seen["c_max_r"][:, 1:], seen["c_r"][:, 1:]
    share = float(np.mean(worst > limit))
    i, step = np.unravel_index(np.argmax(worst), worst.shape)
    where = f"c = {worst[i, step]:.2f} in {seen['layers'][i]} at call {step + 1}"
    found = f"{where}; above {limit} in {share:.0%} of layers × steps"
    return Evidence(
        claimed=limit,
        measured=worst.max(),
        seed=0,
        cases=f"{found}; median over all {np.median(middle):.2f}",
        params={"bits": RECORD_BITS, "layers": len(worst), "steps": worst.shape[1] + 1},
    )
