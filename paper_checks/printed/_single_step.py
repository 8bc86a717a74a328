"""One application of a quantizer: inputs that are hard for it, and its squared error against Theorem 4.3."""

from collections.abc import Callable, Iterator

import numpy as np

from modiff_sim import Evidence, Quantizer
from modiff_sim.evidence import Premise
from modiff_sim.quantizers.laws import SLACK

from .._shared import EPS


def inputs(bits: int, d: int, rng: np.random.Generator, trials: int) -> Iterator[tuple[str, np.ndarray]]:
    """Yield named rows (trials, d), d >= 2: distributions, ranges away from zero, ties, and entries beside levels."""
    N = 2**bits - 1
    yield "normal", rng.standard_normal((trials, d))
    yield "Laplace", rng.laplace(size=(trials, d))
    yield "Student-t3", rng.standard_t(3, (trials, d))
    yield "range away from 0", rng.random((trials, d)) + rng.choice([-100.0, 3.0, 50.0], (trials, 1))
    steps = rng.integers(0, N, (trials, d)) + 0.0
    steps[:, 0], steps[:, -1] = 0, N  # both extremes: s = 1 exactly
    shift = rng.integers(-2 * N, N, (trials, 1))
    yield "all on ties, range clipped by the zero point", steps - 0.5 + shift
    inside = steps + 0.5
    inside[:, 0], inside[:, -1] = 0, N
    yield "all but the extremes on ties", inside + shift
    below = steps + 1 - 1e-9
    below[:, 0], below[:, -1] = 0, N
    yield "all but the extremes just below a level", below + shift


def grid_error(
    quantizer: Callable[[int], Quantizer], bound: Callable[[np.ndarray, int], np.ndarray], effort: str, *, seed: int
) -> Evidence:
    """Measure the largest ||x - Q(x)||² over the bound, for each number of bits and kind of input.

    For the slack, the error e of each entry is off by at most δ = SLACK·eps·max|x| (see ``laws``), which gives
    Σ 2eδ + δ² for the sum of squares.
    """
    rng = np.random.default_rng(seed)
    measured, atol, cases, wrong = [], [], [], 0.0
    for bits in range(1, 9):
        Q = quantizer(bits)
        for d in (2, 16, 257) if effort == "quick" else (2, 3, 16, 257, 1025):
            for name, x in inputs(bits, d, rng, 32 if effort == "quick" else 256):
                x = x[np.ptp(x, axis=1) > 0]
                if not len(x):
                    continue
                s = np.ptp(x, axis=1) / (2**bits - 1)
                used = np.broadcast_to(Q.choose_qparams(x).scale[:, 0], s.shape)
                wrong = max(wrong, float(np.max(np.abs(used - s) / s)))
                error = np.abs(x - Q(x))
                delta = SLACK * EPS * np.max(np.abs(x), axis=1, keepdims=True)
                claimed = bound(s, d)
                ratio = np.sum(error**2, axis=1) / claimed
                worst = int(np.argmax(ratio))
                measured.append(ratio[worst])
                atol.append(np.sum(2 * error * delta + delta**2, axis=1)[worst] / claimed[worst])
                row = f", x = {x[worst].round(4).tolist()}" if d == 2 else ""
                cases.append(f"b = {bits}, d = {d}, {name}{row}")
    return Evidence(
        claimed=np.ones(len(cases)),
        measured=measured,
        atol=atol,
        cases=cases,
        seed=seed,
        note=f"largest at {cases[int(np.argmax(measured))]}",
        # range and quotient of the quantizer round once each, as those here do
        premises=(Premise("Q takes s = (max-min)/(2^b-1)", wrong <= 4 * EPS, f"relative difference {wrong:.2g}"),),
    )
