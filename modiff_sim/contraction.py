"""c and kappa of a quantizer: declared, measured on data with an interval, searched worst case; norms of layers.

c = sup ||x - Q(x)||²/||x||² (squared 2-norm), kappa = sup ||x - Q(x)||_inf/||x||_inf, over blocks that share a scale.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .quantizer import Quantizer

if TYPE_CHECKING:
    import scipy.sparse

NORMS = ("c", "kappa")


@dataclass(frozen=True)
class Measured:
    """A measured contraction: per-block values, their mean with a bootstrap interval, the largest seen."""

    values: np.ndarray
    mean: float
    low: float
    high: float
    largest: float


def ratios(Q: Quantizer, x: Any, *, norm: str = "c", random: Any = None) -> np.ndarray:
    """||x - Q(x)||²/||x||² ("c") or the max-norm ratio ("kappa") of every block of x; 0 for a block of zeros."""
    if norm not in NORMS:
        raise ValueError(f"unknown norm {norm!r}; known: {', '.join(NORMS)}")
    x = np.asarray(x)
    blocks, axes = Q.blocks(np, x)
    wide = blocks.astype(np.float64)
    error = wide - np.reshape(Q(x, random=random), blocks.shape)
    if norm == "c":
        top, bottom = np.sum(error**2, axis=axes), np.sum(wide**2, axis=axes)
    else:
        top, bottom = np.max(np.abs(error), axis=axes), np.max(np.abs(wide), axis=axes)
    return np.divide(top, bottom, out=np.zeros_like(top), where=bottom > 0).ravel()


def measure(
    Q: Quantizer,
    x: Any,
    *,
    norm: str = "c",
    random: Any = None,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Measured:
    """Contraction measured on data, with a percentile-bootstrap interval of its mean over blocks.

    x: array whose blocks (for ``PerSample``: rows) are independent draws. One block gives no interval: ValueError.
    """
    values = ratios(Q, x, norm=norm, random=random)
    if values.size < 2:
        raise ValueError("an interval needs at least 2 blocks (rows, for PerSample); use ratios() for a single one")
    rng = np.random.default_rng(seed)
    means = values[rng.integers(0, values.size, (resamples, values.size))].mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Measured(values, float(values.mean()), float(low), float(high), float(values.max()))


@dataclass(frozen=True)
class WorstCase:
    """The largest ratio a search found, and the input that has it (shape (1, d))."""

    value: float
    x: np.ndarray


def search(Q: Quantizer, d: int, *, norm: str = "c", tries: int = 256, rounds: int = 4, seed: int = 0) -> WorstCase:
    """Worst case by search: a lower bound of sup. Random starts, then coordinate search on grid-related levels.

    Extremes of the ratio lie where many entries sit on rounding boundaries; the search therefore moves one coordinate,
    or all of the same value at once, to the boundaries k/2 of the current scale (a little inside as well).
    Needs a deterministic quantizer; d >= 1.
    """
    if Q.laws.randomised:
        raise ValueError(f"search needs a deterministic quantizer, got {Q}")
    if d < 1:
        raise ValueError(f"d must be at least 1, got {d}")
    rng = np.random.default_rng(seed)

    def value(rows: np.ndarray) -> np.ndarray:
        return ratios(Q, rows, norm=norm)

    levels = 2.0 ** min(Q.bits, 8) if Q.bits else 2.0
    starts = rng.standard_normal((tries, d))
    starts[1::3] = np.sign(starts[1::3]) * 0.5  # everyone on the first boundary ...
    starts[1::3, 0] = np.round(levels / 2 * rng.random(len(starts[1::3])) + 0.5)  # ... but one far out
    inner = int(min(4, levels - 1))  # half steps, within the extremes that follow
    starts[2::3] = rng.integers(-inner, inner + 1, (len(starts[2::3]), d)) / 2
    starts[2::3, 0] = (levels - 1) / 2
    starts[2::3, -1] = -(levels - 1) / 2
    starts[starts.any(axis=1) == 0] = 1.0
    kinds = [starts[i::3][np.argsort(value(starts[i::3]))[-2:]] for i in range(3) if len(starts[i::3])]
    best = np.concatenate(kinds)  # the best of each kind: a better start may have the worse neighbourhood
    for _ in range(rounds):
        for row in range(len(best)):
            for moved in _moves(Q, best[row], rng):
                gains = value(moved)
                if gains.max() > value(best[row : row + 1])[0]:
                    best[row] = moved[np.argmax(gains)]
    final = value(best)
    winner = int(np.argmax(final))
    return WorstCase(float(final[winner]), best[winner : winner + 1].copy())


def _moves(Q: Quantizer, x: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """Neighbours of x: all entries but the 0, 1 or 2 largest to one boundary, then single coordinates (at most 16)."""
    scale = float(np.max(Q.choose_qparams(x[None]).scale))
    targets = scale * np.array([k / 2 + off for k in (-3, -2, -1, 0, 1, 2, 3) for off in (0.0, 1e-6, -1e-6)])
    order = np.argsort(np.abs(x))
    together = []
    for keep in (0, 1, 2):
        moved = np.repeat(x[None], len(targets), axis=0)
        moved[:, order[: max(len(x) - keep, 0)]] = targets[:, None]
        together.append(moved)
    single = []
    for i in rng.permutation(len(x))[:16]:
        moved = np.repeat(x[None], len(targets), axis=0)
        moved[:, i] = targets
        single.append(moved)
    nonzero = [m[np.abs(m).max(axis=1) > 0] for m in together + single]
    return [m for m in nonzero if len(m)]


# -- operator norms of layers ----------------------------------------


def linear_norms(weight: Any) -> tuple[float, float]:
    """(spectral norm, ||A||_{inf→inf} = largest absolute row sum) of a weight matrix of shape (out, in)."""
    W = np.asarray(weight, np.float64)
    if W.ndim != 2 or W.size == 0:
        raise ValueError(f"a linear layer's weight has shape (out, in), got {W.shape}")
    return float(np.linalg.norm(W, 2)), float(np.abs(W).sum(axis=1).max())


def conv_matrix(
    kernel: Any, size: tuple[int, ...], *, stride: int = 1, padding: int = 0, dilation: int = 1, groups: int = 1
) -> scipy.sparse.csr_array:
    """The convolution (cross-correlation, zero padding, as torch) as a sparse matrix over flattened (channels, *size).

    kernel: (out, in/groups, *k) with 1 or 2 spatial axes; size: spatial size of the input.
    """
    import scipy.sparse  # here, because importing it takes longer than the rest of the core

    K = np.asarray(kernel, np.float64)
    space = K.ndim - 2
    if space not in (1, 2) or len(size) != space:
        raise ValueError(
            f"kernel (out, in/groups, *k) with 1 or 2 spatial axes and a matching size, got {K.shape}, {size}"
        )
    if K.shape[0] % groups:
        raise ValueError(f"{K.shape[0]} output channels cannot be split into {groups} groups")
    out_size = tuple(
        (n + 2 * padding - dilation * (k - 1) - 1) // stride + 1 for n, k in zip(size, K.shape[2:], strict=True)
    )
    if min(out_size) < 1:
        raise ValueError(f"kernel {K.shape[2:]} does not fit into an input of size {size} with padding {padding}")
    positions = np.stack(np.meshgrid(*map(np.arange, out_size), indexing="ij"), -1).reshape(-1, space)
    rows, columns, values = [], [], []
    per_out, per_in = K.shape[0] // groups, K.shape[1]
    for tap in np.ndindex(*K.shape[2:]):
        source = positions * stride - padding + dilation * np.asarray(tap)
        inside = np.all((source >= 0) & (source < np.asarray(size)), axis=1)
        to = np.flatnonzero(inside)
        frm = np.ravel_multi_index(tuple(source[inside].T), size)
        for o, i in np.ndindex(K.shape[0], per_in):
            rows.append(o * len(positions) + to)
            columns.append((o // per_out * per_in + i) * math.prod(size) + frm)
            values.append(np.full(len(to), K[(o, i, *tap)]))
    shape = (K.shape[0] * len(positions), per_in * groups * math.prod(size))
    entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    return scipy.sparse.csr_array(scipy.sparse.coo_array(entries, shape=shape))


def conv_norms(kernel: Any, size: tuple[int, ...], **options: Any) -> tuple[float, float]:
    """(spectral norm, ||A||_{inf→inf}) of a convolution on inputs of this spatial size; options as ``conv_matrix``."""
    import scipy.sparse.linalg

    M = conv_matrix(kernel, size, **options)
    row_sum = float(abs(M).sum(axis=1).max())
    if min(M.shape) <= 64:
        return float(np.linalg.norm(M.toarray(), 2)), row_sum
    start = np.random.default_rng(0).standard_normal(min(M.shape))
    return float(scipy.sparse.linalg.svds(M, k=1, v0=start, return_singular_vectors=False)[0]), row_sum
