"""The search for a sequence of differences whose true error exceeds a printed bound, in a readable form.

The answer is not typed in: the starts are random numbers within the premise of (29), 0 < c < 1/2, every candidate is
run through the recursion, and a hill climb over magnitudes, signs, zeros and c increases true/printed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from modiff_sim import Evidence
from modiff_sim.evidence import Premise

from .. import _shared
from .._shared import Bound, Recursion, Shrink

C_RANGE = (0.05, 0.49)  # inside the appendix's 0 < c < 1/2


@dataclass(frozen=True)
class Found:
    """Differences in sampling order and c, with the squares of the true error and of the printed bound at the end."""

    d: np.ndarray
    c: float
    true: float
    printed: float
    slack: float

    @property
    def ratio(self) -> float:
        """The true squared error over the printed bound."""
        return self.true / self.printed if self.printed > 0 else float(np.inf if self.true > self.slack else 0.0)

    def __str__(self) -> str:
        row = ", ".join(f"{v:.4g}" for v in self.d)
        squares = f"true {self.true:.3g}, printed {self.printed:.3g}"
        return f"A = 1, d = ({row}) in sampling order, c = {self.c:.3g}: {squares}"


def evaluate(recursion: Recursion, bound: Bound, d: np.ndarray, c: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (true², printed², slack of true²) after the last difference, for every column of d, shape (n, trials)."""
    done = _shared.run(recursion, d[:, :, None], Shrink(contraction=c))
    error, slack = done.error[-1], done.slack[-1]
    return error**2, bound(done.d, c)[-1] ** 2, 2 * error * slack + slack**2


def _one(recursion: Recursion, bound: Bound, d: np.ndarray, c: float) -> Found:
    true, printed, slack = evaluate(recursion, bound, d[:, None], c)
    return Found(d, c, float(true[0]), float(printed[0]), float(slack[0]))


def _ratio(recursion: Recursion, bound: Bound, d: np.ndarray, c: float) -> np.ndarray:
    true, printed, _ = evaluate(recursion, bound, d, c)
    return np.divide(true, printed, out=np.zeros_like(true), where=printed > 0)


def climb(
    recursion: Recursion, bound: Bound, n: int, rng: np.random.Generator, *, starts: int = 24, rounds: int = 60
) -> Found:
    """Climb from random differences of length n and a random c."""
    c = float(rng.uniform(*C_RANGE))
    d = rng.lognormal(size=(n, starts)) * rng.choice([-1.0, 1.0], (n, starts))
    best = _ratio(recursion, bound, d, c)
    for i in range(rounds):
        moved = d * np.exp(rng.normal(scale=0.5, size=d.shape) * rng.integers(0, 2, d.shape))
        moved *= np.where(rng.random(d.shape) < 0.1, -1.0, 1.0) * np.where(rng.random(d.shape) < 0.05, 0.0, 1.0)
        moved[:, ~moved.any(axis=0)] = 1.0
        after = _ratio(recursion, bound, moved, c)
        d, best = np.where(after > best, moved, d), np.maximum(after, best)
        if i % 4 == 0:
            tried = float(np.clip(c * np.exp(rng.normal(scale=0.5)), *C_RANGE))
            after = _ratio(recursion, bound, d, tried)
            if after.max() > best.max():
                c, best = tried, after
    top = d[:, int(np.argmax(best))]
    return _one(recursion, bound, top / np.abs(top).max() * np.sign(top[np.argmax(np.abs(top))]), c)


def simplify(recursion: Recursion, bound: Bound, found: Found) -> Found:
    """Return the same with fewer differences and digits, while at least the square root of the ratio remains."""
    least = max(np.sqrt(found.ratio), 1.05)

    def kept(d: np.ndarray, c: float) -> Found | None:
        tried = _one(recursion, bound, d, c)
        return tried if d.any() and tried.ratio >= least else None

    for i in reversed(range(len(found.d))):
        if len(found.d) > 2 and (simpler := kept(np.delete(found.d, i), found.c)):
            found = simpler
    found = _one(recursion, bound, found.d / np.abs(found.d).max(), found.c)
    for i in range(len(found.d)):
        for value in (0.0, 1.0, round(found.d[i], 1), round(found.d[i], 2)):
            d = found.d.copy()
            d[i] = value
            if simpler := kept(d, found.c):
                found = simpler
                break
    for digits in (1, 2):
        if simpler := kept(found.d, round(found.c, digits)):
            return simpler
    return found


def search(
    recursion: Recursion, bound: Bound, *, lengths: Sequence[int] = (2, 3, 4, 5), restarts: int = 2, seed: int = 0
) -> Found:
    """Return the sequence with the largest true/printed that was found, simplified if it is a counter-example."""
    rng = np.random.default_rng(seed)
    found = max((climb(recursion, bound, n, rng) for n in lengths for _ in range(restarts)), key=lambda f: f.ratio)
    return simplify(recursion, bound, found) if found.ratio > 1.1 else found


def printed(recursion: Recursion, bound: Bound, effort: str, *, seed: int = 0) -> Evidence:
    """Return evidence on a printed bound: the worst case that was found, with the premises measured on it."""
    found = search(recursion, bound, restarts=1 if effort == "quick" else 8, seed=seed)
    run = _shared.run(recursion, found.d[:, None, None], Shrink(contraction=found.c))
    lost = max(
        (
            float(np.max(np.abs(np.sum((x - Shrink(contraction=found.c)(x)) ** 2) - found.c * np.sum(x**2))))
            for x in run.residuals
        ),
        default=0.0,
    )
    size = max((float(np.sum(x**2)) for x in run.residuals), default=0.0)
    premises = (
        # two products and a difference per entry, squared: 8 roundings of numbers of at most the residual
        Premise("(29) ||x - Q(x)||² ≤ c||x||²", lost <= 8 * _shared.EPS * size, f"off by {lost:.2g}"),
        Premise("0 < c < 1/2", 0 < found.c < 0.5, f"c = {found.c:.3g}"),
    )
    return Evidence(
        claimed=found.printed,
        measured=found.true,
        atol=found.slack,
        cases=str(found),
        premises=premises,
        seed=seed,
        params={"d": found.d.tolist(), "c": found.c, "ratio": found.ratio},
    )
