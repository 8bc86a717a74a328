"""Where the loops beat direct quantization on random inputs."""

from collections.abc import Sequence

import numpy as np

from modiff_sim import AbsMax, Claim, Evidence, Floor, Quantizer, Stochastic, Verdict, processes, regimes, simulate

from .. import _shared

ORDER = 3
CLAIM = Claim(
    id="regimes_typical_boundaries",
    statement="On stationary normal inputs the RMS error of the closed loop is to that of direct quantization as ρ to "
    "√((1-c)/(1-c^n)), that of the open loop as ρ to 1/√n: at these ρ they cross (ratio at half of them and "
    "at them; c measured on normal data, b ≥ 3).",
    source="this project",
    relation="equal",
)
D = 64
#: 99.9 % of a normal distribution, because some twenty intervals must all cover what is claimed
SIGMAS = 3.3


def normal_c(Q: Quantizer) -> float:
    """Return E||x-Q(x)||²/E||x||² for normal x."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal((4096, D))
    lost = x - Q(x, random=rng.random(x.shape) if Q.laws.randomised else None)
    return float(np.sum(lost**2) / np.sum(x**2))


def ratio(Q: Quantizer, recursion: str, rho: float, n: int, trials: int, seed: int) -> tuple[float, float]:
    """Return the RMS error of a recursion over that of direct after n differences, and the deviation of its log."""
    process = processes.ar1(D, phi=1 - rho**2 / 2)  # stationary, with ||d||² = ρ²||a||² in the mean
    runs = (simulate(process, Q, r, steps=n + 1, trials=trials, seed=seed, workers=1) for r in (recursion, "direct"))
    loop, direct = (r.error[-1] ** 2 for r in runs)
    picks = np.random.default_rng(seed).integers(0, trials, (200, trials))
    logs = 0.5 * np.log(loop[picks].mean(axis=1) / direct[picks].mean(axis=1))
    return float(np.sqrt(loop.mean() / direct.mean())), float(logs.std())


def check(
    effort: str = "quick",
    *,
    reading: str = "typical",
    contraction=normal_c,
    loops: Sequence[str] = ("closed_loop", "open_loop"),
    quantizers: Sequence[Quantizer] = (AbsMax(3), AbsMax(4), Stochastic(3)),
) -> Evidence:
    """Measure the ratio at several factors times the boundary, where it should be the factor.

    ``loops`` are the recursions that are run as closed and open loop.
    """
    trials, lengths = (192, (2, 12)) if effort == "quick" else (512, (2, 5, 30))
    claimed, measured, spread, cases = [], [], [], []
    for i, Q in enumerate(quantizers):
        c = contraction(Q)
        for scheme, recursion in zip(("closed_loop", "open_loop"), loops, strict=True):
            for n in lengths:
                at = float(regimes.boundary(scheme, "direct", n, c, reading=reading))
                for factor in (0.5, 1.0):
                    found, deviation = ratio(Q, recursion, factor * at, n, trials, seed=710 + i)
                    claimed.append(factor)
                    measured.append(found)
                    spread.append(np.exp(SIGMAS * deviation))
                    cases.append(f"{_shared.label(Q)}, {scheme.replace('_', ' ')}, n = {n}, {factor:g} × ρ = {at:.3f}")
    measured_, spread_ = np.array(measured), np.array(spread)
    off = np.max(np.abs(measured_ / claimed - 1))
    return Evidence(
        claimed,
        measured_,
        low=measured_ / spread_,
        high=measured_ * spread_,
        cases=cases,
        seed=710,
        params={"d": D, "trials": trials, "n": list(lengths)},
        note=f"{len(cases)} ratios, none off by more than {off:.1%} (intervals ±{np.max(spread_) - 1:.1%} at most)",
    )


CONTROLS = [
    ({"reading": "worst"}, Verdict.VIOLATED),
    ({"contraction": lambda Q: 3 * normal_c(Q)}, Verdict.VIOLATED),
    ({"loops": ("open_loop", "closed_loop")}, Verdict.VIOLATED),
    ({"quantizers": (Floor(3),)}, Verdict.VIOLATED),  # biased: its errors do not average out
]
