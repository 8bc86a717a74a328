"""Images that repeat others of their own set, or of the training set."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .arrays import Floats, flat
from .images import alike, checked
from .metric import Judged, Metric, Statistic

BLOCK = 1024  # rows per block of the table of distances: 8 MB
ALONE = "cannot leave one out of a single image: give at least two, or a reference"
NEAR = 0.02  # share of the range [-1, 1] by which a pixel of a near-duplicate differs, in the quadratic mean


def nearest_distance(x: ArrayLike, reference: ArrayLike | None = None) -> Floats:
    """Return the Euclidean distance from each image to the nearest reference image, float64 (n,).

    Without a reference it is the distance to the nearest *other* image of x (leave-one-out). Samples that repeat
    training images have distances to the training set far below those between real images.

    Raises
    ------
    ValueError
        The sizes of the images differ, they hold NaN or Inf or are of another kind or range, or there are fewer than
        two of which to leave one out.
    """
    if reference is None:
        a = b = flat(checked("x", x))
        if len(a) < 2:
            raise ValueError(ALONE)
    else:
        one, other = (checked(name, z, anything=True) for name, z in (("x", x), ("reference", reference)))
        if one.ndim == other.ndim and one.shape[1:] != other.shape[1:]:
            raise ValueError(f"no nearest image for {one.shape} among {other.shape}")
        alike({"x": one, "reference": other})
        a, b = flat(one), other.reshape(len(other), -1)  # blocks of it become float64
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"no nearest image for {a.shape} among {b.shape}")
    return _nearest(a, b, itself=reference is None)


def _nearest(a: Floats, b: np.ndarray, *, itself: bool) -> Floats:
    """Return the distance from each row of a to the nearest of b.

    With ``itself`` they are one set, and a row is not compared with itself.
    """
    best, nearest = np.full(len(a), np.inf), np.zeros(len(a), np.int64)
    for j in range(0, len(b), BLOCK):
        part = b[j : j + BLOCK].astype(np.float64)
        size = (part**2).sum(axis=1)[None]
        for i in range(0, len(a), BLOCK):
            mine = a[i : i + BLOCK]
            square = (mine**2).sum(axis=1)[:, None] + size - 2.0 * (mine @ part.T)
            if itself and i == j:
                np.fill_diagonal(square, np.inf)
            here, rows = square.argmin(axis=1), np.arange(len(mine))
            found = square[rows, here]
            nearer = found < best[i : i + BLOCK]
            best[i : i + BLOCK][nearer] = found[nearer]
            nearest[i : i + BLOCK][nearer] = j + here[nearer]
    # the fast expansion finds the nearest row, whose distance is then measured directly, because the expansion loses
    # its digits near 0
    return np.concatenate(
        [np.linalg.norm(a[i : i + BLOCK] - b[nearest[i : i + BLOCK]], axis=1) for i in range(0, len(a), BLOCK)]
    )


def duplicates(images: ArrayLike, *, near: float = NEAR) -> np.ndarray:
    """Say of each image whether it (nearly) repeats another one of the same set, bool (n,). The mean is their share.

    Parameters
    ----------
    images
        Images (n, ...) in [-1, 1], at least two.
    near
        Two images are near-duplicates where the root mean square of their difference is at most this share
        of the range, in [0, 1). 0.02 is 5 of 255 grey levels.

    Raises
    ------
    ValueError
        As for ``nearest_distance``; or ``near`` lies outside [0, 1), as grey levels would.
    """
    if not 0 <= near < 1:
        raise ValueError(f"near is a share of the range and must lie in [0, 1), got {near}")
    return repeated(flat(checked("images", images)), near)


def repeated(rows: Floats, near: float = NEAR) -> np.ndarray:
    """Return the same as ``duplicates`` for rows (n, values) that have already been checked."""
    if len(rows) < 2:
        raise ValueError(ALONE)
    return _nearest(rows, rows, itself=True) <= near * 2.0 * np.sqrt(rows.shape[1])


def _share(judged: Judged) -> Statistic:
    """The share of images that repeat another of the set."""
    again = repeated(flat(judged.seen))
    return lambda w: float(w @ again / w.sum())


METRICS = {"duplicates": Metric("share of near-duplicates", _share)}
