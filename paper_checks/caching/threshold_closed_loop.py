"""Remark 4.1, skipping below a tolerance: what the closed loop loses by it."""

import math

import numpy as np

from modiff_sim import AbsMax, Claim, Evidence, Threshold, Verdict, bounds
from modiff_sim import recursion as rec

from .._broken import Dropped, Flipped, scaled
from .._shared import CLEAR, EPS, Shrink, collinear, families, label

ORDER = 1
CLAIM = Claim(
    id="threshold_closed_loop",
    statement="With residuals below τ||â|| skipped, the closed loop's error follows E ← max(k·x, min(x, τ||â||)), "
    "x = ||d|| + E, k = √c or κ, attained; it never exceeds max(τ max||â||, k·D/(1-k)), the larger of the two errors "
    "and not their sum (largest error over bound).",
    source="this project, on Remark 4.1",
    relation="tight",
)
TAUS = (1 / 64, 1 / 8, 1 / 2)
NORMS = {"l2": 2, "max": np.inf}


def measure(recursion, differences: np.ndarray, Q, skip: Threshold, order: float) -> tuple[np.ndarray, ...]:
    """Run from a_T = 1, and return norms of differences, references and errors, and the slack: (n, trials) each."""
    start = np.ones_like(differences[:1])
    inputs = np.concatenate([start, start + np.cumsum(differences, axis=0)])
    calls = list(rec.run(recursion, inputs, Q, skip=skip))

    def size(x: list[np.ndarray] | np.ndarray) -> np.ndarray:
        return np.linalg.norm(np.stack(list(x)), ord=order, axis=-1)

    error = size(a - s.output for a, (_, s) in zip(inputs[1:], calls[1:], strict=True))
    slack = 16 * len(inputs) * EPS * size(inputs).max(axis=0)  # residual, scale, sums at every call
    return size(differences), size(s.ref for s, _ in calls[:-1]), error, np.broadcast_to(slack, error.shape)


def check(
    effort: str = "quick", *, recursion="closed_loop", bound=bounds.skipped_closed_loop, used: float = 1.0
) -> Evidence:
    """Measure errors over the bound. ``used`` times τ is the threshold that the recursion really has."""
    n, draws = (24, 1) if effort == "quick" else (64, 6)
    rng = np.random.default_rng(880)
    measured, atol, cases = [], [], []
    for norm, Q, tau in (
        (m, Q, t) for m in NORMS for Q in (Shrink(contraction=1 / 16), AbsMax(2), AbsMax(4)) for t in TAUS
    ):
        runs = [collinear(rng.uniform(0, 0.1, n))]
        runs += [2.0 ** rng.integers(-4, 1) * families(n, d, rng) for d in (1, 8) * draws]
        worst = dict.fromkeys(("by steps", "for ever"), (0.0, 0.0))
        for differences in runs:
            k = math.sqrt(Q.c(differences.shape[-1])) if norm == "l2" else Q.kappa(differences.shape[-1])
            d, refs, error, slack = measure(recursion, differences, Q, Threshold(used * tau, norm), NORMS[norm])
            ever = np.maximum(tau * refs.max(axis=0), k * d.max(axis=0) / (1 - k) if k < 1 else np.inf)
            for what, limit in (("by steps", bound(d, k, tau, refs)), ("for ever", np.broadcast_to(ever, d.shape))):
                sunk = np.where(error <= limit + slack, 0.0, np.inf)
                clear = slack < CLEAR * limit  # elsewhere the ratio would be one of rounding errors
                ratio = np.divide(error, limit, out=sunk, where=clear)
                at = np.unravel_index(np.argmax(ratio), ratio.shape)
                worst[what] = max(worst[what], (ratio[at], slack[at] / limit[at] if clear[at] else 0.0))
        for what, (ratio, off) in worst.items():
            measured.append(ratio)
            atol.append(off)
            cases.append(f"{label(Q)}, {norm}, τ = {tau:g}, {what}")
    return Evidence(
        claimed=np.ones(len(cases)),
        measured=measured,
        cases=cases,
        atol=atol,
        seed=880,
        params={"steps": n},
        note=f"over {n} calls; against max(τ||â||, kD/(1-k)): {max(measured[1::2]):.4f}",
    )


def only_the_threshold(d, contraction, tau, ref):
    """Return the bound without skipped residuals: the error of the quantizer alone."""
    return bounds.skipped_closed_loop(d, contraction, 0.0, ref)


CONTROLS = [
    ({"recursion": "open_loop"}, Verdict.VIOLATED),
    ({"recursion": Dropped()}, Verdict.VIOLATED),
    ({"recursion": Flipped()}, Verdict.VIOLATED),
    ({"used": 1.1}, Verdict.VIOLATED),
    ({"bound": scaled(bounds.skipped_closed_loop, 0.9)}, Verdict.VIOLATED),
    ({"bound": scaled(bounds.skipped_closed_loop, 1.1)}, Verdict.VIOLATED),  # true, and not attained
    ({"bound": only_the_threshold}, Verdict.VIOLATED),
]
