"""Bands that stochastic rounding stays in with probability at least 1-δ."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from modiff_sim import Claim, Evidence, Stochastic, Verdict, bounds, simulate
from modiff_sim.simulation.processes import recorded

from .._broken import halved
from ._stochastic import coverage

ORDER = 6
CLAIM = Claim(
    id="stochastic_band",
    statement="Stochastic absmax, κ = 1/qmax, m outputs: with probability 1-δ the error is at most "
    "||A||_{2→∞}·√(½ln(2m/δ)·V) in the max norm, V = Σ_k κ²||d_k||_∞² without compensation, and with it V = E², E = "
    "Σ_k κ^(age+1)||d_k||_∞ the sure bound; in the 2-norm, with compensation, ||A||_2·E·√(d/4+½ln(1/δ)) (share of "
    "runs inside, δ = 0.05).",
    source="this project; Hoeffding 1963, Azuma 1967",
    relation="lower",
)
DELTA = 0.05


def inputs(kind: str, d: int, n: int, trials: int, rng: np.random.Generator) -> np.ndarray:
    """Return inputs (n+1, trials, d): "half steps" or a random walk.

    At half steps rounding errors are largest and of both signs; in the closed loop this is so at every odd call, since
    the error itself is half a step.
    """
    steps = np.full((n, trials, d), 0.5) if kind == "half steps" else rng.standard_normal((n, trials, d))
    if kind == "half steps":
        steps[:, :, 0] = 3.0  # qmax steps at 3 bits: the scale is 1 and this entry exact
    return np.concatenate([np.zeros((1, trials, d)), np.cumsum(steps, axis=0)])


def check(
    effort: str = "quick",
    *,
    recursions: tuple[str, str] = ("open_loop", "closed_loop"),
    bands: tuple[Callable[..., Any], ...] = (bounds.stochastic_open_loop_band, bounds.stochastic_closed_loop_band),
    quantizer=Stochastic,
) -> Evidence:
    """Measure the coverage of the bands at the first and at the last call, with its exact interval.

    Every case draws all trials at once. A row of ones as A adds up all errors, so that on half steps the band is
    nearest to the truth. "All" means all calls of a run together.
    """
    d, n, trials = (48, 7, 800) if effort == "quick" else (96, 17, 2000)
    rng = np.random.default_rng(414)
    layer = rng.standard_normal((8, d))
    operators = {"A = 1": None, "A = row of ones": np.ones((1, d)), "A random": layer}
    measured, low, high, cases, loose = [], [], [], [], {}
    for kind in ("half steps", "random walk"):
        process, Q = recorded(inputs(kind, d, n, trials, rng)), quantizer(3)
        for (recursion, band), (what, A) in itertools.product(zip(recursions, bands, strict=True), operators.items()):
            r = simulate(process, Q, recursion, steps=n + 1, trials=trials, seed=1, operator=A)
            matrix = np.eye(d) if A is None else A
            for norm, error, size, gain in (
                (math.inf, r.error_inf, len(matrix), np.linalg.norm(matrix, axis=1).max()),
                (2, r.error, d, np.linalg.norm(matrix, 2)),
            ):
                limit = band(r.d_inf[1:], Q.kappa(d), delta=DELTA, size=size, norm=norm, gain=gain)
                inside = (error[1:] <= limit)[[0, -1]]
                rows = ["first call", "last call"]
                if recursion == "open_loop":  # Doob: the last band holds for all calls together
                    inside = np.concatenate([inside, (error[1:] <= limit[-1]).all(axis=0)[None]])
                    rows.append("all calls")
                share, least, most = coverage(inside)
                measured += [*share]
                low += [*least]
                high += [*most]
                name = f"{recursion}, {kind}, {what}, norm {norm:g}"
                cases += [f"{name}, {row}" for row in rows]
                loose[name] = [float(1 / np.quantile(error[1:][j] / limit[j], 1 - DELTA)) for j in (0, -1)]
    tightest, widest = (f(loose, key=lambda k: f(loose[k])) for f in (min, max))
    return Evidence(
        claimed=1 - DELTA,
        measured=measured,
        low=low,
        high=high,
        cases=cases,
        seed=414,
        params={"band over the true quantile, first and last call": loose, "δ": DELTA, "d": d, "trials": trials},
        note=f"band/quantile between {min(loose[tightest]):.2f} ({tightest}) and {max(loose[widest]):.2f} ({widest})",
    )


class Down(Stochastic):
    """Always rounds down."""

    def quantize(self, blocks, qparams, *, random=None):
        """Return the codes, always rounded down."""
        return super().quantize(blocks, qparams, random=0 * random)


BANDS = (bounds.stochastic_open_loop_band, bounds.stochastic_closed_loop_band)


CONTROLS = [
    ({"bands": tuple(map(halved, BANDS))}, Verdict.VIOLATED),
    ({"recursions": ("open_loop", "open_loop")}, Verdict.VIOLATED),
    ({"quantizer": Down}, Verdict.VIOLATED),
]
