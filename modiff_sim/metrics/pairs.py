"""Images against those of full precision from the same noise: psnr, ssim, relative l2, first divergence."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import ArrayLike

from .arrays import Floats, flat, pairs
from .images import plain
from .metric import Metric

WINDOW, SIGMA = 11, 1.5
K1, K2 = 0.01, 0.03


def psnr(x: ArrayLike, y: ArrayLike, *, data_range: float = 2.0) -> Floats:
    """Return 10·log10(data_range²/mean square difference) per image in dB, float64 (n,); inf for equal images.

    Parameters
    ----------
    x, y
        Floats (n, ...) of one range.
    data_range
        White minus black. 2 stands for [-1, 1], which is then checked; with another value, such as 1 for [0, 1], the
        images may lie anywhere.

    Raises
    ------
    ValueError
        The sets differ in shape, are empty, hold NaN or Inf or are of another kind or range; or data_range is not
        positive and finite, or both sets exceed it by half in more than a few values.

    Warns
    -----
    UserWarning
        The images are much wider or narrower than data_range.
    """
    _positive(data_range)
    a, b = map(flat, pairs(x, y, anything=data_range != 2.0))
    if data_range != 2.0:
        _fits(a, b, data_range)
    mse = ((a - b) ** 2).mean(axis=1)
    out = np.full(len(mse), np.inf)
    np.log10(data_range**2 / np.where(mse > 0, mse, 1.0), out=out, where=mse > 0)
    return 10.0 * out


def _positive(data_range: float) -> None:
    if not 0 < data_range < np.inf:
        raise ValueError(f"data_range must be positive and finite, got {data_range}")


def _fits(a: Floats, b: Floats, data_range: float) -> None:
    """Refuse or warn where the span of both does not fit the data_range that the caller chose.

    Where only one set is too wide, or only a few values of both are, it is an arm that overshoots, and gives a warning.
    """
    span = max(a.max(), b.max()) - min(a.min(), b.min())
    if span <= 1.5 * data_range and not 0 < span < data_range / 8:
        return
    said = f"the images span {span:.4g} but data_range is {data_range:g}: give white minus black (2 for [-1, 1])"
    if min(float(np.subtract(*np.quantile(each, [0.99, 0.01]))) for each in (a, b)) > 1.5 * data_range:
        raise ValueError(said)
    warnings.warn(said, stacklevel=3)


def relative_l2(x: ArrayLike, y: ArrayLike) -> Floats:
    """Return |x-y|/|y| per image, float64 (n,), where y is the reference. Images lie in [-1, 1], so that grey is zero.

    Raises
    ------
    ValueError
        The sets differ in shape, are empty, hold NaN or Inf or are of another kind or range, or a reference image is
        all zero.
    """
    a, b = map(flat, pairs(x, y))
    size = np.linalg.norm(b, axis=1)
    if not size.all():
        raise ValueError(f"reference image {int(np.argmin(size))} is all zero: its relative error is undefined")
    return np.linalg.norm(a - b, axis=1) / size


def ssim(x: ArrayLike, y: ArrayLike, *, data_range: float = 2.0, window: int | None = None) -> Floats:
    """Return the structural similarity per image, float64 (n,), in [-1, 1].

    This is eq. (13) of Wang et al. 2004 with K1 = 0.01 and K2 = 0.03. As in the paper, grey levels are counted from
    black: data_range/2 is added to both, since here black is -1. (Counted from the middle, the product of two means
    would not reflect brightness: an image and its negative would get the same value.)

    Means, variances and covariances are taken under a Gaussian window of standard deviation 1.5 and divided by n, not
    n-1. The result is the mean over channels and over all places where the window lies inside the image.

    Parameters
    ----------
    x, y
        Floats (n, C, H, W) in [-data_range/2, data_range/2]: black is counted from there.
    window
        Odd side of the window; by default 11, or the largest that fits (7 for 8×8 images, whose numbers therefore
        cannot be compared with those of larger images).

    Raises
    ------
    ValueError
        The sets differ in shape, do not have four axes, have channels last, are empty, hold NaN or Inf or are of
        another kind or range; data_range is not positive and finite; or the window is even or does not fit.
    """
    _positive(data_range)
    a, b = (z + data_range / 2 for z in pairs(x, y, axes=4, limit=data_range / 2))
    smallest = min(a.shape[2:])
    side = min(WINDOW, smallest - 1 + smallest % 2) if window is None else window
    if side < 1 or side % 2 == 0 or side > smallest:
        raise ValueError(f"the window must be odd and fit {a.shape[2]}×{a.shape[3]} images, got {side}")
    rows, columns = (_placed(side, length) for length in a.shape[2:])

    def mean(z: Floats) -> Floats:
        return rows @ z @ columns.T

    c1, c2 = (K1 * data_range) ** 2, (K2 * data_range) ** 2
    ma, mb = mean(a), mean(b)
    va, vb, cov = mean(a * a) - ma**2, mean(b * b) - mb**2, mean(a * b) - ma * mb
    similarity = (2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2))
    return similarity.mean(axis=(1, 2, 3))


def _placed(side: int, length: int) -> Floats:
    """Return the one-dimensional window at each place where it fits, (length - side + 1, length)."""
    weights = np.exp(-0.5 * ((np.arange(side) - side // 2) / SIGMA) ** 2)
    weights /= weights.sum()
    return np.stack([np.pad(weights, (i, length - side - i)) for i in range(length - side + 1)])


def first_divergence(x: ArrayLike, y: ArrayLike, *, tolerance: float = 0.01) -> np.ndarray:
    """Return the first model call after which two trajectories of an image differ, int64 (n,), counted from 0.

    Parameters
    ----------
    x, y
        Trajectories (calls, n, ...) in sampling order: x at each call of the sampler's callback; y is full precision's.
    tolerance
        They differ where |x-y| > tolerance·|y|.

    Returns
    -------
    numpy.ndarray
        The index of the call. It is ``calls`` where they never differ, so that a later divergence is a larger number.

    Raises
    ------
    ValueError
        The sets differ in shape, are empty, hold NaN or Inf or are of another kind or range, or tolerance is negative.
    """
    if not tolerance >= 0:
        raise ValueError(f"tolerance must be at least 0, got {tolerance}")
    a, b = plain("x", x), plain("y", y)
    if a.shape != b.shape or a.ndim < 3 or a.size == 0:
        raise ValueError(f"trajectories must be (calls, n, ...) of one shape, got {a.shape} and {b.shape}")
    calls, n = a.shape[:2]
    a, b = (z.reshape(a.shape) for z in pairs(a.reshape(calls * n, -1), b.reshape(calls * n, -1)))
    off, size = (np.linalg.norm(z.reshape(calls, n, -1), axis=2) for z in (a - b, b))
    apart = off > tolerance * size
    return np.where(apart.any(axis=0), apart.argmax(axis=0), calls)


METRICS = {
    "psnr": Metric("PSNR to full precision, dB", psnr, over="pairs"),
    "ssim": Metric("SSIM to full precision", ssim, over="pairs"),
    "relative_l2": Metric("relative l2 to full precision", relative_l2, over="pairs"),
    "first_divergence": Metric("first call that differs", first_divergence, over="trajectories"),
}
