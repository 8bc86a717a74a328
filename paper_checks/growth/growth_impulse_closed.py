"""How fast the closed loop forgets: one difference, then a constant input."""

from collections.abc import Sequence

import numpy as np

from modiff_sim import AbsMax, Claim, Evidence, Verdict
from modiff_sim.bounds.growth import slope

from .. import _shared
from .._broken import Growing
from .._shared import Shrink, collinear

ORDER = 1
CLAIM = Claim(
    id="growth_impulse_closed",
    statement="After a single difference the closed loop's worst error decays by log q = ½ log c per call for every "
    "c < 1, not by the ½ log 2c of (31), which for c > 1/2 would be growth (fitted slope of log error per call).",
    source="this project, on Theorem 4.4, (31)",
    relation="equal",
)


def rate(c: float) -> float:
    """Return log q, the claimed rate per call."""
    return 0.5 * float(np.log(c))


def check(
    effort: str = "quick", *, recursion="closed_loop", rate=rate, contractions: Sequence[float] = (0.05, 0.25, 0.6, 0.9)
) -> Evidence:
    """Fit the decay until the error has fallen to 1e-8 (10 to 1000 calls). The note has grids, which forget by κ."""
    claimed, fits, atol, cases = [], [], [], []
    for c in contractions:
        n = min(max(int(np.log(1e-8) / np.log(np.sqrt(c))), 10), 1000)
        done = _shared.run(recursion, collinear(np.eye(n)[0]), Shrink(contraction=c))
        fits.append(slope(np.arange(n), done.error))
        claimed.append(rate(c))
        # â is rounded to eps of a = 1 at every call: that much of an error of 1e-8, over the length of the fit
        atol.append(float(done.slack[-1, 0] / done.error[-1, 0]) / n)
        cases.append(f"c = {c:g}: {fits[-1].slope:.4f} per call over {n} calls, ½ log 2c = {0.5 * np.log(2 * c):+.4f}")
    rng, grids = np.random.default_rng(570), []
    for bits in (2, 3, 4):
        Q, n = AbsMax(bits), 10
        impulse = np.zeros((n, 16, 256))
        impulse[0] = rng.standard_normal((16, 256))
        fit = slope(np.arange(n), _shared.run(recursion, impulse, Q, order=np.inf).error)
        grids.append(f"{_shared.label(Q)} {fit.slope:.2f} (log κ = {np.log(Q.kappa(256)):.2f})")
    return Evidence(
        claimed=claimed,
        measured=[f.slope for f in fits],
        low=[f.low for f in fits],
        high=[f.high for f in fits],
        cases=cases,
        atol=atol,
        seed=570,
        note=f"{'; '.join(cases)}; grids, max norm: {', '.join(grids)}",
    )


CONTROLS = [
    ({"rate": lambda c: 0.5 * np.log(2 * c)}, Verdict.VIOLATED),
    ({"rate": lambda c: 0.5 * np.log(c / 2)}, Verdict.VIOLATED),
    ({"rate": np.log}, Verdict.VIOLATED),
    ({"recursion": Growing()}, Verdict.VIOLATED),
    ({"recursion": "open_loop"}, Verdict.VIOLATED),
]
