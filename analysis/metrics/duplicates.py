"""Images that repeat others: of their own set, or of the training set."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..sampling.images import alike, checked
from ._arrays import Floats, flat

BLOCK = 1024  # rows per block of the table of distances: 8 MB
ALONE = "cannot leave one out of a single image: give at least two, or a reference"
NEAR = 0.02  # share of the range [-1, 1] by which a pixel of a near-duplicate differs, in the quadratic mean


def nearest_distance(x: ArrayLike, reference: ArrayLike | None = None) -> Floats:
    """Euclidean distance from each image to the nearest reference image, float64 (n,).

    Without a reference: to the nearest *other* image of x (leave-one-out). Samples that repeat training
    images show as distances to the training set far below those between real images.

    Raises:
        ValueError: image sizes that differ, NaN or Inf, fewer than two images to leave one out of; images of another
            kind or range.
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
    """From each row of a to the nearest of b; ``itself``: they are one set, and no row is compared with itself."""
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
    # the nearest one is found by the fast expansion and measured directly: the expansion cancels at distance
    # 0
    return np.concatenate(
        [np.linalg.norm(a[i : i + BLOCK] - b[nearest[i : i + BLOCK]], axis=1) for i in range(0, len(a), BLOCK)]
    )


def duplicates(images: ArrayLike, *, near: float = NEAR) -> np.ndarray:
    """Whether each image (near-)repeats another one of the same set, bool (n,); its mean is their share.

    Args:
        images: (n, ...) in [-1, 1], at least two.
        near: two images are near-duplicates where the root mean square of their difference is at most this share
            of the range, in [0, 1). 0.02 is 5 of 255 grey levels.

    Raises:
        ValueError: as ``nearest_distance``; ``near`` outside [0, 1), as grey levels would be.
    """
    if not 0 <= near < 1:
        raise ValueError(f"near is a share of the range and must lie in [0, 1), got {near}")
    return repeated(flat(checked("images", images)), near)


def repeated(rows: Floats, near: float = NEAR) -> np.ndarray:
    """As ``duplicates``, of rows (n, values) that have been looked at already."""
    if len(rows) < 2:
        raise ValueError(ALONE)
    return _nearest(rows, rows, itself=True) <= near * 2.0 * np.sqrt(rows.shape[1])
