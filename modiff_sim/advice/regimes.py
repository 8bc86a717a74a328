"""Where each scheme wins: direct, open loop, closed loop, cache, over ρ = ||d||/||a||, bits and number of differences.

Inputs have the norm ||a||, and there are n differences of norm ||d|| = ρ||a|| since the last full-precision call. A
cache is the loop whose quantizer is ``Zero``: the first output is used again, and the error is the sum of the
differences. There are two readings. ``worst``, max norm, contraction κ, is the largest error that the norms allow, over
||a||_∞:

    direct κ      open loop κ·n·ρ      closed loop κ(1-κ^n)/(1-κ)·ρ      cache n·ρ

Proof: e_j <= κ(||d|| + e_{j-1}) for the closed loop (its residual is d_j + e_{j-1}), e_j <= e_{j-1} + κ||d|| for the
open one, e_j <= e_{j-1} + ||d|| for the cache, unrolled from e_0 = 0; direct has no history. Each is attained, and
all four by *one* sequence, ``worst_inputs``, in which ||a_k||_∞ and ||d_k||_∞ are constant. The cache's is attained
while nρ <= 2: it is the distance ||a_n - a_0||, which cannot exceed 2||a||, whatever n. With sqrt(c) for κ the same
holds in the 2-norm, attained by differences of one direction (persistent drift) and the quantizer (1-sqrt(c))x.

``typical``, root mean square in the 2-norm, c = E||x-Q(x)||²/E||x||² of what is quantized. The squares add:

    direct √c      open loop √(c·n)·ρ      closed loop √(c(1-c^n)/(1-c))·ρ      cache √n·ρ

Proof: E e_j² = c·E||d_j + e_{j-1}||² = c(E||d||² + E e_{j-1}²) if the last error is uncorrelated with the next
difference; E e_j² = E e_{j-1}² + c·E||d||² if the calls' errors are uncorrelated; the cache needs uncorrelated
differences. Unbiased stochastic rounding grants the first two for every exogenous sequence: given the inputs, its
errors have mean zero. Nearest rounding comes near. The cache's premise lasts only while √n·ρ <= 2 (stationary inputs:
√2 at most); for persistent drift it is n·ρ.

Both readings are one formula: with p = 1, x = κ (worst) or p = 2, x = c (typical), error^p over (ρ||a||)^p is
n·x, x + x² + ... + x^n and n. Comparing them term by term for x < 1 and n >= 2 gives closed < open < cache, so neither
the open loop nor the cache has the smallest error (while the cache's premise lasts). For x > 1 (Floor) the order is
reversed; at n = 1 the two loops are one. Against direct, whose error^p is x||a||^p, a loop wins for ρ below
``boundary``:

    closed loop ((1-x)/(1-x^n))^(1/p) → (1-x)^(1/p)      open loop n^(-1/p)      cache (x/n)^(1/p)

For any n, the closed loop's boundary at 2 bits is half of the input's size in the worst case, and less where c is near
1; it comes near the whole size only from 3 bits on. These formulas compare bounds, or means. A single instance can
differ (2 bits, (9, 9.6) → (10, 10): direct 0, closed loop 0.4).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from .. import bounds
from ..arguments import count, number, reals
from ..bounds._common import geometric
from ..names import one_of
from ..typing import ArrayLike
from .attained import worst_inputs as worst_inputs

SCHEMES = ("direct", "cache", "closed_loop", "open_loop")  # of equal errors the first one wins: it is the simplest
#: reading -> p, the power in which errors add
READINGS = {"worst": 1, "typical": 2}
#: one number, or an array: those of a call broadcast against each other
Grid: TypeAlias = ArrayLike
FULL_BITS = 32
_TIE = 1e-12  # relative: two errors nearer than this are equal (each is rounded about ten times, at eps = 2e-16)


def _power(reading: str) -> int:
    one_of("reading", reading, READINGS)
    return READINGS[reading]


def _checked(scheme: str, rho: Grid, n: Grid, contraction: Grid) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    one_of("scheme", scheme, SCHEMES)
    rho, n, x = reals("rho", rho), reals("n", n), reals("contraction", contraction)
    if not (np.isfinite(rho).all() and (rho >= 0).all()):
        raise ValueError("rho = ||d||/||a|| must be finite and >= 0")
    if not (np.isfinite(n).all() and (n >= 1).all() and (n == np.floor(n)).all()):
        raise ValueError("n counts the differences since the last full-precision call: whole numbers >= 1")
    if not (np.isfinite(x).all() and (x >= 0).all()):
        raise ValueError("a contraction (κ, or c on the squared norm) must be finite and >= 0")
    return rho, n, x


def _growth(scheme: str, n: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The error^p over (ρ||a||)^p of a scheme with a history, with x = κ or c."""
    if scheme == "cache":
        return n + 0 * x
    if scheme == "open_loop":
        return n * x
    return geometric(n, x)


