"""A fixed scale that the differences never outrun."""

import numpy as np

from modiff_sim import Claim, Evidence, Static, Verdict
from modiff_sim import recursion as rec
from modiff_sim.evidence import Premise

from .. import _shared
from .._broken import Flipped
from .._shared import EPS
from ._controls import Floored

ORDER = 5
CLAIM = Claim(
    id="static_no_overload_half_step",
    statement="While ||d_j||_∞ ≤ qmax·s a static closed loop is never overloaded: its error stays at most s/2, however "
    "long it runs; attained (largest error over s/2).",
    source="this project, on static scales",
    relation="tight",
)


def check(
    effort: str = "quick", *, recursion: str | rec.Recursion = "closed_loop", quantizer=Static, reach: float = 1.0
) -> Evidence:
    """A step of s/2, then steps of the whole reach, attain the bound: every residual is the tie beyond the last level.

    Others walk at random within the reach, or up and down by all of it. ``reach`` is the largest difference over
    qmax·s.
    """
    n, trials = (64, 4) if effort == "quick" else (512, 8)
    rng = np.random.default_rng(472)
    ratio, atol, cases, largest = [], [], [], 0.0
    for bits in (2, 3, 8) if effort == "quick" else range(2, 9):
        for s in (0.25, 0.3):
            Q, qmax = quantizer(bits, scale=s), 2 ** (bits - 1) - 1
            D = reach * qmax * s
            ties = np.full((n, 1, 1), D)
            ties[0] = s / 2
            walks = (rng.uniform(-D, D, (n, trials, 4)), rng.choice([-D, D], (n, trials, 4)), -ties)

            def half_step(d, kappa, gain=1.0, s=s):
                return np.full_like(d, gain * s / 2)

            own = _shared.worst_of(recursion, half_step, [("ties", Q, ties)], n, order=np.inf)
            upper = _shared.worst_of(recursion, half_step, [("walk", Q, w) for w in walks], n, order=np.inf)
            worst = own.but(upper)
            ratio.append(worst.ratio)
            atol.append(worst.atol)
            cases += [f"{name}, s = {s:g}, call {j + 1}" for j, name in enumerate(worst.case)]
            largest = max(largest, D / (qmax * s), *(float(np.abs(w).max() / (qmax * s)) for w in walks))
    return Evidence(
        claimed=np.ones(len(cases)),
        measured=np.concatenate(ratio),
        atol=np.concatenate(atol),
        cases=cases,
        seed=472,
        note=f"attained at each of {n} calls at b = 2..8",
        premises=(Premise("||d||_∞ ≤ qmax·s", largest <= 1 + 4 * EPS, f"up to {largest:.3g}·qmax·s"),),
        everywhere=True,
    )


CONTROLS = [
    ({"recursion": "open_loop"}, Verdict.VIOLATED),
    ({"recursion": Flipped()}, Verdict.VIOLATED),
    ({"quantizer": Floored}, Verdict.VIOLATED),
    ({"reach": 0.9}, Verdict.VIOLATED),  # true, and not attained at every call
    ({"reach": 1.1}, Verdict.PREMISE_FAILS),
]
