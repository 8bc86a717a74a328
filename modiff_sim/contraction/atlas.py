"""Contraction atlas: c and kappa of quantizers over bits, granularities, dimensions and distributions, as tidy rows.

Declared (a theorem), searched (the worst input found), measured (mean over independent draws, with an interval).

A row of the atlas is about *samples* of d entries: what is measured is ||x - Q(x)||²/||x||² (or the max-norm ratio) of
a whole sample, whatever entries share a scale within it; a bound for every block of a sample is one for the sample.
Where the scale is shared by samples (``PerBatch``, ``PerChannel``), it is measured over ``BATCH`` samples together.
Declared of a randomised quantizer is c of the *expectation*: a single sample (``largest``) may exceed it.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np

from .. import contraction
from ..arguments import affordable, count, listed
from ..arguments import seed as whole_seed
from ..keywords import suggested
from ..names import one_of
from ..quantizers import QUANTIZERS
from ..quantizers import granularity as _granularity
from ..quantizers.base import Quantizer
from ..quantizers.granularity import Granularity
from ..typing import ArrayLike
from .atlas_rows import Atlas as Atlas
from .left_out import COLUMNS, LEAST, said, short, why_not
from .samples import BATCH as BATCH
from .samples import DISTRIBUTIONS as DISTRIBUTIONS
from .samples import FEWEST, FLOATS, cut, recordings
from .samples import parts as parts
from .samples import shared_by_samples as shared_by_samples
from .samples import trials_for as trials_for
from .which import fewer, several
from .worst_cases import searchable


def sample_ratios(
    Q: Quantizer, x: np.ndarray, norms: Collection[str] = contraction.NORMS, rng: np.random.Generator | None = None
) -> dict[str, np.ndarray]:
    """The ratio of every sample in each norm; of every ``BATCH`` rows together where samples share a scale.

    Parameters
    ----------
    Q : Quantizer
        The quantizer.
    x : numpy.ndarray, shape (n, d)
        Samples.
    norms : collection of {"c", "kappa"}
        The norms; both by default.
    rng : numpy.random.Generator, optional
        For the random bits of randomised quantizers.

    Returns
    -------
    dict
        norm -> ratios, shape (n,) or (n // BATCH,); rows of zeros have ratio 0.

    Examples
    --------
    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> ms.atlas.sample_ratios(ms.AbsMax(3), np.array([[3.0, 0.5], [3.0, 1.5]]))["kappa"].round(4)
    array([0.1667, 0.1667])
    """
    shared = shared_by_samples(Q.granularity, x.shape[1])
    found: dict[str, list[np.ndarray]] = {norm: [] for norm in norms}
    step = BATCH if shared else max(1, FLOATS // x.shape[1])
    for part in (x[i : i + step] for i in range(0, len(x) - (BATCH - 1) * shared, step)):
        random = rng.random(part.shape) if rng is not None and Q.laws.randomised else None
        rows = (1, -1) if shared else (len(part), -1)
        error, whole = np.reshape(part - Q(part, random=random), rows), np.reshape(part, rows)
        for norm, values in found.items():
            top, bottom = _size(error, norm), _size(whole, norm)
            values.append(np.divide(top, bottom, out=np.zeros_like(top), where=bottom > 0))
    return {norm: np.concatenate(values) if values else np.zeros(0) for norm, values in found.items()}


def _size(x: np.ndarray, norm: str) -> np.ndarray:
    """Squared 2-norm ("c") or max norm ("kappa") of every row."""
    return np.einsum("ij,ij->i", x, x) if norm == "c" else np.maximum(x.max(axis=1), -x.min(axis=1))


@suggested
def atlas(
    quantizers: str | Quantizer | Collection[str | Quantizer] = tuple(QUANTIZERS),
    bits: int | Collection[int] = (2, 3, 4, 8),
    dims: int | Collection[int] = (1, 32, 1024, 32768),
    distributions: str | Collection[str] = tuple(DISTRIBUTIONS),
    norms: str | Collection[str] = contraction.NORMS,
    granularities: str | Granularity | Collection[str | Granularity | None] | None = None,
    *,
    trials: int = 64,
    seed: int = 0,
    recorded: ArrayLike | None = None,
    search: bool = True,
) -> Atlas:
    """Rows of the contraction atlas. Where several may be given, one may be given as it is: ``atlas("absmax:3")``.

    Parameters
    ----------
    quantizers : str, Quantizer, or collection of these
        Names of ``QUANTIZERS``, all by default; text such as "absmax:3" or "absmax:3@channel", which has its own bits
        and granularity; or quantizers, also your own.
    bits : int or collection of int, default (2, 3, 4, 8)
        Bits, for the names whose format does not decide them. Bits below a quantizer's fewest are left out.
    dims : int or collection of int, default (1, 32, 1024, 32768)
        Entries of a sample. A dimension that a granularity cannot block (32 does not divide it) is left out.
    distributions : str or collection of str
        Names of ``DISTRIBUTIONS``; all by default.
    norms : {"c", "kappa"} or collection of these
        The norms; both by default.
    granularities : str, Granularity, or collection of these, optional
        Names (``granularity.parse``: "group" is runs of 32, "group:64" of 64) or objects, for the quantizers that do
        not say theirs. None is the quantizer's own: one scale per sample, and per run of 32 entries for the MX formats.
    trials : int, default 64
        How many samples to draw, at least 2.
    seed : int, default 0
        The rows are deterministic given the seed, and a row does not depend on which others are asked for.
    recorded : array_like, shape (n, entries) or (steps, n, entries), optional
        Samples of a run. They add the distribution "recorded", the runs of d consecutive entries of each, for every d
        that they are long enough for.
    search : bool, default True
        Whether to search worst cases.

    Returns
    -------
    Atlas
        A list of dicts, with ``where``, ``frame``, ``plot`` and ``save``. Their columns: quantizer (its name, or its
        text where it has options besides bits), bits, granularity ("sample", "group:32"), d, distribution and norm;
        declared: Q.c or Q.kappa of the entries that share a scale, infinite where none is promised; searched: the worst
        case found for that many entries (None where the quantizer is randomised or a plain function, or search=False);
        mean, low, high: over samples, with a 95 % bootstrap interval; largest: of a single one; trials: how many
        samples (or batches, see the module) there were, which for large d are fewer than asked for. ``left_out`` has a
        row for whatever was asked for and has no rows, with the reason.

    Raises
    ------
    TypeError
        If ``recorded`` does not hold real numbers, and for quantizers that are neither text nor quantizers.
    ValueError
        For unknown names, different quantizers of one name, dims or trials that are too small, recorded data that is
        empty, not finite or has another shape, and where everything that was asked for is left out; it says why.
    MemoryError
        If the samples do not fit into this machine's memory.

    Examples
    --------
    >>> from modiff_sim import atlas
    >>> rows = atlas.atlas(["absmax"], bits=[4], dims=[32], distributions=["normal"], norms=["kappa"], trials=8)
    >>> [(row["quantizer"], row["d"], row["trials"], row["mean"] <= row["declared"]) for row in rows]
    [('absmax', 32, 8, True)]
    """
    seed, trials = whole_seed(seed), count("trials", trials, 2)
    dims = [count("dims", d) for d in listed(dims)]
    distributions, norms = listed(distributions), listed(norms)
    for d in dims:
        affordable(f"{trials_for(d, trials):,} samples of {d:,} entries", 64 * d * min(FEWEST, trials))
    wanted = listed(quantizers), [count("bits", b, 0) for b in listed(bits)], listed(granularities)
    grids, without = several(*wanted), fewer(*wanted)
    if not dims or not (grids or without):
        raise ValueError(f"needs quantizers, bits and dims >= 1, got {', '.join(map(repr, (*wanted[:2], dims)))}")
    for kind, names, known in (("distribution", distributions, DISTRIBUTIONS), ("norm", norms, contraction.NORMS)):
        for name in names:
            one_of(kind, name, known)
    samples = np.zeros((0, 0)) if recorded is None else recordings(recorded)
    missing = _missing(grids, without, dims, trials)
    worst: dict[Any, float] = {}
    rows = Atlas()
    for distribution, d in itertools.product([*distributions, *["recorded"] * bool(samples.size)], dims):
        here, n = [(name, Q) for name, Q in grids if not why_not(Q.granularity, d, trials)], trials_for(d, trials)
        pieces = cut(samples, d, n) if distribution == "recorded" else parts(distribution, d, n, seed)
        found = _measured(here, norms, pieces, seed)
        for name, Q in here:
            if not any((name, Q, norm) in found for norm in norms):
                missing.append(_about(name, Q, d) | {"distribution": distribution, "reason": short(Q.granularity, d)})
        for (name, Q, norm), values in found.items():
            block = Q.granularity.block_size((BATCH, d))
            key = (name, Q.bits, block, norm)
            if search and searchable(Q) and key not in worst:
                worst[key] = contraction.search(Q, block, norm=norm, seed=seed).value
            m = contraction.summary(values, seed=seed)
            rows.append(_about(name, Q, d) | {
                "distribution": distribution, "norm": norm, "declared": getattr(Q, norm)(block),
                "searched": worst.get(key), "mean": m.mean, "low": m.low, "high": m.high, "largest": m.largest,
                "trials": len(values),
            })  # fmt: skip
    if not rows and missing:
        raise ValueError(f"nothing to show: {'; '.join(said(missing))}")
    return Atlas(rows, left_out=({name: row[name] for name in COLUMNS} for row in missing))


def _about(name: str, Q: Quantizer, d: int) -> dict[str, Any]:
    """The columns that say what a row is about, but for distribution and norm."""
    return {"quantizer": name, "bits": Q.bits, "granularity": _granularity.name(Q.granularity), "d": int(d)}


def _missing(
    grids: Sequence[tuple[str, Quantizer]], without: Sequence[dict[str, Any]], dims: Sequence[int], trials: int
) -> list[dict[str, Any]]:
    """What no rows are measured of, with the reasons: bits that a quantizer does not have, and dimensions."""
    found = [row | {"d": d, "distribution": None} for row in without for d in dims]
    for (name, Q), d in itertools.product(grids, dims):
        if reason := why_not(Q.granularity, d, trials):
            found.append(_about(name, Q, d) | {"distribution": None, "reason": reason})
    return found


def _measured(
    grids: Sequence[tuple[str, Quantizer]], norms: Collection[str], pieces: Iterator[np.ndarray], seed: int
) -> dict[tuple[str, Quantizer, str], np.ndarray]:
    """Ratios of all samples per quantizer and norm, where there are enough; every piece is drawn once."""
    found: dict[tuple[str, Quantizer, str], list[np.ndarray]] = {(*g, norm): [] for g in grids for norm in norms}
    for i, x in enumerate(pieces):
        for name, Q in grids:
            for norm, values in sample_ratios(Q, x, norms, np.random.default_rng([seed, i])).items():
                found[name, Q, norm].append(values)
    together = {key: np.concatenate(values) for key, values in found.items() if values}
    return {key: values for key, values in together.items() if len(values) >= LEAST}