def error(
    scheme: str, rho: Grid, n: Grid, contraction: Grid, *, reading: str = "worst", contraction_input: Grid | None = None
) -> np.ndarray:
    """The error of a scheme after n differences, over ||a||: the bound ("worst") or the root mean square ("typical").

    Parameters
    ----------
    scheme : str
        A name in ``SCHEMES``.
    rho, n, contraction : array_like
        ρ >= 0, whole numbers n >= 1, and the contraction of the differences: κ for "worst", c for "typical". They
        broadcast against each other. Others raise ValueError.
    reading : {"worst", "typical"}
    contraction_input : array_like, optional
        The contraction of the inputs themselves, for direct; by default ``contraction``.

    Examples
    --------
    >>> import modiff_sim as ms
    >>> kappa = 1 / 14  # of AbsMax at 4 bits
    >>> [float(ms.regimes.error(s, 0.1, 10, kappa).round(3)) for s in ms.regimes.SCHEMES]
    [0.071, 1.0, 0.008, 0.071]
    >>> ms.regimes.winner([0.01, 0.1, 2.0], 10, kappa).tolist()
    ['closed_loop', 'closed_loop', 'direct']
    >>> float(ms.regimes.boundary("open_loop", "direct", 10, kappa))
    0.1
    """
    p = _power(reading)
    rho, n, x = _checked(scheme, rho, n, contraction)
    if scheme == "direct":
        x = x if contraction_input is None else _checked(scheme, rho, n, contraction_input)[2]
        return x ** (1 / p) + 0 * rho * n
    return rho * _growth(scheme, n, x) ** (1 / p)


def boundary(
    scheme: str,
    other: str,
    n: Grid,
    contraction: Grid,
    *,
    reading: str = "worst",
    contraction_input: Grid | None = None,
) -> np.ndarray:
    """The ρ below which ``scheme`` has the smaller error than ``other``: inf stands for always, 0 for never.

    If one of the two is direct, ``other`` has the smaller error above the boundary. Two loops compare alike at
    every ρ > 0.

    Parameters
    ----------
    scheme, other : str
        Names in ``SCHEMES``. scheme="direct" raises ValueError, as direct wins *above* the boundary of (other,
        "direct").
    n, contraction, reading, contraction_input
        As for ``error``.

    Examples
    --------
    >>> from modiff_sim import regimes
    >>> float(regimes.boundary("closed_loop", "direct", n=100, contraction=0.1))  # (1-κ)/(1-κ^n)
    0.9
    """
    p = _power(reading)
    if scheme == "direct":
        raise ValueError(f'direct wins above a boundary: ask for boundary("{other}", "direct", ...)')
    _, n, x = _checked(scheme, 0, n, contraction)
    _checked(other, 0, n, x)
    mine = _growth(scheme, n, x)
    if other == "direct":
        given = x if contraction_input is None else _checked(other, 0, n, contraction_input)[2]
        with np.errstate(divide="ignore", invalid="ignore"):  # a loop without error beats any other error
            return np.where(mine > 0, given / mine, np.where(given > 0, np.inf, 0.0)) ** (1 / p)
    theirs = _growth(other, n, x)
    return np.where(mine < theirs * (1 - _TIE), np.inf, 0.0)


