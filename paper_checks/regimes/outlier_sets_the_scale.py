"""Why outliers hurt direct quantization, and the closed loop less: what sets the scale, an input or its change."""

from collections.abc import Iterator

import numpy as np

from modiff_sim import AbsMax, Claim, Evidence, Verdict, processes, simulate
from modiff_sim.bounds.growth import Fit, slope

from .._broken import Dropped
from .._shared import EPS, Recursion

CLAIM = Claim(
    id="outlier_sets_the_scale",
    statement="One entry of an input is an outlier of size m that changes by δ per call; the others are of size 1 and "
    "change by ρ. The RMS error of the others grows like m^p: direct p = 1 (while a step m/qmax is at most 1), closed "
    "loop from an exact start p = 0; and like δ^p: direct p = 0, closed loop p = 1 (while δ is the largest change and "
    "δ/qmax at most ρ). An outlier costs direct quantization what it is, and the closed loop what it changes (fitted "
    "p, 8 bits, intervals jointly at 99 %).",
    source="the summary's question",
    relation="equal",
)
OTHERS, RHO, STEPS = 256, 0.05, 30
SIZES = 2.0 ** np.arange(3, 7)  # m, in units of the other entries
CHANGES = RHO * 2.0 ** np.arange(3, 7)  # δ, from 8 to 64 times the change of the others
START = 10  # the closed loop starts exactly; it has settled then, as κ^10 is far below one part in 10^6


def outlier(size: float, change: float) -> processes.Process:
    """Return autoregressive inputs whose first entry takes the values size ± change/2 in turn."""
    rest = processes.ar1(OTHERS + 1, phi=1 - RHO**2 / 2)

    def draw(rng: np.random.Generator, trials: int, steps: int) -> Iterator[np.ndarray]:
        for k, a in enumerate(rest.stream(rng, trials, steps)):
            moved = a.copy()
            moved[:, 0] = size + (-1) ** k * change / 2
            yield moved

    return processes.Process("outlier", OTHERS + 1, {"size": size, "change": change}, draw)


def lost(recursion: Recursion, bits: int, size: float, change: float, trials: int) -> np.ndarray:
    """Return the RMS error of the other entries over the settled calls, (trials,); the same others at every call."""
    only_others = np.eye(OTHERS + 1)[1:]
    r = simulate(
        outlier(size, change), AbsMax(bits), recursion, steps=STEPS, trials=trials, seed=91, operator=only_others,
        measure=["error"], workers=1,
    )  # fmt: skip
    return np.sqrt(np.mean(r.error[START:] ** 2, axis=0) / OTHERS)


def check(effort: str = "quick", *, direct="direct", closed="closed_loop", bits: int = 8) -> Evidence:
    """Fit the exponents over a factor of 8 in the size of the outlier, and in its change."""
    trials = 8 if effort == "quick" else 64
    fits: list[Fit] = []
    cases: list[str] = []
    for name, recursion in (("direct", direct), ("closed loop", closed)):
        sizes = np.stack([lost(recursion, bits, m, 0.0, trials) for m in SIZES])
        changes = np.stack([lost(recursion, bits, SIZES[-1], delta, trials) for delta in CHANGES])
        for what, x, error in (("size", SIZES, sizes), ("change", CHANGES, changes)):
            fits.append(slope(np.log(x), error, level=1 - 0.01 / 4))
            cases.append(f"{name}, {what} of the outlier")
    gone = {b: float(np.sqrt(np.mean(lost(direct, b, SIZES[-1], 0.0, trials) ** 2))) for b in (4, 8)}
    shown = "; ".join(f"{case}: p = {fit.slope:.3f}" for case, fit in zip(cases, fits, strict=True))
    return Evidence(
        claimed=[1, 0, 0, 1],
        measured=[f.slope for f in fits],
        low=[f.low for f in fits],
        high=[f.high for f in fits],
        cases=cases,
        seed=91,
        # the closed loop's error is the same for all sizes but for rounding, m·eps per call against its step, which is
        # at least ρ/2^bits; direct's step is (m ± δ/2)/qmax, which makes its mean square larger by the part (δ/2m)²
        atol=[0, STEPS * EPS * SIZES[-1] * 2**bits / RHO, (CHANGES[-1] / SIZES[-1] / 2) ** 2, 0],
        params={"bits": bits, "others": OTHERS, "rho": RHO, "calls": STEPS, "trials": trials},
        note=f"{shown}; direct with m = {SIZES[-1]:.0f} loses {gone[8]:.0%} of the others at 8 bits and {gone[4]:.0%} "
        "at 4, where nearly all of them are rounded to zero",
    )


CONTROLS = [
    ({"closed": "direct"}, Verdict.VIOLATED),
    ({"direct": "closed_loop"}, Verdict.VIOLATED),
    ({"closed": Dropped()}, Verdict.VIOLATED),
    ({"bits": 4}, Verdict.VIOLATED),  # direct's step passes the size of the others, and no more can be lost
]
