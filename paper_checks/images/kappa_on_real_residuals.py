"""The premise of the max-norm bound, on what a trained model really quantizes."""

import numpy as np

from modiff_sim import Claim, Evidence

from .._digits import STAND_IN

ORDER = 4
CLAIM = Claim(
    id="kappa_on_real_residuals",
    statement=f"{STAND_IN}: the max-norm contraction of every recorded residual a_t - â_(t+1) is at most "
    "1/(2·qmax), at 3 bits 1/6, in every layer, step and image.",
    source="this project",
    relation="upper",
    topic="practice",
)


def check(effort: str = "quick", *, shrink: float = 1.0) -> Evidence:
    """Compare the largest κ of all recorded residuals of every layer with the declared one."""
    from analysis.experiments.trained import RECORD_BITS, distributions

    seen = distributions(effort)
    worst = seen["kappa_max_r"][:, 1:]
    claimed = shrink / (2 * (2 ** (RECORD_BITS - 1) - 1))
    layer = seen["layers"][np.unravel_index(np.argmax(worst), worst.shape)[0]]
    return Evidence(
        # scale, quotient and product round once each, in float32: as for the law itself
        claimed=claimed,
        measured=worst.max(axis=1),
        atol=16 * np.finfo(np.float32).eps,
        trivial=1.0,
        seed=0,
        cases=[f"layer {name}" for name in seen["layers"]],
        note=f"largest {worst.max():.4f}, in {layer}",
        params={"bits": RECORD_BITS, "layers": len(worst), "steps": worst.shape[1] + 1},
    )