def winner(
    rho: Grid, n: Grid, contraction: Grid, *, reading: str = "worst", contraction_input: Grid | None = None
) -> np.ndarray:
    """The scheme with the smallest error at each point of the broadcast grid, the simplest of equal ones; str.

    Parameters
    ----------
    rho, n, contraction, reading, contraction_input
        As for ``error``.

    Examples
    --------
    >>> from modiff_sim import regimes
    >>> regimes.winner([0.01, 10.0], n=100, contraction=0.1).tolist()
    ['closed_loop', 'direct']
    """
    errors = (error(s, rho, n, contraction, reading=reading, contraction_input=contraction_input) for s in SCHEMES)
    table = np.stack(np.broadcast_arrays(*errors))
    return np.array(SCHEMES)[np.argmax(table <= table.min(axis=0) * (1 + _TIE), axis=0)]


def longest_run(scheme: str, rho: Grid, tolerance: Grid, contraction: Grid, *, reading: str = "worst") -> np.ndarray:
    """How many differences a scheme takes until its error exceeds ``tolerance``·||a||: 0, 1, ... or inf (never).

    For the closed loop it is infinite if and only if ρ(x/(1-x))^(1/p) <= tolerance and x < 1.

    Parameters
    ----------
    scheme, rho, contraction, reading
        As for ``error``.
    tolerance : array_like
        The largest error, a finite share of ||a|| above 0 (ValueError for others).

    Examples
    --------
    >>> from modiff_sim import regimes
    >>> [float(regimes.longest_run(name, 0.125, 0.5, 0.25)) for name in ("cache", "open_loop", "closed_loop")]
    [4.0, 16.0, inf]
    """
    p = _power(reading)
    rho, _, x = _checked(scheme, rho, 1, contraction)
    tolerance = reals("tolerance", tolerance)
    if not (np.isfinite(tolerance).all() and (tolerance > 0).all()):
        raise ValueError(f"a tolerance is a finite share of ||a||, above 0, got {tolerance}")
    if scheme == "direct":
        return np.where(x ** (1 / p) <= tolerance * (1 + _TIE), np.inf, 0.0) + 0 * rho
    rho, tolerance, x = np.broadcast_arrays(rho, tolerance, x)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        room = (tolerance * (1 + _TIE) / rho) ** p  # inf where nothing changes
        if scheme == "cache":
            runs = room
        elif scheme == "open_loop":
            runs = np.where(x == 0, np.inf, room / x)
        else:
            lost = -room * (1 - x) / x  # x^n must not fall below 1 + lost
            geometric = np.where(lost <= -1, np.inf, np.log1p(np.maximum(lost, -1)) / np.log(x))
            runs = np.where(x == 0, np.inf, np.where(x == 1, room, np.where(room == np.inf, np.inf, geometric)))
    return np.floor(runs)


def effective_bits(bits: Grid, calls: Grid, refresh: Grid = 0, *, full_bits: float = FULL_BITS) -> np.ndarray:
    """Mean activation bits per call of a loop: the first and every ``refresh``-th one count ``full_bits``.

    Parameters
    ----------
    bits, calls, refresh : array_like
        Bits of the quantized calls, the number of calls, and every how many calls one is in full precision (0 for
        never).
    full_bits : float, default 32
        The bits of a full-precision call. The audit of a modulated model (``activation_bits``) counts the same.

    Examples
    --------
    >>> from modiff_sim import regimes
    >>> float(regimes.effective_bits(4, calls=64, refresh=8))  # 8 of 64 calls have 32 bits
    7.5
    """
    bits, calls, refresh = reals("bits", bits), reals("calls", calls), reals("refresh", refresh)
    whole = (calls == np.floor(calls)).all() and (refresh == np.floor(refresh)).all()
    if not ((bits >= 0).all() and (calls >= 1).all() and (refresh >= 0).all() and whole):
        raise ValueError(
            "effective_bits needs bits >= 0, and whole numbers of calls >= 1 and refresh >= 0 (0 is never)"
        )
    exact = np.where(refresh == 0, 1.0, np.ceil(calls / np.where(refresh == 0, 1.0, refresh)))
    return np.asarray(bounds.effective_bits(bits, exact / calls, full=full_bits))


