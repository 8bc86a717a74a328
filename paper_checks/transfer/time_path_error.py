"""Which layers the error of a modulated run comes from."""

import numpy as np

from modiff_sim import Claim, Evidence

from .._digits import STAND_IN
from .._mixture import interval

ORDER = 7
CLAIM = Claim(
    id="time_path_error",
    statement=f"{STAND_IN}: at 6 bits, modulation without compensation has most of its error from the layers that see "
    "the same in every image, the time embedding and its projections: quantizing them alone gives at least half of "
    "the final l2 error.",
    source="this project",
    relation="lower",
    topic="practice",
)


def check(effort: str = "quick", *, recursion: str = "open_loop", bits: int = 6) -> Evidence:
    """Compare the error of quantizing the time path alone with that of the whole run."""
    from analysis.experiments import prediction

    clocked, known = prediction.known(effort)
    norm = np.sqrt(prediction.transfer(effort).x[-1])
    alone = np.sqrt(known[recursion, bits].x[-1]) / norm
    together = prediction.measured(effort)[recursion, bits][-1][: len(norm)]  # the same images
    ratio, low, high = interval(lambda a, b: np.median(a, axis=1) / np.median(b, axis=1), alone, together)
    return Evidence(
        claimed=0.5,
        measured=ratio,
        low=low,
        high=high,
        seed=0,
        params={"layers": len(clocked), "images": len(norm)},
        cases=f"{len(clocked)} layers: {np.median(alone):.2g} of {np.median(together):.2g}",
    )
