"""Skipping below a tolerance without compensation: what is skipped is lost for good."""

import numpy as np

from modiff_sim import AbsMax, Claim, Evidence, Threshold, Verdict
from modiff_sim import recursion as rec
from modiff_sim.recursion.threshold import NORMS

from .._broken import Dropped

ORDER = 2
CLAIM = Claim(
    id="threshold_open_loop_loses",
    statement="A coordinate that moves by δ at every call, with δ below τ||a||: skipping by a threshold, the open loop "
    "never follows (error nδ after n calls), the closed loop stays within τ||â||: the ratio of the two errors is at "
    "least nδ/(τ max||â||).",
    source="this project, on Remark 4.1",
    relation="lower",
)
HELD, STEP = 8.0, 1 / 64  # binary fractions, and a held coordinate: sums are exact, thresholds nearly constant
TAUS = (1 / 64, 1 / 16)


def check(effort: str = "quick", *, recursions=("open_loop", "closed_loop"), tau_used: float = 1.0) -> Evidence:
    """Measure what both loops lose below the threshold. ``tau_used`` times τ is what they really skip by."""
    lengths = (32, 128) if effort == "quick" else (64, 256, 1024)
    claimed, measured, cases = [], [], []
    for n in lengths:
        moving = STEP * np.arange(n + 1)
        inputs = np.stack([np.full(n + 1, HELD), moving], axis=-1)[:, None, :]
        for tau in TAUS:
            for norm in NORMS:
                skip = Threshold(tau_used * tau, norm)
                runs = [list(rec.run(name, inputs, AbsMax(8), skip=skip)) for name in recursions]
                lost, kept = ([np.abs(a - s.output).max() for a, (_, s) in zip(inputs, r, strict=True)] for r in runs)
                limit = tau * max(float(skip.size(s.ref).max()) for s, _ in runs[1])
                claimed.append(n * STEP / limit)
                measured.append(lost[-1] / max(kept))
                cases.append(f"τ = {tau:g}, {norm}, after {n} calls: errors {lost[-1]:.3g} and {max(kept):.3g}")
    return Evidence(
        claimed,
        measured,
        cases=cases,
        seed=0,
        trivial=1.0,
        params={"n": lengths[-1], "bits": 8},
        note=f"up to {max(measured):.0f} times after {lengths[-1]} calls",
    )


CONTROLS = [
    ({"recursions": ("closed_loop", "closed_loop")}, Verdict.VIOLATED),
    ({"recursions": ("open_loop", "open_loop")}, Verdict.VIOLATED),
    ({"recursions": ("open_loop", Dropped())}, Verdict.VIOLATED),
    ({"tau_used": 4.0}, Verdict.VIOLATED),
]
