"""Exogenous input sequences a_0, a_1, ... in sampling order: what a layer is fed, independent of its quantization.

Each function returns a ``Process``. ``process.stream(rng, trials, steps)`` yields ``steps`` float64 arrays of shape
(trials, d), one per model call, so that only recorded sequences are held in memory. d_k = a_k - a_{k-1} is the
difference of call k.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np

from .. import recursion as _recursion
from ..arguments import affordable, count, number, reals
from ..quantizers import AbsMax
from ..quantizers.base import Quantizer
from .recordings import read_recording

Array = np.ndarray
#: (generator, trials, steps) -> the inputs of every step, float64 (trials, d)
Draw = Callable[[np.random.Generator, int, int], Iterator[Array]]


@dataclass(frozen=True)
class Process:
    """A named sequence of inputs of dimension d. The functions of this module make one.

    Parameters
    ----------
    name, d, params
        The name, the entries of an input, and the parameters, which decide the sequence together with the
        generator's seed.
    draw : callable, optional
        ``draw(rng, trials, steps)`` yields the inputs.
    values : array_like of float64, shape (steps, trials, d), optional
        A recorded process has these instead of ``draw``: contiguous, finite and read-only. Other values raise
        ValueError, and so do both or neither of the two.

    Examples
    --------
    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> ones = ms.processes.Process("ones", 3, {}, lambda rng, trials, steps: [np.ones((trials, 3))] * steps)
    >>> ms.simulate(ones, ms.AbsMax(8), steps=5, trials=1).a_inf[:, 0].tolist()
    [1.0, 1.0, 1.0, 1.0, 1.0]
    """

    name: str
    d: int
    params: Mapping[str, Any]
    draw: Draw | None = field(default=None, repr=False, compare=False)
    values: Array | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        count(f"process {self.name}: the dimension d", self.d)
        if (self.draw is None) == (self.values is None):
            raise ValueError(f"process {self.name}: give draw, a function, or values, an array; one of the two")
        if self.values is None:
            return
        who, values = self.params.get("source", self.name), reals(f"process {self.name}: values", self.values)
        if values.ndim != 3 or values.size == 0 or values.shape[2] != self.d:
            raise ValueError(f"process {self.name}: values have shape (steps, trials, {self.d}), got {values.shape}")
        if not np.isfinite(values).all():
            step = int(np.argmax(~np.isfinite(values).all(axis=(1, 2))))
            raise ValueError(f"recorded inputs of {who} hold NaN or Inf, first at step {step}")
        values = np.ascontiguousarray(values).view(np.ndarray)
        values.flags.writeable = False  # they are handed out as they are
        object.__setattr__(self, "values", values)

    def stream(self, rng: np.random.Generator, trials: int, steps: int, *, first: int = 0) -> Iterator[Array]:
        """Yield ``steps`` arrays of shape (trials, d), float64.

        ``first`` is the index of the first of these trials. Drawn trials do not depend on it, recorded ones do.
        """
        if self.draw is not None:
            return self.draw(rng, trials, steps)
        self.require(first + trials, steps)
        assert self.values is not None, "a process has draw or values"
        return iter(self.values[:steps, first : first + trials])

    def require(self, trials: int, steps: int) -> None:
        """Raise ValueError if fewer trials or steps were recorded: recorded inputs are never repeated."""
        if self.values is None:
            return
        have = self.values.shape
        if steps > have[0] or trials > have[1]:
            source = self.params.get("source", self.name)
            raise ValueError(
                f"{source} was recorded with {have[0]} steps × {have[1]} trials; asked for {steps} × {trials}"
            )


def _process(name: str, d: int, draw: Draw, **params: Any) -> Process:
    return Process(name, int(d), {"d": int(d), **params}, draw)


def _checked(name: str, d: int, least: int = 1, **numbers: float) -> dict[str, float]:
    """Check a process's dimension and numbers; returns the numbers as floats."""
    count(f"{name}: the dimension d", d, least)
    return {key: float(number(f"{name}: {key}", value, least=-math.inf)) for key, value in numbers.items()}


def _summed(start: Callable[[np.random.Generator, int], Array], difference: Callable[..., Array]) -> Draw:
    """The process a_0 = start(rng, trials), a_k = a_{k-1} + difference(rng, trials, k)."""

    def draw(rng: np.random.Generator, trials: int, steps: int) -> Iterator[Array]:
        a = start(rng, trials)
        yield a
        for k in range(1, steps):
            moved = difference(rng, trials, k)
            moved += a
            a = moved
            yield a

    return draw


def _normal(rng: np.random.Generator, trials: int, d: int, sigma: float) -> Array:
    """Independent values N(0, sigma²), (trials, d)."""
    drawn = rng.standard_normal((trials, d))
    if sigma != 1:
        drawn *= sigma
    return drawn


def random_walk(d: int = 64, *, sigma: float = 1.0, start: float = 10.0) -> Process:
    """A random walk: a_0 ~ N(0, start²) and independent differences N(0, sigma²), which are stationary.

    Parameters
    ----------
    d, sigma, start
        Entries of an input, and the standard deviations of the differences and of the first input.
    """
    params = _checked("random_walk", d, sigma=sigma, start=start)
    draw = _summed(lambda rng, n: _normal(rng, n, d, start), lambda rng, n, k: _normal(rng, n, d, sigma))
    return _process("random_walk", d, draw, **params)


