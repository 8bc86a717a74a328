"""With few steps the differences grow and error compensation loses its advantage, then loses."""

import numpy as np

from modiff_sim import Claim, Evidence, Verdict

from .. import _mixture
from .._mixture import Paired, Trace, rms_ratio

ORDER = 6
CLAIM = Claim(
    id="mixture_few_steps",
    statement="Few-step breakdown against exact truth (3 bits): at 5 calls MoDiff's samples are further from full "
    "precision than ordinary quantization's, in DDIM and DDPM; at 100 calls they are 5 (DDIM) and 1.5 (DDPM) times "
    "closer (ratios of RMS distances).",
    source="this project, on few-step models",
    relation="lower",
)


def relative_difference(pair: Paired, steps: int) -> float:
    """Return the median over calls of RMS ||a_t - a_{t+1}||_∞/||a_t||_∞ in the second layer, in full precision."""
    trace = Trace("mean")
    pair.run("ddim", steps, 32, "direct", observers=[trace])
    d = np.abs(np.diff(trace.a, axis=0)).max(axis=2)
    return float(np.median(np.sqrt((d**2).mean(axis=1) / (np.abs(trace.a[1:]).max(axis=2) ** 2).mean(axis=1))))


def check(effort: str = "quick", *, ours="closed_loop", few: int = 5, many: int = 100, bits: int = 3) -> Evidence:
    """Compare the distances of the closed loop and of direct at few and at many steps."""
    n = _mixture.images(effort)
    pair = Paired(n, 628)
    claimed, measured, low, high, cases = [], [], [], [], []
    for sampler, times in (("ddim", 5.0), ("ddpm", 1.5)):
        for steps, least in ((few, 1.0), (many, times)):
            direct, closed = (pair.squares(sampler, steps, bits, arm) for arm in ("direct", ours))
            top, bottom = (closed, direct) if steps == few else (direct, closed)
            value, lower, upper = rms_ratio(top, bottom, seed=628)
            claimed.append(least)
            measured.append(value)
            low.append(lower)
            high.append(upper)
            cases.append(f"{sampler.upper()}, {steps} calls: {value:.3g} × {'further' if steps == few else 'closer'}")
    why = [f"{relative_difference(pair, steps):.2g} at {steps}" for steps in (few, many)]
    return Evidence(
        claimed=claimed,
        measured=measured,
        low=low,
        high=high,
        cases=cases,
        seed=628,
        params=_mixture.PARAMS | {"images": n, "bits": bits},
        note=f"{'; '.join(cases)}; ||d||_∞/||a||_∞ in layer 2: {', '.join(why)} calls",
    )


CONTROLS = [
    ({"few": 50, "many": 100}, Verdict.VIOLATED),
    ({"few": 5, "many": 10}, Verdict.VIOLATED),
    ({"ours": "open_loop", "many": 50}, Verdict.VIOLATED),
]
