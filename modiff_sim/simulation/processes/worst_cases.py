"""Processes that look for the largest error of a closed loop: one that attains the bound, and a greedy search."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ... import recursion as _recursion
from ...arguments import affordable, count
from ...quantizers import AbsMax, get
from ...quantizers.base import Quantizer
from .base import Array, Process, checked, process


def alternating(d: int = 2, *, bits: int = 4, size: float = 1.0) -> Process:
    """A sequence that attains the max-norm bound of the AbsMax closed loop at every step; two coordinates take turns.

    The coordinate that carries the error E moves on by ``size``. It becomes the residual's maximum M = size + E,
    which is exact on the grid. The other one is set half a step s/2 = M/(2·qmax) = kappa·M from its reconstruction,
    a tie. So E ← kappa(size + E), which is the bound. The sequence is deterministic and equal for all trials. It
    attains the bound in float64 only: a cast to float32 moves the ties, and the sequence then stays below the
    bound.

    Parameters
    ----------
    d, bits, size
        Entries of an input, at least 2 (ValueError), as AbsMax is exact with one; bits of AbsMax; max norm of
        differences.

    Examples
    --------
    >>> import modiff_sim as ms
    >>> r = ms.simulate(ms.processes.alternating(bits=4), ms.AbsMax(4), steps=3, trials=1)
    >>> (r.error_inf[:, 0] * 196).round(9).tolist()  # kappa = 1/14: 0, kappa, kappa + kappa²
    [0.0, 14.0, 15.0]
    """
    Q, params = AbsMax(bits), checked("alternating", d, size=size)
    if d < 2:
        raise ValueError(f"alternating needs d >= 2 (with d=1 AbsMax is exact), got {d}")

    def draw(rng: np.random.Generator, trials: int, steps: int) -> Iterator[Array]:
        a = np.zeros((1, d))
        state = None
        for k in range(steps):
            if state is not None:
                error = a - state.ref
                big, small = (0, 1) if k % 2 else (1, 0)
                residual = np.zeros((1, d))
                residual[0, big] = np.copysign(size + abs(error[0, big]), error[0, big])
                residual[0, small] = Q.choose_qparams(residual).scale[0, 0] / 2
                a = state.ref + residual
            state, _ = _recursion.Scheme("closed_loop").advance(state, a, Q)
            yield np.repeat(a, trials, axis=0)

    return process("alternating", d, draw, bits=Q.bits, **params)


def adversarial(quantizer: Quantizer | str, d: int = 16, *, size: float = 1.0, candidates: int = 32) -> Process:
    """A greedy worst case for a closed loop: at every call the candidate difference with the largest new error.

    Candidates have the 2-norm ``size``. They are random directions, the current error's direction, and the AbsMax
    worst case (one coordinate far out, the others half a step off their level). As a search, it gives a lower bound
    of the worst case.

    Parameters
    ----------
    quantizer : Quantizer or str
        A deterministic quantizer (TypeError or ValueError for others), or text such as "absmax:3".
    d, size, candidates
        Entries of an input, 2-norm of the differences, and how many differences are tried at every call.

    Examples
    --------
    >>> import modiff_sim as ms
    >>> Q = ms.AbsMax(2)
    >>> worst, usual = (ms.simulate(p, Q, steps=20, trials=8).error.max() for p in (
    ...     ms.processes.adversarial(Q, d=4), ms.processes.random_walk(d=4, sigma=0.5)))
    >>> bool(worst > usual)
    True
    """
    quantizer = get(quantizer, "the quantizer of adversarial")
    if quantizer.laws.randomised:
        raise ValueError(f"adversarial needs a deterministic quantizer, got {quantizer}")
    params = checked("adversarial", d, size=size)
    count("adversarial needs at least one candidate: candidates", candidates)
    affordable(f"{candidates:,} candidates of {d:,} entries", 24 * candidates * d)
    closed = _recursion.Scheme("closed_loop")

    def propose(rng: np.random.Generator, error: Array) -> Array:
        n = len(error)
        tries = rng.standard_normal((candidates, n, d))
        tries[0] = np.where(np.linalg.norm(error, axis=1, keepdims=True) > 0, error, tries[0])
        if candidates > 1 and d > 1:
            steps = max(2 ** (quantizer.bits - 1) - 1, 1)
            tries[1] = 0.5 - 1e-9
            tries[1, np.arange(n), np.argmax(np.abs(error), axis=1)] = steps
            tries[1] = tries[1] * np.where(error < 0, -1.0, 1.0)
        return size * tries / np.linalg.norm(tries, axis=-1, keepdims=True)

    def draw(rng: np.random.Generator, trials: int, steps: int) -> Iterator[Array]:
        a = rng.standard_normal((trials, d))
        state = None
        for _k in range(steps):
            if state is not None:
                error = a - state.ref
                tries = propose(rng, error)
                after = [np.linalg.norm(error + t - quantizer(error + t), axis=1) for t in tries]
                a = a + tries[np.argmax(after, axis=0), np.arange(trials)]
            state, _ = closed.advance(state, a, quantizer)
            yield a

    return process("adversarial", d, draw, quantizer=str(quantizer), candidates=int(candidates), **params)


PROCESSES = {"alternating": alternating, "adversarial": adversarial}
