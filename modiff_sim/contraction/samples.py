"""What the atlas measures on: samples of named distributions, drawn in pieces, and runs cut out of recorded ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from ..arguments import count, reals
from ..arguments import seed as whole_seed
from ..quantizers.granularity import Granularity, PerGroup
from ..typing import ArrayLike

BATCH = 8  # samples that share a scale, where a granularity shares it between samples
FLOATS = 2**20  # entries quantized at once: 8 MiB, and about ten times that in temporaries
DRAWN = 2**22  # entries drawn at most per dimension and distribution; beyond it, trials fall with d
FEWEST = 8  # trials at least, however large d is

Draw = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]


def _sparse(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return rng.standard_normal(shape) * (rng.random(shape) < 0.05)


def _outlier(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    x = rng.standard_normal(shape)
    x[:, 0] = 50.0
    return x


#: name -> (rng, shape) -> float64 samples (rows). t5: Student's t, 5 degrees of freedom; sparse: normal, 95 % zeros;
#: outlier: normal, one entry at 50 standard deviations. CLI choices, figures and tests iterate over it.
DISTRIBUTIONS: dict[str, Draw] = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "laplace": lambda rng, shape: rng.laplace(size=shape),
    "t5": lambda rng, shape: rng.standard_t(5, size=shape),
    "uniform": lambda rng, shape: rng.uniform(-1, 1, size=shape),
    "sparse": _sparse,
    "outlier": _outlier,
}


def trials_for(d: int, trials: int) -> int:
    """How many samples of d entries are drawn: ``trials``, or fewer where they would exceed ``DRAWN`` entries.

    Parameters
    ----------
    d : int
        Entries of a sample.
    trials : int
        How many samples are asked for.

    Returns
    -------
    int
        How many are drawn, at least ``FEWEST`` if so many are asked for.

    Raises
    ------
    ValueError
        If a number is not an int >= 1.

    Examples
    --------
    >>> from modiff_sim import atlas
    >>> atlas.trials_for(1024, 64), atlas.trials_for(2**20, 64)
    (64, 8)
    """
    return min(count("trials", trials), max(FEWEST, DRAWN // count("d", d)))


def shared_by_samples(granularity: Granularity, d: int) -> bool:
    """Whether a scale belongs to several samples, so that no bound holds for a single one.

    Parameters
    ----------
    granularity : Granularity
        The granularity.
    d : int
        Entries of a sample.

    Returns
    -------
    bool
        Whether two samples share a scale.

    Examples
    --------
    >>> import modiff_sim as ms
    >>> ms.atlas.shared_by_samples(ms.PerBatch(), 64), ms.atlas.shared_by_samples(ms.PerSample(), 64)
    (True, False)
    """
    if isinstance(granularity, PerGroup):
        return granularity.size > 1 and granularity.axis in (0, -2)
    return granularity.scale_shape((2, d))[0] == 1


def parts(name: str, d: int, trials: int, seed: int) -> Iterator[np.ndarray]:
    """Samples of a distribution, cut into pieces of at most ``FLOATS`` entries (and whole samples).

    Every piece has its own generator, SeedSequence(seed, spawn_key = (place of the name, d, piece)): a row of the atlas
    does not depend on which other rows are asked for.

    Parameters
    ----------
    name : str
        A key of ``DISTRIBUTIONS``.
    d : int
        Entries of a sample.
    trials : int
        How many samples.
    seed : int
        The seed.

    Yields
    ------
    numpy.ndarray
        Samples, shape (some of the trials, d).

    Raises
    ------
    ValueError
        For an unknown name or numbers out of range.

    Examples
    --------
    >>> from modiff_sim import atlas
    >>> [x.shape for x in atlas.parts("normal", d=64, trials=16, seed=0)]
    [(16, 64)]
    """
    seed, d, trials = whole_seed(seed), count("d", d), count("trials", trials)
    place, at_once = list(DISTRIBUTIONS).index(name), max(BATCH, FLOATS // d // BATCH * BATCH)
    for i, start in enumerate(range(0, trials, at_once)):
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(place, d, i)))
        yield DISTRIBUTIONS[name](rng, (min(at_once, trials - start), d))


def cut(recorded: np.ndarray, d: int, trials: int) -> Iterator[np.ndarray]:
    """Runs of d consecutive entries of the recorded samples, spread evenly over them; rows of zeros are left out."""
    runs = recorded[:, : recorded.shape[1] // d * d].reshape(-1, d)
    runs = runs[np.any(runs != 0, axis=1)]
    if len(runs) > trials:
        runs = runs[np.linspace(0, len(runs) - 1, trials).astype(int)]
    at_once = max(BATCH, FLOATS // d // BATCH * BATCH)
    yield from (runs[i : i + at_once] for i in range(0, len(runs), at_once))


def recordings(recorded: ArrayLike) -> np.ndarray:
    """Recorded samples as rows; raises ValueError for data that is empty, not finite or has another shape."""
    samples = reals("recorded samples", recorded)
    if samples.ndim not in (2, 3) or samples.size == 0:
        raise ValueError(f"recorded samples have shape (n, entries) or (steps, n, entries), got {samples.shape}")
    if not np.isfinite(samples).all():
        raise ValueError("recorded samples hold NaN or Inf")
    return samples.reshape(-1, samples.shape[-1])