@dataclass(frozen=True)
class Cheapest:
    """What to use at each point of a grid, and what it costs. ``cheapest`` makes it.

    ``scheme`` is "direct", "cache", "closed_loop", or "full_precision" where nothing is within the tolerance for less.
    ``bits`` are of the quantized calls, ``refresh`` is 0 for never, ``effective_bits`` are the mean per call.
    """

    scheme: np.ndarray
    bits: np.ndarray
    refresh: np.ndarray
    effective_bits: np.ndarray


def cheapest(
    rho: Grid,
    calls: Grid,
    tolerance: Grid,
    contractions: Mapping[int, float],
    *,
    reading: str = "worst",
    full_bits: float = FULL_BITS,
) -> Cheapest:
    """The scheme with the fewest effective bits whose error stays within ``tolerance``·||a|| over ``calls`` calls.

    A loop is refreshed as rarely as its ``longest_run`` allows, and its first call is in full precision. Within one
    period a cache costs full_bits/k, k = ⌊(tolerance/ρ)^p⌋ + 1, so it wins for small ρ: it takes 0 bits while n·ρ^p
    <= tolerance^p. The open loop is left out: it costs what the closed loop does, whose error is smaller. Of equal
    costs, the first of ``SCHEMES`` wins.

    Parameters
    ----------
    rho, calls, tolerance : array_like
        ρ >= 0, calls >= 2 and tolerance > 0; they broadcast against each other (ValueError for others).
    contractions : mapping of int to float
        Bits -> contraction of the quantizer: κ for "worst", c for "typical".
    reading : {"worst", "typical"}
        The reading.
    full_bits : float, default 32
        The bits of a full-precision call, more than any other.

    Examples
    --------
    >>> import modiff_sim as ms
    >>> found = ms.regimes.cheapest([1e-4, 0.1], calls=100, tolerance=0.05, contractions={4: 1 / 14, 8: 1 / 254})
    >>> found.scheme.tolist(), found.bits.tolist()
    (['cache', 'closed_loop'], [0, 4])
    """
    if not isinstance(contractions, Mapping):
        raise TypeError(f"contractions is a mapping, bits -> contraction, got {contractions!r}")
    if not contractions:
        raise ValueError("contractions is empty: give the contraction of at least one bit width")
    for bits, x in contractions.items():
        number(f"the contraction at {count('bits', bits)} bits", x)
    number("full_bits", full_bits, above=max(contractions))
    named = {"rho": rho, "calls": calls, "tolerance": tolerance}
    rho, calls, tolerance = np.broadcast_arrays(*(reals(name, v) for name, v in named.items()))
    if not (calls >= 2).all():
        raise ValueError("cheapest needs calls >= 2: a single call has no difference")
    found = Cheapest(
        np.full(rho.shape, "full_precision"),
        np.full(rho.shape, full_bits),
        np.zeros(rho.shape, int),
        np.full(rho.shape, float(full_bits)),
    )
    settings = [("direct", b, x) for b, x in contractions.items()] + [("cache", 0, 1.0)]
    for scheme, bits, x in [*settings, *(("closed_loop", b, x) for b, x in contractions.items())]:
        run = longest_run(scheme, rho, tolerance, x, reading=reading)
        refresh = np.where(run >= calls - 1, 0, run + 1)
        cost = np.where(run == 0, np.inf, effective_bits(bits, calls, refresh, full_bits=full_bits))
        if scheme == "direct":
            cost = np.where(run == 0, np.inf, bits)
        better = cost < found.effective_bits * (1 - _TIE)
        found.scheme[better], found.bits[better] = scheme, bits
        found.refresh[better], found.effective_bits[better] = refresh[better], cost[better]
    return found
