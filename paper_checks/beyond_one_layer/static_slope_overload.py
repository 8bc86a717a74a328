"""A fixed scale: what it loses to slope overload, and works off later."""

import numpy as np

from modiff_sim import Claim, Evidence, Static, Verdict, bounds

from .. import _shared
from .._beyond import overloading
from .._broken import Flipped, scaled
from .._shared import EPS, collinear, families
from ._controls import Floored

ORDER = 4
CLAIM = Claim(
    id="static_slope_overload",
    statement="With a fixed scale s, E_j = ψ(||d_j||_∞ + E_{j-1}), ψ(x) = min(x, max(s/2, x - qmax·s)): half a step, "
    "plus the backlog of a queue that works off qmax·s per call; attained at every call (largest error over bound).",
    source="this project, on static scales",
    relation="tight",
)
SCALES = (0.125, 1.0)  # powers of two: the worst case is exact in floats


def check(
    effort: str = "quick", *, recursion="closed_loop", bound=bounds.static_closed_loop, quantizer=Static
) -> Evidence:
    """Run bursts that attain the bound at every call, and random differences that stay below it."""
    n, draws = (32, 1) if effort == "quick" else (64, 4)
    rng = np.random.default_rng(470)
    ratio, atol, cases = [], [], []
    for bits in (2, 3, 4, 8) if effort == "quick" else range(2, 9):
        for scale in SCALES:
            Q = quantizer(bits, scale=scale)

            def limit(d, kappa, gain=1.0, scale=scale, bits=bits):
                return bound(d, scale, bits, gain=gain)

            burst = collinear(overloading(n, scale, bits, rng))
            own = _shared.worst_of(recursion, limit, [("one-sided bursts", Q, burst)], n, order=np.inf)
            others = [
                ("random", Q, 2.0 ** rng.integers(-3, 3) * scale * families(n, d, rng))
                for d in (1, 8)
                for _ in range(draws)
            ]
            worst = own.but(_shared.worst_of(recursion, limit, others, n, order=np.inf))
            ratio.append(worst.ratio)
            atol.append(worst.atol)
            cases += [f"{name}, s = {scale:g}, call {j + 1}" for j, name in enumerate(worst.case)]
    return Evidence(
        claimed=np.ones(len(cases)),
        measured=np.concatenate(ratio),
        cases=cases,
        seed=470,
        atol=np.concatenate(atol) + 2 * n * EPS,  # besides the run's rounding: two additions of the bound per call
        note=f"attained at each of {n} calls, through bursts and after them",
        everywhere=True,
    )


class Wrapping(Static):
    """Codes wrap around at the end of the grid, as unclipped integers in two's complement do."""

    def quantize(self, blocks, qparams, *, random=None):
        """Return the codes modulo the number of levels."""
        n = 2 * (self.qmax + 1)
        return (np.round(blocks / qparams.scale) + n / 2) % n - n / 2


def longer_grid(d, scale, bits, **options):
    """Return the bound with the reach of the negative side, (qmax+1)s."""
    return bounds.static_closed_loop(d, scale * 2 ** (bits - 1) / (2 ** (bits - 1) - 1), bits, **options)


CONTROLS = [
    ({"bound": longer_grid}, Verdict.VIOLATED),
    ({"bound": bounds.static_direct}, Verdict.VIOLATED),  # no backlog
    ({"bound": scaled(bounds.static_closed_loop, 2.0)}, Verdict.VIOLATED),
    ({"recursion": "open_loop"}, Verdict.VIOLATED),
    ({"recursion": Flipped()}, Verdict.VIOLATED),
    ({"quantizer": Wrapping}, Verdict.VIOLATED),
    ({"quantizer": Floored}, Verdict.VIOLATED),
]
