"""The dimension-free bound, the spine of this project."""

import numpy as np

from modiff_sim import AbsMax, Claim, Evidence, Floor, MinMax, Stochastic, Verdict, bounds, processes

from .. import _shared
from .._broken import Dropped, Flipped, FloorAbsMax, Reset, halved, shifted
from .._shared import families, worst_of

ORDER = 8
CLAIM = Claim(
    id="max_norm_closed_loop",
    statement="With compensation, ||o-ô||_∞ ≤ ||A||_{∞→∞} Σ_k κ^(age+1)||d_k||_∞, κ = 1/(2·qmax), at b = 2..8 whatever "
    "the dimension; attained at every step, already at d = 2 where the differences keep their size (largest error over "
    "bound).",
    source="this project",
    relation="tight",
)


def stream(process, steps: int, trials: int, seed: int) -> np.ndarray:
    """Return the inputs (steps+1, trials, d) of a process."""
    return np.stack(list(process.stream(np.random.default_rng(seed), trials, steps + 1)))


def check(
    effort: str = "quick", *, recursion="closed_loop", bound=bounds.max_norm_closed_loop, quantizer=AbsMax
) -> Evidence:
    """Alternating inputs at d = 2 attain the bound at every call. All other inputs must stay below it."""
    n, wide, trials = (16, 512, 4) if effort == "quick" else (32, 4096, 8)
    rng = np.random.default_rng(50)
    ratio, atol, cases = [], [], []
    for bits in range(2, 9):
        Q = quantizer(bits)
        heavy = rng.standard_t(1.5, (n, trials, wide))  # infinite variance
        # not summed up from its differences, which would move it by eps, so that ties could fall the other way
        alternating = _shared.run_inputs(recursion, stream(processes.alternating(bits=bits), n, 1, 0), Q, order=np.inf)
        own = _shared.Worst.none(n)
        own.add(alternating, bound(alternating.d, Q.kappa(2)), f"{_shared.label(Q)}, d = 2, alternating")
        others = [
            (
                "adversarial",
                Q,
                np.diff(stream(processes.adversarial(AbsMax(bits), candidates=8), n, trials, bits), axis=0),
            ),
            ("heavy tails", Q, heavy),
            ("", Q, families(n, 2, rng)),
            ("", Q, families(n, 32, rng)),
        ]
        for R in (MinMax(bits), Floor(bits, floor=0.0), Stochastic(bits)):  # floor=0: no static grid below 1e-8
            others.append(("", R, families(n, 32, rng)))
        upper = worst_of(recursion, bound, others, n, order=np.inf)
        worst = own.but(upper)
        ratio.append(worst.ratio)
        atol.append(worst.atol)
        cases += [f"{name}, step {j + 1}" for j, name in enumerate(worst.case)]
    return Evidence(
        claimed=np.ones(len(cases)),
        measured=np.concatenate(ratio),
        cases=cases,
        seed=50,
        # besides the run's own rounding: κ and the bound's sum, 2 roundings per step
        atol=np.concatenate(atol) + 2 * n * _shared.EPS,
        note=f"attained at each of {n} steps for b = 2..8",
        everywhere=True,
    )


CONTROLS = [
    ({"bound": halved(bounds.max_norm_closed_loop)}, Verdict.VIOLATED),
    ({"bound": shifted(bounds.max_norm_closed_loop, 1)}, Verdict.VIOLATED),
    ({"bound": shifted(bounds.max_norm_closed_loop, -1)}, Verdict.VIOLATED),
    ({"recursion": "open_loop"}, Verdict.VIOLATED),
    ({"recursion": Dropped()}, Verdict.VIOLATED),
    ({"recursion": Flipped()}, Verdict.VIOLATED),
    ({"recursion": Reset()}, Verdict.VIOLATED),
    ({"quantizer": FloorAbsMax}, Verdict.VIOLATED),
]
