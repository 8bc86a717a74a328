"""(14): the output of the closed loop is A of the reconstruction, whatever the quantizer."""

import numpy as np

from modiff_sim import QUANTIZERS, Claim, Evidence, PerSample, Verdict
from modiff_sim import recursion as rec
from modiff_sim.quantizers import make

from .._broken import Dropped, Flipped
from .._shared import EPS, families, label

ORDER = 1
CLAIM = Claim(
    id="reconstruction",
    statement="With compensation ô_t = A(â_t) after every step, for every quantizer (largest difference).",
    source="(13)-(14)",
    relation="equal",
    printed=True,
    quote="â_t = Q(a_t - â_{t+1}) + â_{t+1}, ô_t = A(Q(a_t - â_{t+1})) + ô_{t+1} = A(â_t)",
    reading="in exact arithmetic; the equation is tested within rounding",
    instead=("accumulator_drift",),
)


def check(effort: str = "quick", *, recursion="closed_loop") -> Evidence:
    """Compare ô with A of the reference after every call, for every quantizer."""
    n, d = (12, 8) if effort == "quick" else (48, 64)
    rng = np.random.default_rng(1)
    a = np.cumsum(families(n, d, rng), axis=0)
    A = rng.standard_normal((5, d))
    measured, atol, cases = [], [], []
    for name in QUANTIZERS:
        Q = make(name, 3, granularity=PerSample())  # the MX formats too: d is no multiple of their 32
        bits = (lambda call: rng.random(a.shape[1:])) if Q.laws.randomised else None
        for call, (state, info) in enumerate(rec.run(recursion, a, Q, lambda x: x @ A.T, random=bits)):
            measured.append(float(np.max(np.abs(info.output - state.ref @ A.T))))
            # each call rounds a product of d terms and two sums, of numbers no larger than 3·max|a|
            atol.append((call + 1) * (d + 4) * EPS * np.abs(A).sum(axis=1).max() * 3 * np.abs(a[: call + 1]).max())
            cases.append(f"{label(Q)}, call {call}")
    return Evidence(
        claimed=np.zeros(len(cases)),
        measured=measured,
        atol=atol,
        cases=cases,
        seed=1,
        note=f"{len(cases)} pairs of quantizer and call",
    )


CONTROLS = [
    ({"recursion": "open_loop"}, Verdict.VIOLATED),
    ({"recursion": Dropped()}, Verdict.VIOLATED),
    ({"recursion": Flipped()}, Verdict.VIOLATED),
]
