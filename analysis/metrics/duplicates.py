"""Images that repeat others: of their own set, or of the training set."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..images import alike, checked
from ._arrays import Floats, flat

BLOCK = 1024  # rows per block of the table of distances: 8 MB
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
    else:
        one, other = (checked(name, z, anything=True) for name, z in (("x", x), ("reference", reference)))
        if one.ndim == other.ndim and one.shape[1:] != other.shape[1:]:
            raise ValueError(f"no nearest image for {one.shape} among {other.shape}")
        alike({"x": one, "reference": other})
        a, b = flat(one), other.reshape(len(other), -1)  # blocks of it become float64
    if a.shape[1] != b.shape[1] or not len(b) or (reference is None and len(a) < 2):
        raise ValueError(f"no nearest image for {a.shape} among {b.shape}")
    best, nearest = np.full(len(a), np.inf), np.zeros(len(a), np.int64)
    for j in range(0, len(b), BLOCK):
        part = b[j : j + BLOCK].astype(np.float64)
        size = (part**2).sum(axis=1)[None]
        for i in range(0, len(a), BLOCK):
            mine = a[i : i + BLOCK]
            square = (mine**2).sum(axis=1)[:, None] + size - 2.0 * (mine @ part.T)
            if reference is None and i == j:
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
            of the range. 0.02 is 5 of 255 grey levels.

    Raises:
        ValueError: as ``nearest_distance``; a negative ``near``.
    """
    if not near >= 0:
        raise ValueError(f"near must be at least 0, got {near}")
    a = flat(checked("images", images, anything=True))
    return nearest_distance(a) <= near * 2.0 * np.sqrt(a.shape[1])
