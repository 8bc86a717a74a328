"""Max-norm contraction of stochastic rounding: twice that of rounding to nearest, and sure."""

import numpy as np

from modiff_sim import Claim, Evidence, Stochastic, Verdict

from .._shared import EPS
from ._controls import Biased

ORDER = 2
CLAIM = Claim(
    id="stochastic_rounding_kappa",
    statement="Absmax with stochastic rounding: ||x-Q(x)||_∞ ≤ κ||x||_∞ surely, κ = 1/qmax, approached but not "
    "reached; so the max-norm bound needs b ≥ 3.",
    source="this project",
    relation="tight",
)
K = 1024


def check(effort: str = "quick", *, quantizer=Stochastic) -> Evidence:
    """Measure the largest ratio, which entries just above a level attain when they are rounded up."""
    rng = np.random.default_rng(71)
    claimed, measured, cases = [], [], []
    for bits in range(2, 9):
        Q = quantizer(bits)
        for d in (2, 64) if effort == "quick" else (2, 64, 4096):
            x = np.concatenate([rng.integers(0, Q.qmax * K, (256, d)) / K, rng.standard_normal((256, d))])
            x[:256, 0] = Q.qmax
            x[::2, 1] = np.abs(x[::2]).max(axis=1) / Q.qmax / K  # just above 0 ...
            u = rng.random(x.shape)
            u[::4] = 1 - 0.5 / K  # ... and rounded up
            u[2::4] = 0.5 / K
            error = np.abs(x - Q(x, random=u)).max(axis=1) / np.abs(x).max(axis=1)
            claimed.append(1 / Q.qmax)
            measured.append(error.max())
            cases.append(f"b = {bits}, d = {d}")
    return Evidence(
        claimed=claimed,
        measured=measured,
        cases=cases,
        seed=71,
        note=f"nearest to 1/qmax: {max(m / k for m, k in zip(measured, claimed, strict=True)):.6f} of it",
        attained=2 / K,  # the nearest fraction tried is 1/K of a step from a level
        atol=16 * EPS,
    )


class Wide(Stochastic):
    """Takes random numbers from twice the range."""

    def quantize(self, blocks, qparams, *, random=None):
        """Return the codes with random numbers from -1/2 to 3/2."""
        return super().quantize(blocks, qparams, random=2 * random - 0.5)


CONTROLS = [
    ({"quantizer": Wide}, Verdict.VIOLATED),
    ({"quantizer": Biased}, Verdict.VIOLATED),
]
