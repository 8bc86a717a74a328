"""Which fixed scale is best: granular noise against slope overload."""

import numpy as np

from modiff_sim import AbsMax, Claim, Evidence, Static, Verdict, bounds

from .. import _shared
from .._broken import scaled
from .._shared import EPS, collinear

ORDER = 6
CLAIM = Claim(
    id="static_scale_choice",
    statement="The fixed scale whose bound (s/2 and the backlog) is least is max||d||_∞/qmax: error "
    "max||d||_∞/(2·qmax), no overload, and below the dynamic scale's worst case max||d||_∞/(2·qmax-1) (least over "
    "scales, and a run, over it).",
    source="this project, on static scales",
    relation="equal",
)


def check(effort: str = "quick", *, best=bounds.best_static_scale, backlog=bounds.backlog) -> Evidence:
    """Minimise s/2 plus the largest backlog over the scale, on a grid that is refined about its best point."""
    draws = 3 if effort == "quick" else 20
    rng = np.random.default_rng(474)
    measured, cases, gains = [], [], []
    for bits in (2, 3, 4, 8):
        qmax = 2 ** (bits - 1) - 1
        for i in range(draws):
            d = rng.lognormal(sigma=1.5, size=20)
            D = d.max()
            low, high = D / qmax / 16, 16 * D / qmax
            for _ in range(12):
                grid = np.linspace(low, high, 33)
                worst = np.array([s / 2 + backlog(d, s, bits).max() for s in grid])
                k = int(np.argmin(worst))
                low, high = grid[max(k - 1, 0)], grid[min(k + 1, 32)]
            s = best(d, bits)
            # half a step first, then steps of size D: the worst sequence for differences of at most D
            tie = collinear(np.concatenate([[s / 2], np.full(20, D)]))
            run = _shared.run("closed_loop", tie, Static(bits, scale=s), order=np.inf)
            measured += [worst.min() * 2 * qmax / D, s * qmax / D, run.error.max() * 2 * qmax / D]
            cases += [f"b = {bits}, sequence {i}: {what}" for what in ("least worst error", "scale", "run at it")]
            kappa = AbsMax(bits).kappa(2)
            gains.append(kappa / (1 - kappa) / (run.error.max() / D))
    return Evidence(
        # 12 refinements by 16 leave a bracket of 32·16^-12 of the scale; the run rounds sums up to 20·D
        claimed=np.ones(len(cases)),
        measured=measured,
        cases=cases,
        seed=474,
        atol=16**-11 + 20 * 20 * 16 * 127 * EPS,
        note=f"the dynamic scale's steady state is {min(gains):.3f} (8 bits) to {max(gains):.3g} times (2 bits) that",
    )


CONTROLS = [
    ({"best": lambda d, bits: bounds.best_static_scale(d, bits, criterion="mean")}, Verdict.VIOLATED),
    ({"best": lambda d, bits: d.max() / 2 ** (bits - 1)}, Verdict.VIOLATED),
    ({"backlog": scaled(bounds.backlog, 0.1)}, Verdict.VIOLATED),
]
