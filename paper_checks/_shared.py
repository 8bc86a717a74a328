"""What the theory claims share: the worst-case quantizer, families of differences, errors of a run, sup error/bound.

Differences are in sampling order: row 0 is the first difference d_{T-1}, and the last row is the newest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from modiff_sim import Identity, Laws, Quantizer
from modiff_sim import recursion as rec

EPS = float(np.finfo(np.float64).eps)
#: a case counts for error/bound only if rounding is below this part of the bound, so tolerances do not exceed it
CLEAR = 1e-6
Recursion = str | rec.Recursion
Bound = Callable[..., np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Shrink(Identity):
    """Q(x) = (1-q)x with q = sqrt(c): (29) is an equality for every x, and the error is q·||x|| in every norm.

    This is not a grid, but the worst case that the assumption of Theorem 4.4 allows. It decides which bounds are tight.
    """

    laws = Laws(error=None, c="tight", kappa="tight", sign_equivariant=True)
    contraction: float

    def dequantize(self, codes: Any, qparams: Any) -> Any:
        """Return (1-q) times the codes."""
        return (1 - math.sqrt(self.contraction)) * codes

    def c(self, d: int) -> float:
        """The contraction in the squared 2-norm."""
        return self.contraction

    def kappa(self, d: int) -> float:
        """The contraction in the max norm."""
        return math.sqrt(self.contraction)


def label(Q: Quantizer) -> str:
    """Return a short name for cases, such as AbsMax(3) or Shrink(c=0.25)."""
    return f"Shrink(c={Q.contraction:g})" if isinstance(Q, Shrink) else f"{type(Q).__name__}({Q.bits})"


# -- differences ------------------------------------------------------------------------------------------------------


def families(n: int, d: int, rng: np.random.Generator) -> np.ndarray:
    """Return differences of every kind, shape (n, trials, d).

    They are stationary, heavy-tailed, shrinking, growing, constant, alternating in sign, and one impulse at every
    place. Stationary ones alone would hide errors in the exponents: printed (31) fails on the last impulse, for which
    only the newest difference is not zero.
    """
    k = np.arange(n)[:, None, None]
    direction = rng.standard_normal((1, 1, d))
    normal = rng.standard_normal((n, 8, d))
    impulses = np.eye(n)[:, :, None] * rng.standard_normal((1, n, d))
    kinds = [
        normal,
        rng.standard_t(2, (n, 8, d)),
        0.5**k * normal[:, :4],
        2.0**k * normal[:, :4],
        np.repeat(direction, n, axis=0),
        (-1.0) ** k * direction,
        0.5**k * direction,
        2.0**k * direction,
        impulses,
    ]
    return np.concatenate(kinds, axis=1)


def collinear(norms: Sequence[float] | np.ndarray) -> np.ndarray:
    """Return differences of these norms in one dimension and one direction, shape (n, 1, 1)."""
    return np.asarray(norms, np.float64).reshape(-1, 1, 1)


# -- running ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Errors:
    """Errors after each difference, norms of the differences and rounding slack, each of shape (n, trials)."""

    error: np.ndarray
    d: np.ndarray
    slack: np.ndarray
    residuals: list[np.ndarray]


def run(recursion: Recursion, differences: np.ndarray, Q: Quantizer, **options: Any) -> Errors:
    """Run the recursion from an exact start at a_T = 0 through differences of shape (n, trials, d)."""
    inputs = np.concatenate([np.zeros_like(differences[:1]), np.cumsum(differences, axis=0)])
    return run_inputs(recursion, inputs, Q, **options)


def run_inputs(
    recursion: Recursion,
    inputs: np.ndarray,
    Q: Quantizer,
    *,
    order: float = 2,
    operator: np.ndarray | None = None,
    seed: int = 0,
) -> Errors:
    """Run the recursion on inputs (n+1, trials, d), the first of which is a_T.

    The slack is 8·eps·max|a| per call and coordinate, times sqrt(d) in the 2-norm: a call rounds the residual, â (or
    the sum ô) and two products, each by at most eps times a number of at most 2·max|a|, and the open loop adds up the
    calls.
    """
    rng = np.random.default_rng(seed)
    bits = (lambda call: rng.random(inputs.shape[1:])) if Q.laws.randomised else None
    A = np.eye(inputs.shape[-1]) if operator is None else operator
    apply = (lambda a: a) if operator is None else (lambda a: a @ A.T)
    infos = [info for _, info in rec.run(recursion, inputs, Q, apply, random=bits)][1:]
    error = np.stack(
        [np.linalg.norm(apply(a) - s.output, ord=order, axis=-1) for a, s in zip(inputs[1:], infos, strict=True)]
    )
    calls = np.arange(1, len(inputs))[:, None]
    size = np.maximum.accumulate(np.abs(inputs).max(axis=-1))[1:]
    width = math.sqrt(inputs.shape[-1]) if order == 2 else 1.0
    slack = 8 * EPS * calls * width * size * max(1.0, float(np.abs(A).sum(axis=1).max()))
    d = np.linalg.norm(np.diff(inputs, axis=0), ord=order, axis=-1)
    return Errors(error, d, slack, [s.residual for s in infos if s.quantized])


@dataclass
class Worst:
    """The largest error/bound at every length 1..n over the cases so far, its rounding slack, and its case."""

    ratio: np.ndarray
    atol: np.ndarray
    case: list[str]

    @classmethod
    def none(cls, n: int) -> Worst:
        """Return the worst of no cases, for lengths up to n."""
        return cls(np.full(n, -np.inf), np.zeros(n), [""] * n)

    def add(self, done: Errors, bound: np.ndarray, case: str) -> None:
        """Take a run into account.

        Where the bound is lost in rounding (after an old impulse), or is 0, the ratio would be noise. There it counts
        as 0 if the error is at most bound + slack, and as infinite otherwise.
        """
        clear = done.slack < CLEAR * bound
        sunk = np.where(done.error <= bound + done.slack, 0.0, np.inf)
        ratio = np.divide(done.error, bound, out=sunk, where=clear)
        slack = np.divide(done.slack, bound, out=np.zeros_like(bound), where=clear)
        best = np.argmax(ratio, axis=1)
        for j, i in enumerate(best):
            if ratio[j, i] > self.ratio[j]:
                self.ratio[j], self.atol[j], self.case[j] = ratio[j, i], slack[j, i], case

    def but(self, others: Worst) -> Worst:
        """Return these, replaced by ``others`` only where they exceed the bound, which they need not attain."""
        over = others.ratio - others.atol > 1
        name = [b if o else a for o, a, b in zip(over, self.case, others.case, strict=True)]
        return Worst(np.where(over, others.ratio, self.ratio), np.where(over, others.atol, self.atol), name)


def worst_of(
    recursion: Recursion,
    bound: Bound,
    cases: Iterable[tuple[str, Quantizer, np.ndarray]],
    n: int,
    *,
    order: float = 2,
) -> Worst:
    """Return sup error/bound over cases (remark, quantizer, differences), where d > 1 also behind a random linear A."""
    worst = Worst.none(n)
    norm = "c" if order == 2 else "kappa"
    for i, (remark, Q, differences) in enumerate(cases):
        dim = differences.shape[-1]
        name = f"{label(Q)}, d = {dim}" + (f", {remark}" if remark else "")
        plain = run(recursion, differences, Q, order=order, seed=i)
        worst.add(plain, bound(plain.d, getattr(Q, norm)(dim)), name)
        if dim > 1:
            A = np.random.default_rng(i).standard_normal((3, dim))
            through = run(recursion, differences, Q, order=order, operator=A, seed=i)
            gain = float(np.linalg.norm(A, order))
            worst.add(through, bound(through.d, getattr(Q, norm)(dim), gain=gain), f"{name}, behind a random A")
    return worst
