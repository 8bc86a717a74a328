"""FID, sFID, IS and KID themselves, from torch-fidelity and its Inception weights. Nothing else here has these names.

This needs the extra ``[fid]``. The weights (``weights-inception-2015-12-05-6726825d.pth``) are given by path, or
torch-fidelity downloads them. Where they cannot be had, ``attempt`` says NOT_RUN and why.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from modiff_sim.metrics.arrays import Floats
from modiff_sim.metrics.frechet import distance_of_moments, moments
from modiff_sim.metrics.images import channels_last, checked, plain
from modiff_sim.sweeps.store import sha256

from ..sampling.pictures import levels

WEIGHTS = "weights-inception-2015-12-05-6726825d.pth"
SPATIAL = 7 * 17 * 17  # features of sFID: 7 channels of a 17×17 layer


class InceptionMissing(RuntimeError):
    """FID was requested and cannot be computed here; the message says what is missing."""


class _Pictures(Dataset[torch.Tensor]):
    """Images in [-1, 1] in the form that torch-fidelity takes: uint8 (3, H, W), grey ones repeated."""

    def __init__(self, name: str, images: np.ndarray) -> None:
        x = plain(name, images)
        if x.ndim != 4 or x.shape[1] not in (1, 3) or len(x) < 2:
            said = f"{name} must be (n, 1 or 3, H, W) with n >= 2, got {x.shape}"
            raise ValueError(said + (f": give {name}.transpose(0, 3, 1, 2)" if channels_last(x.shape) else ""))
        self.images = levels(checked(name, x, judged=True))

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> torch.Tensor:
        image = torch.from_numpy(self.images[index])
        return image.expand(3, -1, -1) if len(image) == 1 else image

    def batches(self, size: int) -> Iterator[torch.Tensor]:
        for i in range(0, len(self), size):
            yield torch.stack([self[j] for j in range(i, min(i + size, len(self)))])


def inception_metrics(
    images: np.ndarray,
    reference: np.ndarray,
    *,
    weights: str | Path | None = None,
    batch: int = 64,
    any_n: bool = False,
) -> dict[str, Any]:
    """Return FID, sFID, IS and KID of images (n, C, H, W) in [-1, 1] against real ones, and what made them.

    Parameters
    ----------
    weights
        Path of torch-fidelity's Inception file; None lets torch-fidelity download it.
    any_n
        Allow different numbers of real images and samples (50,000 of each are usual).

    Returns
    -------
    dict
        fid, is, is_std, kid, kid_std as torch-fidelity computes them (is_std over 10 splits, kid over subsets of up to
        1000); sfid, or None with sfid_not_run for at most 2023 images, where its covariance is singular; n,
        n_reference, implementation, weights_sha256.

    Raises
    ------
    InceptionMissing
        The package torch-fidelity is not installed or not usable, or there are no weights.
    ValueError
        Images have another shape, hold NaN or Inf, or are of another kind or range; there are fewer than two; n differs
        without ``any_n``; or the two sets have images of different sizes.
    """
    first, second = _Pictures("images", images), _Pictures("reference", reference)
    if first.images.shape[2:] != second.images.shape[2:]:
        raise ValueError(f"images {first.images.shape} and real ones {second.images.shape}: their sizes must be equal")
    if len(first) != len(second) and not any_n:
        raise ValueError(
            f"FID depends on n: {len(first)} images and {len(second)} real ones; give equal numbers, or pass any_n=True"
        )
    if weights is not None and not Path(weights).is_file():
        raise InceptionMissing(
            f"no Inception weights at {weights}: download {WEIGHTS} from torch-fidelity's releases and pass its path"
        )
    torch_fidelity, extractor = _fidelity()
    path = None if weights is None else str(weights)
    cuda = torch.cuda.is_available()
    try:
        # save_cpu_ram: no processes are started to load images, which are in memory already
        found = torch_fidelity.calculate_metrics(
            input1=first,
            input2=second,
            isc=True,
            fid=True,
            kid=True,
            kid_subset_size=min(1000, len(first), len(second)),
            isc_splits=min(10, len(first)),
            cuda=cuda,
            batch_size=batch,
            verbose=False,
            save_cpu_ram=True,
            feature_extractor_weights_path=path,
        )
        out = {
            "fid": found["frechet_inception_distance"],
            "is": found["inception_score_mean"], "is_std": found["inception_score_std"],
            "kid": found["kernel_inception_distance_mean"], "kid_std": found["kernel_inception_distance_std"],
        }  # fmt: skip
        if min(len(first), len(second)) > SPATIAL:
            network = extractor("spatial", ["2048"], path)
            network = network.cuda() if cuda else network
            out["sfid"] = _sfid(*(spatial_features(network, each, batch) for each in (first, second)))
        else:
            out |= {"sfid": None, "sfid_not_run": f"needs more than {SPATIAL} images, its number of features"}
    except OSError as error:  # URLError is one of these
        raise InceptionMissing(f"the Inception weights could not be downloaded ({error}): pass weights=PATH") from error
    file = Path(torch.hub.get_dir()) / "checkpoints" / WEIGHTS if weights is None else Path(weights)
    return out | {
        "n": len(first), "n_reference": len(second), "implementation": f"torch-fidelity {torch_fidelity.__version__}",
        "weights_sha256": sha256(file) if file.is_file() else None,
    }  # fmt: skip


def _fidelity() -> tuple[Any, Any]:
    """Return torch-fidelity and its extractor of features; InceptionMissing where it cannot be imported."""
    try:
        import torch_fidelity
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    except Exception as error:  # it imports torchvision, which raises RuntimeError if it does not fit torch
        raise InceptionMissing(
            f"FID needs torch-fidelity and a torchvision that fits torch ({type(error).__name__}: {error}): "
            'pip install "modiff-sim[fid]"'
        ) from error
    return torch_fidelity, FeatureExtractorInceptionV3


def attempt(images: np.ndarray, reference: np.ndarray, **options: Any) -> dict[str, Any]:
    """Return ``inception_metrics``, or {"not_run": why} where they cannot be computed."""
    try:
        return inception_metrics(images, reference, **options)
    except InceptionMissing as reason:
        return {"not_run": str(reason)}


def spatial_features(network: Any, pictures: _Pictures, batch: int) -> Floats:
    """Return the features of sFID (Nash et al. 2021): the first 7 channels of the layer mixed_6/conv, (n, 2023).

    In the names of torch-fidelity's network that layer is the 1×1 branch of Mixed_6d.
    """
    seen: list[np.ndarray] = []
    hook = network.Mixed_6d.branch1x1.register_forward_hook(
        lambda _module, _inputs, out: seen.append(out[:, :7].flatten(1).double().cpu().numpy())
    )
    device = next(network.parameters()).device
    try:
        with torch.no_grad():
            for part in pictures.batches(batch):
                network(part.to(device))
    finally:
        hook.remove()
    return np.concatenate(seen)


def _sfid(x: Floats, y: Floats) -> float:
    """Return the Fréchet distance with covariances divided by n - 1, as in implementations of FID."""
    a, b = ((mean, root * np.sqrt(len(z) / (len(z) - 1))) for z in (x, y) for mean, root in (moments(z),))
    return distance_of_moments(a, b)
