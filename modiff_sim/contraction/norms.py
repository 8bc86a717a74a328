"""Operator norms of layers: spectral, and ||A||_{inf→inf} = largest absolute row sum."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..arguments import affordable, count, reals
from ..typing import ArrayLike

if TYPE_CHECKING:
    import scipy.sparse


def linear_norms(weight: ArrayLike) -> tuple[float, float]:
    """The norms of a linear layer.

    Parameters
    ----------
    weight : array_like of float, shape (out, in)
        The weight matrix, finite and not empty.

    Returns
    -------
    spectral, row_sum : float
        The spectral norm, and ||A||_{inf→inf}, the largest absolute row sum.

    Raises
    ------
    TypeError
        If ``weight`` does not hold real numbers.
    ValueError
        For another shape, NaN or Inf.

    Examples
    --------
    >>> from modiff_sim import contraction
    >>> contraction.linear_norms([[3.0, 0.0], [0.0, -4.0]])
    (4.0, 4.0)
    """
    W = reals("weight", weight, finite=True)
    if W.ndim != 2 or W.size == 0:
        raise ValueError(f"a linear layer's weight has shape (out, in), got {W.shape}")
    return float(np.linalg.norm(W, 2)), float(np.abs(W).sum(axis=1).max())


def conv_matrix(
    kernel: ArrayLike, size: tuple[int, ...], *, stride: int = 1, padding: int = 0, dilation: int = 1, groups: int = 1
) -> scipy.sparse.csr_array:
    """A convolution as a sparse matrix over flattened (channels, *size).

    It is a cross-correlation with zero padding, as torch's.

    Parameters
    ----------
    kernel : array_like of float, shape (out, in/groups, *k)
        The kernel, with 1 or 2 spatial axes.
    size : tuple of int
        Spatial size of the input.
    stride, padding, dilation, groups : int, default 1, 0, 1 and 1
        As torch's.

    Returns
    -------
    scipy.sparse.csr_array
        The matrix.

    Raises
    ------
    TypeError
        If ``kernel`` does not hold real numbers.
    ValueError
        For shapes or numbers that do not fit.
    MemoryError
        If the matrix does not fit into this machine's memory.

    Examples
    --------
    >>> from modiff_sim import contraction
    >>> contraction.conv_matrix([[[1.0, 2.0]]], (3,)).toarray()
    array([[1., 2., 0.],
           [0., 1., 2.]])
    """
    import scipy.sparse  # here, because importing it takes longer than the rest of the core

    K = reals("kernel", kernel, finite=True)
    for name, value in (("stride", stride), ("dilation", dilation), ("groups", groups)):
        count(name, value)
    count("padding", padding, 0)
    size = tuple(count("size, of the input in space,", n) for n in size)
    space = K.ndim - 2
    if space not in (1, 2) or len(size) != space:
        raise ValueError(
            f"kernel (out, in/groups, *k) with 1 or 2 spatial axes and a matching size, got {K.shape}, {size}"
        )
    if K.size == 0 or K.shape[0] % groups:
        raise ValueError(f"{K.shape[0]} output channels cannot be split into {groups} groups")
    out_size = tuple(
        (n + 2 * padding - dilation * (k - 1) - 1) // stride + 1 for n, k in zip(size, K.shape[2:], strict=True)
    )
    if min(out_size) < 1:
        raise ValueError(f"kernel {K.shape[2:]} does not fit into an input of size {size} with padding {padding}")
    affordable(f"a convolution of {out_size} places as a matrix", 24 * K.size * math.prod(out_size))
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


def conv_norms(kernel: ArrayLike, size: tuple[int, ...], **options: Any) -> tuple[float, float]:
    """The norms of a convolution on inputs of this spatial size.

    Parameters
    ----------
    kernel : array_like of float, shape (out, in/groups, *k)
        The kernel, with 1 or 2 spatial axes.
    size : tuple of int
        Spatial size of the input.
    **options
        stride, padding, dilation and groups of ``conv_matrix``.

    Returns
    -------
    spectral, row_sum : float
        The spectral norm, and ||A||_{inf→inf}, the largest absolute row sum.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As ``conv_matrix``.

    Examples
    --------
    >>> from modiff_sim import contraction
    >>> round(contraction.conv_norms([[[1.0, 2.0]]], (3,))[1], 6)
    3.0
    """
    import scipy.sparse.linalg

    M = conv_matrix(kernel, size, **options)
    row_sum = float(abs(M).sum(axis=1).max())
    if min(M.shape) <= 64:
        return float(np.linalg.norm(M.toarray(), 2)), row_sum
    start = np.random.default_rng(0).standard_normal(min(M.shape))
    return float(scipy.sparse.linalg.svds(M, k=1, v0=start, return_singular_vectors=False)[0]), row_sum
