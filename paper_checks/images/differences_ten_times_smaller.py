"""Fig. 1b: the temporal differences are "more than 10× smaller" than the activations."""

import numpy as np

from modiff_sim import Claim, Evidence

from .._digits import STAND_IN
from ._differences import ratios

ORDER = 3
CLAIM = Claim(
    id="differences_ten_times_smaller",
    statement=f"{STAND_IN}: the range of a_t is more than 10 times that of a_t - a_(t+1), in the median over layers "
    "and steps (ratio of maximum absolute values of an image; DDIM, 100 quad steps, of which those that repeat a "
    "timestep are left out; interval over images).",
    source="section 4, Fig. 1b",
    relation="lower",
    topic="practice",
    printed=True,
    quote="more than 10× smaller",
    reading="charitable: in the median over all layers and steps, not in each of them; as many steps as in the "
    "paper's CIFAR-10 runs",
    instead=("differences_at_every_step", "bits_saved"),
    elsewhere=("witnesses_differences",),
)


def check(effort: str = "quick", *, factor: float = 10.0) -> Evidence:
    """Measure the median ratio of input to difference over layers and calls, image by image."""
    from modiff_sim.metrics import mean_interval

    ratio, moved = ratios(effort)
    mean, low, high = mean_interval(np.median(ratio, axis=(0, 1)))
    case = f"{mean:.1f} [{low:.1f}, {high:.1f}]; above {factor:g} in {np.mean(ratio > factor):.0%} of all"
    return Evidence(
        claimed=factor,
        measured=mean,
        low=low,
        high=high,
        seed=0,
        cases=case,
        note=case,
        params={"layers": len(ratio), "steps": len(moved), "images": ratio.shape[2], "interval": "t, over images"},
    )
