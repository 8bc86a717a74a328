"""Fig. 1b: the temporal differences are "more than 10× smaller" than the activations."""

import numpy as np

from modiff_sim import Claim, Evidence, Verdict

from .._digits import STAND_IN
from ._differences import ratios

ORDER = 3
CLAIM = Claim(
    id="differences_ten_times_smaller",
    statement=f"{STAND_IN}: the range of a_t is more than 10 times that of a_t - a_(t+1), in the median over layers "
    "and steps (ratio of maximum absolute values; steps that repeat a timestep left out; interval over layers).",
    source="section 4, Fig. 1b",
    relation="lower",
    topic="practice",
    printed=True,
    expected=Verdict.NOT_RUN,  # the median is 10.7, and its interval over the layers holds 10
    quote="more than 10× smaller",
    reading="charitable: in the median over all layers and steps, not in each of them",
    instead=("differences_at_every_step", "bits_saved"),
    elsewhere=("witnesses_differences",),
)


def check(effort: str = "quick", *, factor: float = 10.0) -> Evidence:
    """Measure the median ratio of input to difference over layers and calls."""
    ratio, moved, layers = ratios(effort)
    drawn = np.median(ratio[layers].reshape(len(layers), -1), axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    case = f"{np.median(ratio):.1f} [{low:.1f}, {high:.1f}]; above {factor:g} in {np.mean(ratio > factor):.0%} of all"
    return Evidence(
        claimed=factor,
        measured=float(np.median(ratio)),
        low=float(low),
        high=float(high),
        seed=0,
        cases=case,
        note=case,
        params={"layers": len(ratio), "steps": len(moved), "interval": "bootstrap over layers"},
    )
