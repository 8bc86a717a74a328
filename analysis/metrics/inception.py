"""The real FID, IS and KID, through torch-fidelity and its Inception weights; nothing else here is called that.

Extra ``[fid]``. The weights (``weights-inception-2015-12-05-6726825d.pth``) are given by path, or torch-fidelity
downloads them where there is a network. sFID is not among what torch-fidelity computes, so it is not among these.
"""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from modiff_sim.store import sha256

from ..pictures import levels


class InceptionMissing(RuntimeError):
    """FID was asked for and cannot be had here; the message says what is missing."""


class _Pictures(Dataset[torch.Tensor]):
    """Images in [-1, 1] as torch-fidelity wants them: uint8 (3, H, W), grey ones repeated."""

    def __init__(self, images: np.ndarray) -> None:
        if images.ndim != 4 or images.shape[1] not in (1, 3):
            raise ValueError(f"images must be (n, 1 or 3, H, W), got {images.shape}")
        self.images = levels(images)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> torch.Tensor:
        image = torch.from_numpy(self.images[index])
        return image.expand(3, -1, -1) if len(image) == 1 else image


def inception_metrics(
    images: np.ndarray, reference: np.ndarray, *, weights: str | Path | None = None, batch: int = 64
) -> dict[str, Any]:
    """FID, IS and KID of images (n, C, H, W) in [-1, 1] against real ones, with what a reader needs to repeat them.

    weights: path of torch-fidelity's Inception file; None lets it download it.

    Raises:
        InceptionMissing: torch-fidelity is not installed or not usable, or there are no weights.
        ValueError: images of another shape.
    """
    first, second = _Pictures(images), _Pictures(reference)
    if weights is not None and not Path(weights).is_file():
        raise InceptionMissing(
            f"no Inception weights at {weights}: FID cannot be computed, and nothing else is called FID"
        )
    try:
        import torch_fidelity
    except Exception as error:  # torchvision, which it imports, raises RuntimeError beside another torch
        raise InceptionMissing(
            f"FID needs torch-fidelity and a torchvision that fits torch ({type(error).__name__}: {error}): "
            'pip install "modiff-sim[fid]"'
        ) from error
    given = {} if weights is None else {"feature_extractor_weights_path": str(weights)}
    try:
        found = torch_fidelity.calculate_metrics(
            input1=first, input2=second, isc=True, fid=True, kid=True,
            kid_subset_size=min(1000, len(first), len(second)),
            cuda=torch.cuda.is_available(), batch_size=batch, verbose=False, **given,
        )  # fmt: skip
    except OSError as error:
        raise InceptionMissing(f"the Inception weights could not be downloaded ({error}): pass weights=PATH") from error
    return {
        "fid": found["frechet_inception_distance"], "is": found["inception_score_mean"],
        "kid": found["kernel_inception_distance_mean"], "n": len(first), "n_reference": len(second),
        "implementation": f"torch-fidelity {importlib.metadata.version('torch-fidelity')}",
        "weights_sha256": None if weights is None else sha256(Path(weights)),
    }  # fmt: skip
