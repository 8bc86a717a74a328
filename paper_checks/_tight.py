"""How a 2-norm bound is shown to be right and tight: it is never exceeded, and attained at every length."""

from collections.abc import Callable, Sequence

import numpy as np

from modiff_sim import AbsMax, Evidence, Floor, MinMax, Quantizer, Zero
from modiff_sim.evidence import Premise

from . import _shared
from ._shared import Bound, Recursion, Shrink, collinear, families, worst_of

CONTRACTIONS = (0.05, 0.25, 0.49, 0.6, 0.9)  # below 1/2 and above
#: real quantizers and dimensions, with declared (and tested) c(d) from 0 (AbsMax at d=1) to above 1 (Floor)
GRIDS: tuple[tuple[Quantizer, int], ...] = (
    (AbsMax(2), 1), (AbsMax(2), 16), (AbsMax(3), 4), (AbsMax(4), 64), (MinMax(2), 8), (MinMax(4), 16), (Zero(), 4),
    (Floor(3, floor=0.0), 4),  # floor=0 leaves out the static grid below 1e-8
)  # fmt: skip


def sup_is_one(
    recursion: Recursion,
    bound: Bound,
    profiles: Callable[[float, int], np.ndarray],
    effort: str,
    *,
    seed: int,
    contractions: Sequence[float] = CONTRACTIONS,
) -> Evidence:
    """Return evidence that a bound is never exceeded, and that its profiles of equality attain it.

    This is measured for every c and every number of differences up to 8 (16 at full effort). ``profiles(c, n)`` are
    norms (n, m) of m profiles of collinear differences, each of which attains the bound after every difference. They
    must have weight on *all* differences, since the newest impulse alone attains many wrong bounds.
    """
    n, draws = (8, 1) if effort == "quick" else (16, 20)
    rng = np.random.default_rng(seed)
    grids = [("", Q, families(n, d, rng)) for Q, d in GRIDS for _ in range(draws)]
    upper = worst_of(recursion, bound, grids, n)
    ratio, atol, cases, off = [], [], [], 0.0
    for c in contractions:
        Q = Shrink(contraction=c)
        others = worst_of(recursion, bound, [("", Q, families(n, d, rng)) for d in (1, 8)], n)
        for i, profile in enumerate(np.asarray(profiles(c, n)).T):
            own = worst_of(recursion, bound, [(f"profile {i}", Q, collinear(profile))], n)
            worst = own.but(others).but(upper)
            ratio.append(worst.ratio)
            atol.append(worst.atol)
            cases += [f"{name}, after {j + 1} differences" for j, name in enumerate(worst.case)]
        x = rng.standard_normal((64, 8))
        lost = np.sum((x - Q(x)) ** 2, axis=1) / np.sum(x**2, axis=1)
        off = max(off, float(np.max(np.abs(lost - c))))
    return Evidence(
        claimed=np.ones(len(cases)),
        measured=np.concatenate(ratio),
        cases=cases,
        seed=seed,
        # besides the run's own rounding: q, the sum of the bound and its square root, 4 roundings per difference
        atol=np.concatenate(atol) + 4 * n * _shared.EPS,
        premises=(Premise("(29) with this c", off <= 8 * _shared.EPS, f"off by {off:.2g}"),),
        params={"contractions": list(contractions), "grids": [f"{_shared.label(Q)} {d}" for Q, d in GRIDS], "n": n},
        note=f"attained for {len(contractions)} values of c at every length up to {n}",
        everywhere=True,
    )
