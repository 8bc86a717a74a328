"""Hypothesis strategies: arrays, granularities, quantizers and input sequences."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ..arguments import listed
from ..quantizers import QUANTIZERS, make
from ..quantizers.base import Quantizer
from ..quantizers.granularity import GRANULARITIES, PerBatch, PerChannel, PerGroup, PerSample, PerToken

DTYPES = (np.float32, np.float64)
EXPONENTS = (-16, -12, -8, -5, -2, 1, 4, 8)  # of the largest entry of arrays
TIES = sorted((i / 2 for i in range(-64, 65)), key=abs)  # examples shrink towards the first


def arrays(
    *, shapes: Any = None, dtypes: Any = DTYPES, magnitude: float = 1e4, rescaled: bool = True
) -> st.SearchStrategy[np.ndarray]:
    """Finite arrays (samples, d) in the domain of every law.

    Plain floats (0, or between 2^-10 and ``magnitude`` in size), integers and half-integers up to 32 (where ties lie),
    and rows of equal entries all occur. Most arrays are then multiplied by a power of two, so that their largest entry
    is anywhere between 2^-17 and 2^8 (or ``magnitude``): what is declared may be false for small arrays alone.

    Parameters
    ----------
    shapes : strategy of tuples of int, optional
        Shapes of the arrays; up to (4, 12) by default.
    dtypes : sequence of dtype, default (float32, float64)
        The dtypes to draw from.
    magnitude : float, default 1e4
        The largest size of the plain floats.
    rescaled : bool, default True
        Whether arrays are multiplied by powers of two. Arrays of half precision never are, since small entries would be
        subnormal.

    Returns
    -------
    hypothesis.strategies.SearchStrategy
        A strategy of NumPy arrays.

    Examples
    --------
    >>> from hypothesis import given, settings
    >>> from modiff_sim import testing
    >>> @settings(max_examples=5, database=None)
    ... @given(testing.arrays(magnitude=100.0))
    ... def is_small(x):
    ...     assert abs(x).max() <= 100.0
    >>> is_small()
    """
    shapes = st.tuples(st.integers(1, 4), st.integers(1, 12)) if shapes is None else shapes

    def of(dtype: Any) -> st.SearchStrategy[np.ndarray]:
        width = np.dtype(dtype).itemsize * 8
        # one strategy per sign: a filter costs more than all else, and a fill would leave few entries that differ
        signs = (st.floats(2**-10, magnitude, width=width), st.floats(-magnitude, -(2**-10), width=width))
        plain = hnp.arrays(dtype, shapes, elements=st.one_of(*signs, st.sampled_from(TIES)), fill=st.nothing())
        sizes = [None, *(each for each in EXPONENTS if 2.0**each <= magnitude)]
        return st.builds(_of_size, plain, st.sampled_from(sizes)) if rescaled and width > 16 else plain

    return st.sampled_from(dtypes).flatmap(of)


def _of_size(x: np.ndarray, exponent: int | None) -> np.ndarray:
    """Return x times the power of two with which its largest entry lies below 2^exponent, and not below half of it."""
    if exponent is None:
        return x
    scaled: np.ndarray = np.ldexp(x, exponent - np.frexp(np.abs(x).max())[1])
    return scaled


def random_bits(dtype: Any, shape: tuple[int, ...]) -> st.SearchStrategy[np.ndarray]:
    """Random bits for a randomised quantizer: quarters, and numbers near 0 and 1, the largest below 1 included.

    Parameters
    ----------
    dtype : dtype
        Their dtype, which is that of the input.
    shape : tuple of int
        Their shape, which is that of the input.

    Returns
    -------
    hypothesis.strategies.SearchStrategy
        A strategy of arrays in [0, 1).

    Examples
    --------
    >>> import numpy as np
    >>> from hypothesis import given, settings
    >>> from modiff_sim import testing
    >>> @settings(max_examples=5, database=None)
    ... @given(testing.random_bits(np.float32, (1, 3)))
    ... def is_in_the_interval(u):
    ...     assert ((u >= 0) & (u < 1)).all()
    >>> is_in_the_interval()
    """
    last = float(np.finfo(dtype).epsneg)  # 1 - last is the largest number below 1
    near = [0.0, 0.25, 0.5, 0.75, *(u for e in (last, 2.0**-8, 2.0**-4) for u in (1 - e, e))]
    return hnp.arrays(dtype, shape, elements=st.sampled_from(near), fill=st.nothing())


def granularities(*, ndim: int = 2) -> st.SearchStrategy[Any]:
    """Granularities that fit any array of this many axes.

    Each is its class's ``example``, so that the group size is 1. ``PerSample`` is the most frequent.

    Parameters
    ----------
    ndim : int, default 2
        Axes of the arrays; below 2 only ``PerBatch`` fits.

    Returns
    -------
    hypothesis.strategies.SearchStrategy
        A strategy of granularities.

    Examples
    --------
    >>> from hypothesis import given, settings
    >>> from modiff_sim import testing
    >>> @settings(max_examples=5, database=None)
    ... @given(testing.granularities())
    ... def fits(granularity):
    ...     assert granularity.block_size((2, 3)) in (1, 2, 3, 6)
    >>> fits()
    """
    first = [PerSample(), PerSample(), PerBatch(), PerChannel(1), PerToken(), PerGroup(1)]
    known = [*first, *(kind.example() for kind in GRANULARITIES.values() if kind not in map(type, first))]
    return st.sampled_from(known if ndim >= 2 else [PerBatch()])


def quantizers(*, names: Any = None, max_bits: int = 8, granularity: Any = None) -> st.SearchStrategy[Quantizer]:
    """Quantizers of the registry with their bits up to ``max_bits``.

    Parameters
    ----------
    names : str or iterable of str, optional
        Names in ``QUANTIZERS``; all of them by default.
    max_bits : int, default 8
        The most bits; formats that decide their own bits keep them.
    granularity : Granularity, optional
        The granularity of all; drawn from ``granularities`` by default.

    Returns
    -------
    hypothesis.strategies.SearchStrategy
        A strategy of quantizers.

    Examples
    --------
    >>> from hypothesis import given, settings
    >>> from modiff_sim import testing
    >>> @settings(max_examples=5, database=None)
    ... @given(testing.quantizers(names=["absmax"], max_bits=4))
    ... def has_few_bits(Q):
    ...     assert 2 <= Q.bits <= 4
    >>> has_few_bits()
    """
    granularity = granularities() if granularity is None else st.just(granularity)

    def of(name: str) -> st.SearchStrategy[Quantizer]:
        least = QUANTIZERS[name].min_bits
        return st.builds(lambda b, g: make(name, b, granularity=g), st.integers(max(least, 1), max_bits), granularity)

    return st.sampled_from(sorted(QUANTIZERS if names is None else listed(names))).flatmap(of)


def sequences(
    *, min_steps: int = 2, max_steps: int = 8, d: int = 4, elements: Any = None
) -> st.SearchStrategy[np.ndarray]:
    """Input sequences (steps, 2 samples, d) in sampling order; stationary, bursty and constant stretches all occur.

    Parameters
    ----------
    min_steps, max_steps : int, default 2 and 8
        How many calls a sequence has.
    d : int, default 4
        Entries of a sample.
    elements : strategy of float, optional
        The entries; quarters between -50 and 50 by default.

    Returns
    -------
    hypothesis.strategies.SearchStrategy
        A strategy of float64 arrays.

    Examples
    --------
    >>> from hypothesis import given, settings
    >>> from modiff_sim import testing
    >>> @settings(max_examples=5, database=None)
    ... @given(testing.sequences(max_steps=3))
    ... def is_a_sequence(inputs):
    ...     assert inputs.shape[1:] == (2, 4)
    >>> is_a_sequence()
    """
    elements = st.integers(-200, 200).map(lambda i: i / 4) if elements is None else elements
    rows = st.integers(min_steps, max_steps).flatmap(lambda n: hnp.arrays(np.float64, (n, 2, d), elements=elements))

    def hold(drawn: tuple[np.ndarray, list[bool]]) -> np.ndarray:
        a, moves = drawn
        kept = [0]
        for k in range(1, len(a)):
            kept.append(k if moves[k % len(moves)] else kept[-1])
        return a[kept]

    return st.tuples(rows, st.lists(st.booleans(), min_size=3, max_size=max_steps)).map(hold)


def integer_sequences(*, max_steps: int = 8, d: int = 4, limit: int = 8) -> st.SearchStrategy[np.ndarray]:
    """Sequences of small integers, on which a power-of-two scale makes every operation exact, so that ``==`` must hold.

    Parameters
    ----------
    max_steps : int, default 8
        The most calls that a sequence has.
    d : int, default 4
        Entries of a sample.
    limit : int, default 8
        The largest size of an entry.

    Returns
    -------
    hypothesis.strategies.SearchStrategy
        A strategy of float64 arrays (steps, 2, d).

    Examples
    --------
    >>> from hypothesis import given, settings
    >>> from modiff_sim import testing
    >>> @settings(max_examples=5, database=None)
    ... @given(testing.integer_sequences())
    ... def is_whole(inputs):
    ...     assert (inputs == inputs.round()).all()
    >>> is_whole()
    """
    return sequences(max_steps=max_steps, d=d, elements=st.integers(-limit, limit).map(float))