def ar1(d: int = 64, *, phi: float = 0.9, sigma: float = 1.0) -> Process:
    """An autoregressive process: a_k = phi·a_{k-1} + sqrt(1-phi²)·sigma·noise, stationary.

    Parameters
    ----------
    d, phi, sigma
        Entries of an input; correlation of consecutive inputs, |phi| <= 1 (ValueError); standard deviation of the
        inputs.
    """
    params = _checked("ar1", d, phi=phi, sigma=sigma)
    if not -1 <= phi <= 1:
        raise ValueError(f"ar1 needs -1 <= phi <= 1 to be stationary, got {phi}")

    def draw(rng: np.random.Generator, trials: int, steps: int) -> Iterator[Array]:
        a = _normal(rng, trials, d, sigma)
        yield a
        for _ in range(1, steps):
            moved = _normal(rng, trials, d, np.sqrt(1 - phi * phi) * sigma)
            moved += phi * a
            a = moved
            yield a

    return _process("ar1", d, draw, **params)


def geometric(d: int = 64, *, ratio: float = 0.9, sigma: float = 1.0, start: float = 10.0) -> Process:
    """Shrinking (ratio < 1) or growing (ratio > 1) differences N(0, (sigma·ratio^k)²).

    Parameters
    ----------
    d, ratio, sigma, start
        Entries of an input; ratio > 0 (ValueError); standard deviations of the differences at k = 0 and of the
        first input.
    """
    params = _checked("geometric", d, ratio=ratio, sigma=sigma, start=start)
    if not ratio > 0:
        raise ValueError(f"geometric needs ratio > 0, got {ratio}")
    draw = _summed(
        lambda rng, n: _normal(rng, n, d, start),
        lambda rng, n, k: _normal(rng, n, d, sigma * ratio**k),
    )
    return _process("geometric", d, draw, **params)


def burst(d: int = 64, *, at: Sequence[int] = (1,), sigma: float = 1.0, start: float = 10.0) -> Process:
    """Constant inputs except at some calls, where the difference is N(0, sigma²). A single call is an impulse.

    Parameters
    ----------
    at : sequence of int
        The calls of the differences, each at least 1 (ValueError).
    d, sigma, start
        Entries of an input, and the standard deviations of the differences and of the constant.

    Examples
    --------
    >>> import modiff_sim as ms
    >>> r = ms.simulate(ms.processes.burst(at=[2]), ms.AbsMax(4), steps=4, trials=1)
    >>> (r.d[:, 0] > 0).tolist()
    [False, False, True, False]
    """
    params = _checked("burst", d, sigma=sigma, start=start)
    whole = (
        [k for k in at if isinstance(k, Integral) and not isinstance(k, bool) and k >= 1]
        if isinstance(at, Iterable)
        else []
    )
    if not whole or len(whole) < len(at):
        raise ValueError(f"burst: calls of a difference are >= 1 (call 0 is the start), got {at!r}")
    calls = tuple(map(int, whole))
    draw = _summed(
        lambda rng, n: _normal(rng, n, d, start),
        lambda rng, n, k: _normal(rng, n, d, sigma) if k in calls else np.zeros((n, d)),
    )
    return _process("burst", d, draw, at=list(calls), **params)


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
    Q, params = AbsMax(bits), _checked("alternating", d, size=size)
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

    return _process("alternating", d, draw, bits=Q.bits, **params)


def adversarial(quantizer: Quantizer, d: int = 16, *, size: float = 1.0, candidates: int = 32) -> Process:
    """A greedy worst case for a closed loop: at every call the candidate difference with the largest new error.

    Candidates have the 2-norm ``size``. They are random directions, the current error's direction, and the AbsMax
    worst case (one coordinate far out, the others half a step off their level). As a search, it gives a lower bound
    of the worst case.

    Parameters
    ----------
    quantizer : Quantizer
        A deterministic quantizer (TypeError or ValueError for others).
    d, size, candidates
        Entries of an input, 2-norm of the differences, and how many differences are tried at every call.
    """
    if not isinstance(quantizer, Quantizer):
        raise TypeError(f"adversarial takes a quantizer, got {quantizer!r}")
    if quantizer.laws.randomised:
        raise ValueError(f"adversarial needs a deterministic quantizer, got {quantizer}")
    params = _checked("adversarial", d, size=size)
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

    return _process("adversarial", d, draw, quantizer=str(quantizer), candidates=int(candidates), **params)


def recorded(source: str | Path | Array) -> Process:
    """A recorded sequence, with as many steps and trials as were recorded; asking for more is an error.

    Parameters
    ----------
    source : array_like, str or Path
        An array (steps, trials, d), or a .npy or .npz file with one (key "inputs" in an .npz). Other shapes, NaN
        and Inf raise ValueError.

    Examples
    --------
    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> process = ms.processes.recorded(np.arange(12.0).reshape(3, 2, 2))
    >>> ms.simulate(process, ms.AbsMax(8), steps=3, trials=2).d_inf[:, 0].tolist()
    [0.0, 4.0, 4.0]
    """
    if isinstance(source, (str, Path)):
        (loaded,), name = read_recording(source, only="inputs").values(), str(source)
    else:
        loaded, name = reals("recorded inputs", source, dtype=None), "array"
    if loaded.ndim != 3 or loaded.size == 0:
        raise ValueError(f"recorded inputs have shape (steps, trials, d), none of them 0; {name} has {loaded.shape}")
    params = {"d": loaded.shape[2], "source": name, "shape": list(loaded.shape)}
    return Process("recorded", loaded.shape[2], params, values=loaded)


#: name -> constructor; the choices of the command line and the tests iterate over it
PROCESSES: dict[str, Callable[..., Process]] = {
    "random_walk": random_walk,
    "ar1": ar1,
    "geometric": geometric,
    "burst": burst,
    "alternating": alternating,
    "adversarial": adversarial,
    "recorded": recorded,
}
