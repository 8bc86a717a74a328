"""The features by which images are judged: last hidden layer and class probabilities of a classifier trained here.

A distance in these features is *never FID*, which has other features, other images and another scale. Its values can
only be compared with each other, and only for one classifier, so ``Extractor.name`` has the first digits of the
weights' sha256 and must be shown with every number.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from modiff_sim.metrics.arrays import Floats
from modiff_sim.metrics.images import channels_last, checked, plain
from modiff_sim.metrics.score import RECOGNISED
from modiff_sim.nn import zoo

HERE = Path(__file__).parent.parent / "weights"
MICRO_BATCH = 256
CLASSES = 10


def digit_network() -> nn.Sequential:
    """Make an untrained network from (n, 1, 8, 8) to logits (n, 10). All but its last module give the features (n, 48).

    It uses SiLU rather than ReLU, so that dead features do not make the covariance singular.
    """
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.SiLU(),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.SiLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 32, 3, padding=1),
        nn.SiLU(),
        nn.Flatten(),
        nn.Linear(32 * 4 * 4, 48),
        nn.SiLU(),
        nn.Linear(48, CLASSES),
    )


def fashion_network() -> nn.Sequential:
    """Make an untrained network from (n, 1, 32, 32) to logits (n, 10). All but its last module give features (n, 64).

    It uses strides rather than pooling: with 1.1 M multiplications per image it is cheap even in float64.
    """
    return nn.Sequential(
        nn.Conv2d(1, 16, 5, stride=2, padding=2),
        nn.SiLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.SiLU(),
        nn.Conv2d(32, 32, 3, padding=1),
        nn.SiLU(),
        nn.Conv2d(32, 48, 3, stride=2, padding=1),
        nn.SiLU(),
        nn.Flatten(),
        nn.Linear(48 * 4 * 4, 64),
        nn.SiLU(),
        nn.Linear(64, CLASSES),
    )


def colour_network() -> nn.Sequential:
    """Make an untrained network from (n, 3, 32, 32) to logits (n, 10). All but its last module give features (n, 64).

    It has 0.24 M parameters and 11 M multiplications per image, so that its file is small and float64 is affordable.
    """
    return nn.Sequential(
        nn.Conv2d(3, 24, 3, padding=1),
        nn.SiLU(),
        nn.Conv2d(24, 32, 3, stride=2, padding=1),
        nn.SiLU(),
        nn.Conv2d(32, 48, 3, padding=1),
        nn.SiLU(),
        nn.Conv2d(48, 64, 3, stride=2, padding=1),
        nn.SiLU(),
        nn.Conv2d(64, 64, 3, padding=1),
        nn.SiLU(),
        nn.Conv2d(64, 96, 3, stride=2, padding=1),
        nn.SiLU(),
        nn.Flatten(),
        nn.Linear(96 * 4 * 4, 64),
        nn.SiLU(),
        nn.Linear(64, CLASSES),
    )


@dataclass(frozen=True)
class Extractor:
    """A classifier of one data set.

    ``data`` is the data set, ``kind`` what the classifier is called, ``shape`` (C, H, W) that of its images and
    ``width`` the number of features. ``network`` builds it untrained; all but its last module give the features.
    ``weights`` is a safetensors file with a json (sha256, split, accuracy) beside it, both written by
    ``python -m analysis.training.classifier``.
    """

    data: str
    kind: str
    shape: tuple[int, int, int]
    width: int
    network: Callable[[], nn.Sequential]
    weights: Path

    def about(self) -> dict[str, Any]:
        """Return the json beside the weights; empty before the classifier is trained."""
        path = self.weights.with_suffix(".json")
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    def state(self, data: bytes) -> dict[str, Tensor]:
        """Return the tensors of a file of weights."""
        import safetensors.torch

        found: dict[str, Tensor] = safetensors.torch.load(data)
        return found

    @property
    def source(self) -> str:
        """Where the weights come from, in words that say what to do where they are missing or damaged."""
        return f"run python -m analysis.training.classifier {self.data}"

    @property
    def name(self) -> str:
        """What the features are called: the classifier, the first digits of its sha256, and the number of features."""
        sha256 = self.about().get("sha256")
        return f"{self.kind} {sha256[:8] if sha256 else 'untrained'}, {self.width} features"

    def features_and_probabilities(self, images: ArrayLike) -> tuple[Floats, Floats]:
        """Return last hidden layer (n, width) and class probabilities (n, 10), float64, of images (n, C, H, W).

        Computed in float64 and in fixed, padded micro-batches, so that a row depends on its image only. Images are
        clamped to [-1, 1], as when they are saved: an arm that overshoots is judged by what one would see.

        Parameters
        ----------
        images
            Floats in [-1, 1], NumPy or torch.

        Raises
        ------
        ValueError
            The images have another shape, hold NaN or Inf, or are of another kind or range, such as grey levels or
            images in [0, 1]; or there are none.
        RuntimeError
            The weights are missing, or are not those that their json describes.
        """
        x = plain("images", images)
        if x.ndim != 4 or x.shape[1:] != self.shape or not len(x):
            said = f"images must have shape (n, {', '.join(map(str, self.shape))}) with n >= 1, got {x.shape}"
            raise ValueError(said + (": give images.transpose(0, 3, 1, 2)" if channels_last(x.shape) else ""))
        x = checked("images", x, judged=True).astype(np.float64)
        body, head = _loaded(self)
        features, logits = [], []
        with torch.no_grad():
            for i in range(0, len(x), MICRO_BATCH):
                part = np.clip(x[i : i + MICRO_BATCH], -1.0, 1.0)
                padded = np.zeros((MICRO_BATCH, *self.shape))
                padded[: len(part)] = part
                hidden = body(torch.from_numpy(padded))
                features.append(hidden.numpy()[: len(part)])
                logits.append(head(hidden).numpy()[: len(part)])
        z = np.concatenate(logits)
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return np.concatenate(features), e / e.sum(axis=1, keepdims=True)

    def features(self, images: ArrayLike) -> Floats:
        """Return the last hidden layer, float64 (n, width), as ``features_and_probabilities`` does."""
        return self.features_and_probabilities(images)[0]

    def probabilities(self, images: ArrayLike) -> Floats:
        """Return the class probabilities, float64 (n, 10), as ``features_and_probabilities`` does."""
        return self.features_and_probabilities(images)[1]

    def report(self, images: ArrayLike) -> dict[str, Any]:
        """Return what the classifier finds in images (n, C, H, W).

        Returns
        -------
        dict
            recognised: share with a class probability above 0.9; histogram: images per most probable class (10
            counts); class_entropy: entropy of that histogram in bits, log2(10) = 3.32 when every class is
            equally frequent.
        """
        p = self.probabilities(images)
        counts = np.bincount(p.argmax(axis=1), minlength=CLASSES)
        share = counts[counts > 0] / counts.sum()
        entropy = abs(float(-(share * np.log2(share)).sum()))  # abs: -0.0 for a single class
        recognised = float((p.max(axis=1) > RECOGNISED).mean())
        return {"recognised": recognised, "class_entropy": entropy, "histogram": counts.tolist()}


@cache
def _loaded(extractor: Extractor) -> tuple[nn.Sequential, nn.Module]:
    """Return all modules but the last, and the last one, in float64."""
    path = extractor.weights
    if not path.exists():
        raise RuntimeError(f"{path.name} is missing; {extractor.source}")
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != extractor.about().get("sha256"):
        raise RuntimeError(f"{path.name} is not the file that is described; {extractor.source}")
    with torch.random.fork_rng():
        net = extractor.network()
    net.load_state_dict(extractor.state(data))
    net = net.double().eval().requires_grad_(False)
    return net[:-1], net[-1]


# Add a classifier here, and its recipe in analysis/training/classifier.py. Keys are names of data sets.
EXTRACTORS = {
    "digits": Extractor(
        "digits", "digit classifier", (1, 8, 8), 48, digit_network, HERE / "digit_classifier.safetensors"
    ),
    "fashion32": Extractor(
        "fashion32", "fashion classifier", (1, 32, 32), 64, fashion_network, HERE / "fashion_classifier.safetensors"
    ),
    "cifar10": Extractor(
        "cifar10", "colour classifier", (3, 32, 32), 64, colour_network, HERE / "colour_classifier.safetensors"
    ),
}


def of_model(name: str) -> Extractor | None:
    """Return the classifier of the images that a model of the zoo was trained on; None for other models."""
    return EXTRACTORS.get(zoo.data_set(name)) if name in zoo.MODELS else None
