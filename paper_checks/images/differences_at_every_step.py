"""Fig. 1b's "more than 10× smaller", step by step."""

import numpy as np

from modiff_sim import Claim, Evidence

from .._digits import STAND_IN
from ._differences import ratios

ORDER = 3.5
CLAIM = Claim(
    id="differences_at_every_step",
    statement=f"{STAND_IN}: at every step the range of a_t is more than 10 times that of a_t - a_(t+1), in the "
    "median over layers (ratio of maximum absolute values of an image; DDIM, 100 quad steps, of which those that "
    "repeat a timestep are left out).",
    source="this project, sharpens Fig. 1b",
    relation="lower",
    topic="practice",
)


def check(effort: str = "quick", *, factor: float = 10.0) -> Evidence:
    """Measure the median ratio of input to difference over the layers, at every call."""
    from modiff_sim.metrics import mean_interval

    ratio, moved = ratios(effort)
    median, low, high = np.array([mean_interval(step) for step in np.median(ratio, axis=0)]).T
    worst = int(np.argmin(median))
    found = (
        f"{median[worst]:.1f} [{low[worst]:.1f}, {high[worst]:.1f}] at call {moved[worst]}; above {factor:g} at "
        f"{int(np.sum(median > factor))} of {len(moved)} steps"
    )
    return Evidence(
        claimed=factor,
        measured=median,
        low=low,
        high=high,
        seed=0,
        note=found,
        cases=[found if i == worst else f"call {call}: {median[i]:.1f}" for i, call in enumerate(moved)],
        params={"layers": len(ratio), "steps": len(moved), "images": ratio.shape[2], "interval": "t, over images"},
    )
