"""Young's inequality with the best parameter at every call is the triangle inequality."""

from collections.abc import Sequence

import numpy as np

from modiff_sim import Claim, Evidence, Verdict, bounds

from .._broken import halved
from .._shared import EPS

ORDER = 13
CLAIM = Claim(
    id="young_per_step_is_sharp",
    statement="With β_j = ||d_j||/E_{j-1} chosen at every call (open loop: q||d_j||/E_{j-1}), Young's recursion is the "
    "sharp bound, with and without compensation, for every c ≥ 0 (ratio of the two).",
    source="this project",
    relation="equal",
)
PAIRS = {
    "closed loop": (bounds.young_closed_loop, bounds.sharp_closed_loop),
    "open loop": (bounds.young_open_loop, bounds.sharp_open_loop),
}


def check(
    effort: str = "quick", *, beta="best", pairs=PAIRS, contractions: Sequence[float] = (0.05, 0.25, 0.6, 0.9, 1, 2.25)
) -> Evidence:
    """Compare the two bounds on equal, random, heavy-tailed, shrinking and growing norms, and on impulses."""
    n, trials = (32, 16) if effort == "quick" else (200, 64)
    rng = np.random.default_rng(401)
    k = np.arange(n)[:, None]
    kinds = {
        "equal": np.ones((n, 1)),
        "random": rng.random((n, trials)),
        "heavy tails": np.abs(rng.standard_t(1, (n, trials))),
        "shrinking": 0.5**k * rng.random((n, trials)),
        "growing": 1.5**k * rng.random((n, trials)),
        "impulses": np.where(rng.random((n, trials)) < 0.2, 1.0, 0.0),
    }
    measured, cases = [], []
    for loop, (young, sharp) in pairs.items():
        for c in contractions:
            for kind, d in kinds.items():
                limit = sharp(d, c)
                got = young(d, c, beta=beta)
                ratio = np.divide(got, limit, out=np.ones_like(got), where=limit > 0)
                measured.append(float(ratio.flat[np.argmax(np.abs(ratio - 1))]))
                cases.append(f"{loop}, c = {c:g}, {kind}")
    # per call Young's side rounds β, two factors, two squares, the sum and its root, the sharp side twice
    return Evidence(claimed=1.0, measured=measured, cases=cases, atol=8 * n * EPS, seed=401, note=f"up to {n} calls")


CONTROLS = [
    ({"beta": 1.0}, Verdict.VIOLATED),
    ({"beta": "horizon"}, Verdict.VIOLATED),
    ({"pairs": {"halved": (bounds.young_closed_loop, halved(bounds.sharp_closed_loop))}}, Verdict.VIOLATED),
]
