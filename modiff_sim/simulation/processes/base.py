"""A process, and what the constructors of processes share."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...arguments import count, number, reals

Array = np.ndarray
#: (generator, trials, steps) -> the inputs of every step, float64 (trials, d)
Draw = Callable[[np.random.Generator, int, int], Iterator[Array]]


@dataclass(frozen=True)
class Process:
    """A named sequence of inputs of dimension d. The functions of ``processes`` make one.

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


def process(name: str, d: int, draw: Draw, **params: Any) -> Process:
    """The process of a constructor with this name: its dimension is one of its parameters."""
    return Process(name, int(d), {"d": int(d), **params}, draw)


def checked(name: str, d: int, least: int = 1, **numbers: float) -> dict[str, float]:
    """Check a process's dimension and numbers; returns the numbers as floats."""
    count(f"{name}: the dimension d", d, least)
    return {key: float(number(f"{name}: {key}", value, least=-math.inf)) for key, value in numbers.items()}


def summed(start: Callable[[np.random.Generator, int], Array], difference: Callable[..., Array]) -> Draw:
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


def normal(rng: np.random.Generator, trials: int, d: int, sigma: float) -> Array:
    """Independent values N(0, sigma²), (trials, d)."""
    drawn = rng.standard_normal((trials, d))
    if sigma != 1:
        drawn *= sigma
    return drawn
