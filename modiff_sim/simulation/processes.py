"""Exogenous input sequences a_0, a_1, ... in sampling order: what a layer is fed, whatever was quantized before.

Each function returns a ``Process``. ``process.stream(rng, trials, steps)`` yields ``steps`` float64 arrays of shape
(trials, d), one per model call, so no sequence is held in memory but a recorded one. d_k = a_k - a_{k-1} is the
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
Draw = Callable[[np.random.Generator, int, int], Iterator[Array]]


@dataclass(frozen=True)
class Process:
    """A named sequence of inputs of dimension d. ``params`` decide it together with the generator's seed.

    ``draw(rng, trials, steps)`` yields the inputs; a recorded process has ``values`` instead, (steps, trials, d),
    float64, contiguous and finite.
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
        """``steps`` arrays of shape (trials, d), float64.

        ``first``: these trials begin at this one. Trials that are drawn do not depend on it, recorded ones do.
        """
        if self.draw is not None:
            return self.draw(rng, trials, steps)
        self.require(first + trials, steps)
        assert self.values is not None, "a process has draw or values"
        return iter(self.values[:steps, first : first + trials])

    def require(self, trials: int, steps: int) -> None:
        """Raise ValueError if there are fewer: recorded inputs are never repeated."""
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
    """The numbers of a process as floats, once they and its dimension are what a process can have."""
    count(f"{name}: the dimension d", d, least)
    return {key: float(number(f"{name}: {key}", value, least=-math.inf)) for key, value in numbers.items()}


def _summed(start: Callable[[np.random.Generator, int], Array], difference: Callable[..., Array]) -> Draw:
    """a_0 = start(rng, trials), a_k = a_{k-1} + difference(rng, trials, k)."""

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
    """Independent N(0, sigma²), (trials, d)."""
    drawn = rng.standard_normal((trials, d))
    if sigma != 1:
        drawn *= sigma
    return drawn


def random_walk(d: int = 64, *, sigma: float = 1.0, start: float = 10.0) -> Process:
    """a_0 ~ N(0, start²), independent differences N(0, sigma²): stationary differences."""
    params = _checked("random_walk", d, sigma=sigma, start=start)
    draw = _summed(lambda rng, n: _normal(rng, n, d, start), lambda rng, n, k: _normal(rng, n, d, sigma))
    return _process("random_walk", d, draw, **params)


def ar1(d: int = 64, *, phi: float = 0.9, sigma: float = 1.0) -> Process:
    """a_k = phi·a_{k-1} + sqrt(1-phi²)·sigma·noise, stationary with standard deviation sigma. |phi| <= 1."""
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
    """Differences N(0, (sigma·ratio^k)²): shrinking (ratio < 1) or growing (ratio > 1). ratio > 0."""
    params = _checked("geometric", d, ratio=ratio, sigma=sigma, start=start)
    if not ratio > 0:
        raise ValueError(f"geometric needs ratio > 0, got {ratio}")
    draw = _summed(
        lambda rng, n: _normal(rng, n, d, start),
        lambda rng, n, k: _normal(rng, n, d, sigma * ratio**k),
    )
    return _process("geometric", d, draw, **params)


def burst(d: int = 64, *, at: Sequence[int] = (1,), sigma: float = 1.0, start: float = 10.0) -> Process:
    """Constant except at the calls ``at`` (>= 1), where the difference is N(0, sigma²). One index is an impulse."""
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
    """Attains the max-norm bound of the AbsMax closed loop at every step; two coordinates take turns.

    The coordinate that carries the error E moves on by ``size``, so it becomes the residual's maximum M = size + E,
    which is exact on the grid; the other one is set half a step s/2 = M/(2·qmax) = kappa·M from its reconstruction,
    a tie. So E ← kappa(size + E), which is the bound. The sequence is deterministic and equal for all trials.
    In float64 only: a cast to float32 moves the ties, and the sequence then stays below the bound.
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
            state = _recursion.advance(_recursion.RECURSIONS["closed_loop"], state, a, Q, lambda x: x)
            yield np.repeat(a, trials, axis=0)

    return _process("alternating", d, draw, bits=Q.bits, **params)


def adversarial(quantizer: Quantizer, d: int = 16, *, size: float = 1.0, candidates: int = 32) -> Process:
    """Greedy worst case for a closed loop: at every call the candidate difference with the largest new error.

    Candidates have 2-norm ``size``: random directions, the current error's direction, and the AbsMax worst case (one
    coordinate far out, the others half a step off their level). A search: it gives a lower bound of the worst case.
    """
    if not isinstance(quantizer, Quantizer):
        raise TypeError(f"adversarial takes a quantizer, got {quantizer!r}")
    if quantizer.laws.randomised:
        raise ValueError(f"adversarial needs a deterministic quantizer, got {quantizer}")
    params = _checked("adversarial", d, size=size)
    count("adversarial needs at least one candidate: candidates", candidates)
    affordable(f"{candidates:,} candidates of {d:,} entries", 24 * candidates * d)
    closed = _recursion.RECURSIONS["closed_loop"]

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
            state = _recursion.advance(closed, state, a, quantizer, lambda x: x)
            yield a

    return _process("adversarial", d, draw, quantizer=str(quantizer), candidates=int(candidates), **params)


def recorded(source: str | Path | Array) -> Process:
    """A recorded sequence: an array (steps, trials, d), or a .npy / .npz file with one (key "inputs" in an .npz).

    It has as many steps and trials as were recorded; asking for more is an error, never a repetition.
    """
    if isinstance(source, (str, Path)):
        (loaded,), name = read_recording(source, only="inputs").values(), str(source)
    else:
        loaded, name = reals("recorded inputs", source, dtype=None), "array"
    if loaded.ndim != 3 or loaded.size == 0:
        raise ValueError(f"recorded inputs have shape (steps, trials, d), none of them 0; {name} has {loaded.shape}")
    params = {"d": loaded.shape[2], "source": name, "shape": list(loaded.shape)}
    return Process("recorded", loaded.shape[2], params, values=loaded)


#: name -> constructor. CLI choices and tests iterate over it.
PROCESSES: dict[str, Callable[..., Process]] = {
    "random_walk": random_walk,
    "ar1": ar1,
    "geometric": geometric,
    "burst": burst,
    "alternating": alternating,
    "adversarial": adversarial,
    "recorded": recorded,
}
