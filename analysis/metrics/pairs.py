"""Images against those that full precision makes from the same noise: psnr, ssim, relative l2, first divergence."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import ArrayLike

from ..sampling.images import plain
from ._arrays import Floats, flat, pairs

WINDOW, SIGMA = 11, 1.5
K1, K2 = 0.01, 0.03


def psnr(x: ArrayLike, y: ArrayLike, *, data_range: float = 2.0) -> Floats:
    """10·log10(data_range²/mean square difference) per image, dB, float64 (n,); inf for equal images.

    Args:
        x, y: floats (n, ...), of one range.
        data_range: white minus black. 2 stands for [-1, 1], which is then checked; of another width, the images may
            lie anywhere: 1 for [0, 1].

    Raises:
        ValueError: different shapes, no images, NaN or Inf; a data_range that is not positive and finite, or that both
            sets exceed by half in more than a few values; images of another kind or range.

    Warns:
        UserWarning: the images are much wider or narrower than data_range.
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
    """Refuse or warn where the span of both is no fit for a data_range that the caller chose.

    Where only one set is too wide, or few values of both, that is an arm that overshoots: then it is a warning.
    """
    span = max(a.max(), b.max()) - min(a.min(), b.min())
    if span <= 1.5 * data_range and not 0 < span < data_range / 8:
        return
    said = f"the images span {span:.4g} but data_range is {data_range:g}: give white minus black (2 for [-1, 1])"
    if min(float(np.subtract(*np.quantile(each, [0.99, 0.01]))) for each in (a, b)) > 1.5 * data_range:
        raise ValueError(said)
    warnings.warn(said, stacklevel=3)


def relative_l2(x: ArrayLike, y: ArrayLike) -> Floats:
    """|x-y|/|y| per image, y being the reference, float64 (n,); images in [-1, 1], where grey is zero.

    Raises:
        ValueError: different shapes, no images, NaN or Inf, a reference image that is all zero; images of another kind
            or range.
    """
    a, b = map(flat, pairs(x, y))
    size = np.linalg.norm(b, axis=1)
    if not size.all():
        raise ValueError(f"reference image {int(np.argmin(size))} is all zero: a relative error means nothing")
    return np.linalg.norm(a - b, axis=1) / size


def ssim(x: ArrayLike, y: ArrayLike, *, data_range: float = 2.0, window: int | None = None) -> Floats:
    """Structural similarity per image, float64 (n,), in [-1, 1]: Wang et al. 2004, eq. (13), K1 = 0.01, K2 = 0.03.

    Grey levels are counted from black, as there: data_range/2 is added to both, since here black is -1. (About zero the
    product of two means says nothing of brightness: an image and its negative would come out alike.)

    Means, variances and covariance under a Gaussian window of standard deviation 1.5, divided by n, not n-1; the mean
    over all places where the window lies inside of the image, and over channels.

    Args:
        x, y: floats (n, C, H, W) in [-data_range/2, data_range/2]: black is counted from there.
        window: odd side of the window; default 11, or the largest that fits (7 for 8×8 images, where the numbers are
            therefore not comparable with those of larger images).

    Raises:
        ValueError: different shapes, not four axes, channels last, no images, NaN or Inf, data_range not positive and
            finite, a window that is even or does not fit; images of another kind or range.
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
    """The one-dimensional window at each place where it fits, (length - side + 1, length)."""
    weights = np.exp(-0.5 * ((np.arange(side) - side // 2) / SIGMA) ** 2)
    weights /= weights.sum()
    return np.stack([np.pad(weights, (i, length - side - i)) for i in range(length - side + 1)])


def first_divergence(x: ArrayLike, y: ArrayLike, *, tolerance: float = 0.01) -> np.ndarray:
    """The first model call after which two trajectories of an image differ, int64 (n,), counted from 0.

    Args:
        x, y: (calls, n, ...): x after each call of the sampler's callback, in sampling order; y is full precision's.
        tolerance: they differ where |x-y| > tolerance·|y|.

    Returns:
        The call's index; ``calls`` where they never differ, so that later is larger and never is the latest.

    Raises:
        ValueError: different shapes, no images, NaN or Inf, a negative tolerance; images of another kind or range.
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
