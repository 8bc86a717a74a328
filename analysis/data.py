"""The one data set of this project: scikit-learn's digits, inside the package, so nothing is downloaded.

8x8 grey images of handwritten digits (UCI ML hand-written digits, test part, 1797 images). It stands in for
the paper's CIFAR-10 and LSUN wherever the paper's tables are mentioned.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SPLIT_SEED = 20250613


def digits() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """All images, float32 (1797, 1, 8, 8) in [-1, 1] (grey levels 0..16 mapped linearly), and labels 0..9."""
    from sklearn.datasets import load_digits

    data = load_digits()
    images = (data.images / 8.0 - 1.0).astype(np.float32)[:, None]  # exact: 17 levels, multiples of 1/8
    return images, data.target.astype(np.int64)


def split(n: int, *, test_share: float = 0.2, seed: int = SPLIT_SEED) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices of the train and the test part, int64, sorted, disjoint and covering 0..n-1; the same on every
    call.

    Raises:
        ValueError: a part would be empty.
    """
    n_test = round(n * test_share)
    if not 0 < n_test < n:
        raise ValueError(f"a test share of {test_share} of {n} images leaves an empty part")
    order = np.random.Generator(np.random.PCG64(seed)).permutation(n)
    return np.sort(order[n_test:]), np.sort(order[:n_test])
