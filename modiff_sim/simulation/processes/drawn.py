"""Processes whose differences are drawn: walks, autoregressions, bursts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from numbers import Integral

import numpy as np

from ...arguments import listed
from .base import Array, Process, checked, normal, process, summed


def random_walk(d: int = 64, *, sigma: float = 1.0, start: float = 10.0) -> Process:
    """A random walk: a_0 ~ N(0, start²) and independent differences N(0, sigma²), which are stationary.

    Parameters
    ----------
    d, sigma, start
        Entries of an input, and the standard deviations of the differences and of the first input.

    Examples
    --------
    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> inputs = list(ms.processes.random_walk(d=4).stream(np.random.default_rng(0), trials=2, steps=3))
    >>> len(inputs), inputs[0].shape
    (3, (2, 4))
    """
    params = checked("random_walk", d, sigma=sigma, start=start)
    draw = summed(lambda rng, n: normal(rng, n, d, start), lambda rng, n, k: normal(rng, n, d, sigma))
    return process("random_walk", d, draw, **params)


def ar1(d: int = 64, *, phi: float = 0.9, sigma: float = 1.0) -> Process:
    """An autoregressive process: a_k = phi·a_{k-1} + sqrt(1-phi²)·sigma·noise, stationary.

    Parameters
    ----------
    d, phi, sigma
        Entries of an input; correlation of consecutive inputs, |phi| <= 1 (ValueError); standard deviation of the
        inputs.

    Examples
    --------
    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> inputs = list(ms.processes.ar1(d=4, phi=1.0).stream(np.random.default_rng(0), trials=2, steps=3))
    >>> bool((inputs[0] == inputs[2]).all())  # perfectly correlated: nothing moves
    True
    """
    params = checked("ar1", d, phi=phi, sigma=sigma)
    if not -1 <= phi <= 1:
        raise ValueError(f"ar1 needs -1 <= phi <= 1 to be stationary, got {phi}")

    def draw(rng: np.random.Generator, trials: int, steps: int) -> Iterator[Array]:
        a = normal(rng, trials, d, sigma)
        yield a
        for _ in range(1, steps):
            moved = normal(rng, trials, d, np.sqrt(1 - phi * phi) * sigma)
            moved += phi * a
            a = moved
            yield a

    return process("ar1", d, draw, **params)


def geometric(d: int = 64, *, ratio: float = 0.9, sigma: float = 1.0, start: float = 10.0) -> Process:
    """Shrinking (ratio < 1) or growing (ratio > 1) differences N(0, (sigma·ratio^k)²).

    Parameters
    ----------
    d, ratio, sigma, start
        Entries of an input; ratio > 0 (ValueError); standard deviations of the differences at k = 0 and of the
        first input.

    Examples
    --------
    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> inputs = list(ms.processes.geometric(d=1000, ratio=0.1).stream(np.random.default_rng(0), trials=2, steps=3))
    >>> bool(np.std(inputs[2] - inputs[1]) < 0.2 * np.std(inputs[1] - inputs[0]))
    True
    """
    params = checked("geometric", d, ratio=ratio, sigma=sigma, start=start)
    if not ratio > 0:
        raise ValueError(f"geometric needs ratio > 0, got {ratio}")
    draw = summed(
        lambda rng, n: normal(rng, n, d, start),
        lambda rng, n, k: normal(rng, n, d, sigma * ratio**k),
    )
    return process("geometric", d, draw, **params)


def burst(d: int = 64, *, at: int | Sequence[int] = (1,), sigma: float = 1.0, start: float = 10.0) -> Process:
    """Constant inputs except at some calls, where the difference is N(0, sigma²). A single call is an impulse.

    Parameters
    ----------
    at : int or sequence of int
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
    params = checked("burst", d, sigma=sigma, start=start)
    given = listed(at)
    whole = [int(k) for k in given if isinstance(k, Integral) and not isinstance(k, bool)]
    if not whole or len(whole) < len(given) or min(whole) < 1:
        raise ValueError(f"burst: calls of a difference are >= 1 (call 0 is the start), got {at!r}")
    calls = tuple(whole)
    draw = summed(
        lambda rng, n: normal(rng, n, d, start),
        lambda rng, n, k: normal(rng, n, d, sigma) if k in calls else np.zeros((n, d)),
    )
    return process("burst", d, draw, at=list(calls), **params)


PROCESSES = {"random_walk": random_walk, "ar1": ar1, "geometric": geometric, "burst": burst}
