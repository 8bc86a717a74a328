"""Worst case of a quantizer by search: a lower bound of the supremum, with the input that proves it.

The input is made of a few groups of equal entries (one entry out, one opposite, the rest in up to three groups), so
that a million entries cost as much as five; up to five entries every one is its own group. The ratio is smooth where
no code changes, and its extremes lie where one does. So the search

  1. reads the grid off the quantizer: next to one or two extremes, it finds where the code of another entry changes.
     Changes are bisected down to neighbouring floats, and all other entries are put on either side of each;
  2. from the best of these and from random inputs, moves one group at a time over a scan of values, bisecting again
     (coordinate search);
  3. polishes the best with the gradient (L-BFGS-B) and along directions (Powell), for extremes between the changes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ..arguments import affordable, count
from ..arguments import seed as whole_seed
from ..keywords import suggested
from ..names import one_of
from ..quantizers import get
from ..quantizers.base import Quantizer
from ..quantizers.custom import Custom
from ..quantizers.granularity import PerSample
from ..quantizers.split import Split
from ..shown import Said, Shown
from .measuring import NORMS, ratios

GROUPS = 5
#: scan of one group's value, relative to the largest magnitude: evenly, and down to small levels
_HALVES = 2.0 ** -np.arange(1, 25)
_SCAN = np.concatenate([np.linspace(-1, 1, 17), _HALVES, -_HALVES, [2.0]])
_TIES = np.array([-1.5, -1.0, -0.5, 0.5, 1.0, 1.5])  # in scales: exact ties of integer grids
_BISECTIONS = 54  # an interval of the scan down to neighbouring floats
_CHANGES = 2  # bisected per start, round and way to move, the most promising
_EXPANDED = 2**18  # entries per round where a scale depends on every entry, so that groups have to be written out


@dataclass(frozen=True, repr=False)
class WorstCase(Shown):
    """The largest ratio that a search found, with the input that has it.

    Parameters
    ----------
    value : float
        The ratio, a lower bound of the supremum.
    x : numpy.ndarray
        The input, shape (1, d).

    Examples
    --------
    >>> import modiff_sim as ms
    >>> worst = ms.contraction.search(ms.AbsMax(3), 4)
    >>> worst
    WorstCase: the largest ratio found is 0.07692, of an input of 4 entries
    >>> worst.x.shape
    (1, 4)
    """

    value: float
    x: np.ndarray

    def _said(self) -> Said:
        return Said(f"WorstCase: the largest ratio found is {self.value:.4g}, of an input of {self.x.size} entries", {})


class _Groups:
    """Grouped inputs: rows of values (n, G), each with counts (n, G) that add up to d."""

    def __init__(self, Q: Quantizer, norm: str) -> None:
        self.Q, self.norm = of_one_block(Q), norm

    def expand(self, rows: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """The inputs themselves, (n, d)."""
        return np.stack([np.repeat(row, n) for row, n in zip(rows, counts, strict=True)])

    def codes(self, rows: np.ndarray) -> np.ndarray:
        """Codes of the groups (n, G); exact where the scale comes from the extremes."""
        return self.Q.quantize(rows, self.Q.choose_qparams(rows))

    def look(self, rows: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Codes of the groups (n, G) and ratios (n,), which are 0 outside the quantizer's domain."""
        qparams = self.Q.choose_qparams(rows)
        codes = self.Q.quantize(rows, qparams)
        if not self.Q.scale_from_extremes:
            at_once = max(1, _EXPANDED // int(counts[0].sum()))
            cuts = range(0, len(rows), at_once)
            whole = (self.expand(rows[i : i + at_once], counts[i : i + at_once]) for i in cuts)
            return codes, np.concatenate([ratios(self.Q, x, norm=self.norm) for x in whole])
        lost, size = np.abs(rows - self.Q.dequantize(codes, qparams)), np.abs(rows)
        if self.norm == "c":
            top, bottom = np.sum(counts * lost**2, axis=1), np.sum(counts * size**2, axis=1)
        else:
            top, bottom = np.max(lost, axis=1), np.max(size, axis=1)
        legal = (bottom > 0) & self.Q.in_domain(rows).ravel()
        return codes, np.divide(top, bottom, out=np.zeros(len(rows)), where=legal)


def of_one_block(Q: Quantizer) -> Quantizer:
    """The quantizer with one scale for a sample. Raises ValueError for a ``Split``, whose parts have their own."""
    if isinstance(Q, Split):
        raise ValueError(
            f"a worst case is of entries that share a scale, and the parts of {Q} do not: search each of Q.quantizers"
        )
    return replace(Q, granularity=PerSample())


def searchable(Q: Quantizer) -> bool:
    """Whether ``search`` can be called with a quantizer: it draws nothing, and has codes along one scale."""
    return not (Q.laws.randomised or isinstance(Q, Custom | Split))


@suggested
def search(
    Q: Quantizer | str,
    d: int,
    *,
    norm: str = "c",
    tries: int = 12,
    rounds: int = 4,
    polish: bool = False,
    seed: int = 0,
) -> WorstCase:
    """The largest ratio ||x - Q(x)||²/||x||², or of the max norms, found for d entries that share a scale.

    Parameters
    ----------
    Q : Quantizer or str
        A deterministic quantizer, or text such as "absmax:3"; its granularity is replaced by ``PerSample``.
    d : int
        How many entries share the scale.
    norm : {"c", "kappa"}, default "c"
        The squared 2-norm or the max norm.
    tries : int, default 12
        Starts.
    rounds : int, default 4
        Rounds of the coordinate search.
    polish : bool, default False
        Whether to polish with scipy.optimize afterwards, which is slower and gains where the supremum is not on a
        boundary (an MSE-optimal clipping).
    seed : int, default 0
        The result is deterministic given the seed.

    Returns
    -------
    WorstCase
        The ratio with the input that has it.

    Raises
    ------
    TypeError
        For ``Custom``, which has no codes to search along: ``contraction.measure`` is for inputs of your own.
    ValueError
        For an unknown norm, a randomised quantizer, a ``Split``, or numbers out of range.
    MemoryError
        If the inputs do not fit into this machine's memory.

    Examples
    --------
    >>> import modiff_sim as ms
    >>> Q = ms.AbsMax(3)
    >>> worst = ms.contraction.search(Q, 64)
    >>> round(worst.value, 6), round(Q.c(64), 6)  # found and declared
    (0.636364, 0.636364)
    """
    one_of("norm", norm, NORMS)
    Q = get(Q, "Q of search")
    if isinstance(Q, Custom):
        raise TypeError(
            f"search moves entries across the codes of a quantizer, and {Q} is a function without codes: call "
            f"contraction.measure(Q, x, norm={norm!r}) on inputs of your own, or testing.hunt(Q, d, norm={norm!r})"
        )
    if Q.laws.randomised:
        raise ValueError(
            f"search needs a deterministic quantizer, got {Q}: call contraction.measure(Q, x, norm={norm!r}, "
            "random=...) on inputs of your own"
        )
    d, tries, rounds = count("d", d), count("tries", tries), count("rounds", rounds, 0)
    rng, groups = np.random.default_rng(whole_seed(seed)), _Groups(Q, norm)
    affordable(f"an input of {d:,} entries", 48 * d)  # it, its codes and values
    affordable(f"{tries:,} tries", 8 * GROUPS * (GROUPS + 2) * (len(_SCAN) + len(_TIES)) * tries)
    if not Q.scale_from_extremes:
        inputs = _EXPANDED // d
        tries, rounds, polish = min(tries, max(inputs // 64, 4)), min(rounds, inputs // 1024), polish and inputs > 1024
    counts = _counts(d, tries, rng)
    rows = _starts(groups, counts, rng)
    for _ in range(rounds):
        rows = _round(groups, rows, counts)
    _, found = groups.look(rows, counts)
    best = slice(int(np.argmax(found)), int(np.argmax(found)) + 1)
    if polish:
        rows[best] = _polished(lambda row: float(groups.look(row[None], counts[best])[1][0]), rows[best][0])
    x = groups.expand(rows[best], counts[best])
    return WorstCase(float(ratios(groups.Q, x, norm=norm)[0]), x)


def _counts(d: int, tries: int, rng: np.random.Generator) -> np.ndarray:
    """How many entries each group has, (tries, G): 1, 1, and the rest cut into three at random, or not cut."""
    if d <= GROUPS:
        return np.ones((tries, d), np.int64)
    cuts = np.sort(np.floor((d - 4) * rng.random((tries, 2)) ** 3).astype(np.int64), axis=1)
    cuts[::2] = 0
    parts = np.diff(cuts, axis=1, prepend=0, append=d - 5) + 1
    return np.concatenate([np.ones((tries, 2), np.int64), parts], axis=1)


def _starts(groups: _Groups, counts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """In turns: all entries but one next to nothing; all but the extremes on a boundary; all equal; random."""
    rows = rng.standard_normal(counts.shape)
    G = rows.shape[1]
    half = 2.0 ** (min(groups.Q.bits, 8) - 1)
    extremes: list[tuple[float, ...]] = [(1.0,), (1.0, -1.0), (half, 1 - half)]  # the last: 2^b-1 whole steps apart
    edges = [_on_boundaries(groups, some, counts[:1]) for some in extremes if len(some) <= G]
    for i in range(len(rows)):
        kind, place = i % (len(edges) + 3), i // (len(edges) + 3)
        if kind == 0:
            rows[i] = 1e-8 * np.sign(rows[i])
            rows[i, 0] = 1.0
        elif kind <= len(edges):
            rows[i] = edges[kind - 1][min(place, len(edges[kind - 1]) - 1)]
        elif kind == len(edges) + 1:
            rows[i] = 1.0
    return rows


def _on_boundaries(groups: _Groups, extremes: tuple[float, ...], counts: np.ndarray) -> np.ndarray:
    """The extremes with all other groups on one side of a code's boundary, best first, (n, G)."""
    if len(extremes) == counts.shape[1]:
        return np.array([extremes])
    scan = np.linspace(-1, 1, 1025) * extremes[0]
    rows = np.concatenate([np.tile(extremes, (len(scan), 1)), scan[:, None]], axis=1)
    codes = groups.codes(rows)[:, -1]
    change = np.flatnonzero(codes[1:] != codes[:-1])
    sides = np.concatenate([rows[:1], *_sides(groups, rows[change], rows[change + 1])])
    whole = np.repeat(sides, [1] * len(extremes) + [counts.shape[1] - len(extremes)], axis=1)
    if not groups.Q.scale_from_extremes:
        whole = whole[:: 1 + int(len(whole) * counts.sum() / _EXPANDED)]
    _, found = groups.look(whole, np.repeat(counts, len(whole), axis=0))
    return whole[np.argsort(-found, kind="stable")]


def _round(groups: _Groups, rows: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Every start moved to the best value of one of its groups, or scaled; scanned and bisected."""
    starts, G = rows.shape
    largest = np.abs(rows).max(axis=1, keepdims=True)
    scale = np.broadcast_to(groups.Q.choose_qparams(rows).scale, (starts, 1))
    targets = np.sort(np.concatenate([largest * _SCAN, scale * _TIES], axis=1), axis=1)
    T = targets.shape[1]
    ways = G + 2  # one group to a target; all of them scaled (powers of two are not homogeneous); all but the largest
    tried = np.repeat(rows, ways * T, axis=0).reshape(starts, ways, T, G)
    for group in range(G):
        tried[:, group, :, group] = targets
    below = 2.0 ** np.ceil(np.log2(largest)) * (1 - 2.0**-50) / largest  # where a power-of-two scale is about to double
    tried[:, G] *= np.sort(np.concatenate([np.tile(np.linspace(1, 2, T - 1), (starts, 1)), below], axis=1))[..., None]
    others = (np.abs(rows) < largest)[:, None, :]
    tried[:, G + 1] = np.where(others, targets[:, :, None], rows[:, None, :])
    codes, values = groups.look(tried.reshape(-1, G), np.repeat(counts, ways * T, axis=0))
    codes, values = codes.reshape(starts, ways, T, G), values.reshape(starts, ways, T)
    where = values.reshape(starts, -1).argmax(axis=1)
    moved = tried.reshape(starts, -1, G)[np.arange(starts), where]
    best = values.reshape(starts, -1)[np.arange(starts), where]

    changes = np.any(codes[:, :, 1:] != codes[:, :, :-1], axis=-1)
    promise = np.where(changes, np.maximum(values[:, :, 1:], values[:, :, :-1]), -1.0)
    chosen = np.argsort(promise, axis=2)[:, :, -_CHANGES:]
    which, way, _ = (index.ravel() for index in np.indices(chosen.shape))
    at = chosen.ravel()
    for side in _sides(groups, tried[which, way, at], tried[which, way, at + 1]):
        for row, start, value in zip(side, which, groups.look(side, counts[which])[1], strict=True):
            if value > best[start]:
                best[start], moved[start] = value, row
    stay = groups.look(rows, counts)[1] >= best
    return np.where(stay[:, None], rows, moved)


def _sides(groups: _Groups, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bisect between rows whose codes differ: the last floats on the side of ``low`` and the first beyond."""
    first = groups.codes(low)
    for _ in range(_BISECTIONS):
        middle = low + (high - low) / 2
        same = np.all(groups.codes(middle) == first, axis=1, keepdims=True)
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    return low, high


def _polished(value: Callable[[np.ndarray], float], row: np.ndarray) -> np.ndarray:
    """The row after L-BFGS-B and Powell, each kept only where it gains."""
    from scipy.optimize import minimize  # here: it takes longer to import than the rest of the core

    best = value(row)
    for method, options in (("L-BFGS-B", {"maxfun": 60}), ("Powell", {"maxfev": 200})):
        after = minimize(lambda v: -value(v), row, method=method, options=options).x
        if np.all(np.isfinite(after)) and (gained := value(after)) > best:
            row, best = after, gained
    return row
