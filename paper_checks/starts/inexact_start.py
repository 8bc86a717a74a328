"""What an inexact start adds to the error, and how long it stays."""

from functools import partial

import numpy as np

from modiff_sim import AbsMax, Claim, Evidence, Verdict, bounds

from .. import _shared
from .._broken import Dropped
from .._shared import Shrink
from . import _restarts

ORDER = 2
CLAIM = Claim(
    id="inexact_start",
    statement="An inexact start adds κ^n||e_T||_∞ (2-norm: q^n||e_T||) to the closed loop's bound after n calls: it "
    "decays as every other error does, with ||e_T||_∞ ≤ κ^m||a_T||_∞ after m warm-up feeds; in the open loop ||e_T|| "
    "stays. Attained at every call (error over bound).",
    source="this project, on (8)-(9) and the paper's warm-up",
    relation="tight",
)


def check(
    effort: str = "quick",
    *,
    recursions=("closed_loop", "open_loop"),
    max_norm=bounds.max_norm_closed_loop,
    two_norm=bounds.sharp_closed_loop,
    without=bounds.max_norm_open_loop,
    warm_up=bounds.warm_up_error,
) -> Evidence:
    """Measure the smallest and the largest error over the bound with its start, for both loops."""
    n = 8 if effort == "quick" else 16
    rng = np.random.default_rng(420)
    measured, atol, cases = [], [], []

    def compare(case, kind, inputs, Q, warmup, order, contraction, bound):
        recursion = recursions[0] if kind == "closed_loop" else recursions[1]
        error, slack = _restarts.errors(recursion, inputs, Q, order=order, warmup=warmup)
        d = np.linalg.norm(np.diff(inputs, axis=0), ord=order, axis=-1)
        start = warm_up(np.linalg.norm(inputs[0], ord=order, axis=-1), contraction, warmup, recursion=kind)
        limit = np.concatenate([start[None], bound(d, start=start)])
        ratio = error / limit
        measured.extend([ratio.min(), ratio.max()])
        atol.extend([(slack / limit).max() + 4 * n * _shared.EPS] * 2)
        cases.extend([f"{case}, {warmup} feeds, {end}" for end in ("smallest", "largest")])

    for feeds in (1, 2, 3):
        for bits in (2, 3, 4):
            Q, kappa = AbsMax(bits), AbsMax(bits).kappa(2)
            for first in (1.0, 100.0):
                inputs = _restarts.worst_inputs(bits, n, warmup=feeds, first=first)
                bound = partial(max_norm, kappa=kappa)
                case = f"{_shared.label(Q)}, max norm, ||a_T|| = {first:g}"
                compare(case, "closed_loop", inputs, Q, feeds, np.inf, kappa, bound)
            ties = np.arange(1, n + 1)[:, None, None] * np.array([2.0 * Q.qmax, 1.0])
            compare(
                f"{_shared.label(Q)}, ties", "open_loop", ties, Q, feeds, np.inf, kappa, partial(without, kappa=kappa)
            )
        for c in (0.25, 0.9):
            line = np.cumsum(rng.random((n, 4, 1)) + 0.1, axis=0)
            bound = partial(two_norm, c=c)
            compare(f"c = {c:g}, 2-norm", "closed_loop", line, Shrink(contraction=c), feeds, 2, np.sqrt(c), bound)
    return Evidence(
        claimed=1.0,
        measured=measured,
        cases=cases,
        atol=atol,
        seed=420,
        note=f"at each of {n - 1} calls after 1..3 feeds",
        everywhere=True,
    )


def forgets(bound):
    """Return the bound without its start."""
    return lambda d, start=0.0, **options: np.maximum(bound(d, **options), np.finfo(float).tiny)


CONTROLS = [
    ({"max_norm": forgets(bounds.max_norm_closed_loop)}, Verdict.VIOLATED),
    ({"two_norm": forgets(bounds.sharp_closed_loop)}, Verdict.VIOLATED),
    ({"recursions": ("open_loop", "open_loop")}, Verdict.VIOLATED),
    ({"recursions": ("closed_loop", "closed_loop")}, Verdict.VIOLATED),
    ({"recursions": (Dropped(), "open_loop")}, Verdict.VIOLATED),
    ({"warm_up": lambda a, kappa, m, **_: a * kappa ** (m + 1)}, Verdict.VIOLATED),
]
