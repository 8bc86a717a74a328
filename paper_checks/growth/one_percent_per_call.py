"""One per cent of error per call, over 100 calls: does it add up?"""

from collections.abc import Callable

import numpy as np

from modiff_sim import AbsMax, Claim, Evidence, Verdict

from .. import _shared
from .._broken import Dropped, Echo
from .._shared import EPS, Recursion, Shrink, collinear

CLAIM = Claim(
    id="one_percent_per_call",
    statement="Every call loses e = 1 % of what it quantizes, and 100 differences are of one size ||d||. Direct: 1 % "
    "of the input at every call. Without compensation: 100 · 1 % = one ||d|| if all losses point the same way, √100 · "
    "1 % = 10 % of ||d|| if they are orthogonal, as independent ones are on average. Closed loop: at most e(1-e^n)/(1-"
    "e) of ||d||, 1.01 %. Nothing compounds to 1.01^100 = 2.70 (measured over claimed, at every call).",
    source="the summary's question",
    relation="equal",
)
N, E = 100, 0.01


def adding(n: np.ndarray) -> np.ndarray:
    """Return e·n: losses that point the same way."""
    return E * n


def independent(n: np.ndarray) -> np.ndarray:
    """Return e·√n: losses that are orthogonal to each other."""
    return E * np.sqrt(n)


def settling(n: np.ndarray) -> np.ndarray:
    """Return e + e² + ... + e^n: each call loses 1 % of the newest difference and of what was left before."""
    return E * (1 - E**n) / (1 - E)


def check(
    effort: str = "quick",
    *,
    direct: Recursion = "direct",
    without: Recursion = "open_loop",
    closed: Recursion = "closed_loop",
    worst: Callable[[np.ndarray], np.ndarray] = adding,
    typical: Callable[[np.ndarray], np.ndarray] = independent,
    steady: Callable[[np.ndarray], np.ndarray] = settling,
) -> Evidence:
    """Run Q(x) = 0.99 x through equal differences, in one direction and in orthogonal ones, and 8 bits on a walk."""
    Q, n = Shrink(contraction=E**2), np.arange(1, N + 1)[:, None]
    same, apart = collinear(np.ones(N)), np.eye(N)[:, None, :]
    runs = [
        ("direct, of the input", _shared.run(direct, same, Q), E * n),  # the input is n differences long
        ("without compensation, one direction", _shared.run(without, same, Q), worst(n)),
        ("without compensation, orthogonal", _shared.run(without, apart, Q), typical(n)),
        ("closed loop, one direction", _shared.run(closed, same, Q), steady(n)),
    ]
    found = [done.error / claimed for _, done, claimed in runs]
    slack = [np.max(done.slack / claimed) for _, done, claimed in runs]
    trials = 64 if effort == "quick" else 512
    walk = np.random.default_rng(92).standard_normal((N, trials, 256))
    last = {name: _shared.run(name, walk, AbsMax(8)) for name in ("open_loop", "closed_loop")}
    grid = {name: float(np.sqrt(np.mean(done.error[-1] ** 2) / np.mean(done.d**2))) for name, done in last.items()}
    return Evidence(
        claimed=np.ones(len(runs) * N),
        measured=np.concatenate([ratio[:, 0] for ratio in found]),
        cases=[f"{name}, call {k + 1}" for name, *_ in runs for k in range(N)],
        # besides a run's own rounding: the formulas, a few roundings each
        atol=np.repeat(slack, N) + 8 * EPS,
        seed=92,
        params={"differences": N, "error per call": E},
        note="after 100 differences, in parts of the latest one: "
        + ", ".join(f"{name} {done.error[-1, 0]:.4f}" for name, done, _ in runs[1:])
        + f"; absmax at 8 bits on a random walk: without compensation {grid['open_loop']:.3f}, closed loop "
        f"{grid['closed_loop']:.4f}; 1.01^100 - 1 = {1.01**100 - 1:.2f} is the error of neither",
    )


def compounding(n: np.ndarray) -> np.ndarray:
    """Return 1.01^n - 1, as if every call enlarged the error so far by 1 %."""
    return (1 + E) ** n - 1


CONTROLS = [
    ({"worst": compounding}, Verdict.VIOLATED),
    ({"steady": compounding}, Verdict.VIOLATED),
    ({"typical": adding}, Verdict.VIOLATED),
    ({"without": "closed_loop"}, Verdict.VIOLATED),
    ({"without": Echo()}, Verdict.VIOLATED),
    ({"closed": "open_loop"}, Verdict.VIOLATED),
    ({"closed": Dropped()}, Verdict.VIOLATED),
    ({"direct": "closed_loop"}, Verdict.VIOLATED),
]
