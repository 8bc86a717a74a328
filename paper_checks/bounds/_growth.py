"""Growth of a recursion's error with the number of calls, as a fitted slope with its interval."""

from dataclasses import dataclass

import numpy as np

from modiff_sim import AbsMax, Stochastic
from modiff_sim.bounds.growth import slope

from .. import _shared
from .._shared import Recursion, Shrink, collinear


@dataclass(frozen=True)
class GrowthFit:
    """The slope of log(RMS error) against log(number of differences) over ``calls``, with its 95 % interval.

    ``typical`` cases are random, the others are the worst ones.
    """

    case: str
    typical: bool
    calls: np.ndarray
    slope: float
    low: float
    high: float


def growth(recursion: Recursion, effort: str, *, seed: int) -> list[GrowthFit]:
    """Fit the growth of the worst case of (29), and of grids on stationary differences, over the last 7/8 of calls."""
    steps, trials = (128, 48) if effort == "quick" else (512, 256)
    rng = np.random.default_rng(seed)
    calls = np.arange(steps // 8, steps + 1)
    tie = np.tile([6.0, 1.0], (steps, 1, 1))  # AbsMax(3): the second coordinate loses half a step at every call
    cases = [
        ("worst case of (29)", Shrink(contraction=0.25), collinear(np.ones(steps))),
        ("AbsMax(3), ties", AbsMax(3), tie),
        ("AbsMax(4), random walk", AbsMax(4), rng.standard_normal((steps, trials, 32))),
        ("Stochastic(4), random walk", Stochastic(4), rng.standard_normal((steps, trials, 32))),
        ("AbsMax(2), heavy tails", AbsMax(2), rng.standard_t(3, (steps, trials, 32))),
    ]
    fits = []
    for name, Q, differences in cases:
        error = _shared.run(recursion, differences, Q, seed=seed).error
        fits.append(
            GrowthFit(name, "worst" not in name and "ties" not in name, calls, *slope(np.log(calls), error[calls - 1]))
        )
    return fits
