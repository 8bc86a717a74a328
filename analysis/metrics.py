"""Quality of samples: Fréchet distance in the features of a digit classifier, recognised share, PSNR,
relative l2.

The Fréchet distance here is *in digit-classifier features, never FID*: other features, other images, another
scale. Its values mean something only next to each other, and only for one classifier, so `FEATURE_NAME`
carries the first digits of the classifier's sha256 and belongs beside every number.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import nn

Floats = NDArray[np.float64]

WEIGHTS = Path(__file__).parent / "weights" / "digit_classifier.safetensors"
FEATURES = 48
MICRO_BATCH = 256
RECOGNISED = 0.9


def about() -> dict[str, Any]:
    """The json beside the classifier's weights (sha256, split, accuracy); empty before it is trained."""
    path = WEIGHTS.with_suffix(".json")
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


FEATURE_NAME = f"digit classifier {about().get('sha256', 'untrained')[:8]}, {FEATURES} features"


def network() -> nn.Sequential:
    """The classifier, (n, 1, 8, 8) -> logits (n, 10), untrained; all but its last module are the features (n,
    48).

    SiLU rather than ReLU: no feature is dead, so no covariance is singular for that reason.
    """
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.SiLU(),
        nn.Conv2d(16, 32, 3, padding=1), nn.SiLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 32, 3, padding=1), nn.SiLU(), nn.Flatten(),
        nn.Linear(32 * 4 * 4, FEATURES), nn.SiLU(),
        nn.Linear(FEATURES, 10),
    )  # fmt: skip


@cache
def _classifier(path: Path) -> nn.Sequential:
    import safetensors.torch

    data = path.read_bytes()
    expected = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["sha256"]
    if hashlib.sha256(data).hexdigest() != expected:
        raise RuntimeError(f"{path.name} is not the file its json describes; run python -m analysis.train classifier")
    with torch.random.fork_rng():
        net = network()
    net.load_state_dict(safetensors.torch.load(data))
    return net.double().eval().requires_grad_(False)


def _forward(images: ArrayLike, *, logits: bool) -> Floats:
    """In float64 and fixed, padded micro-batches: a row depends on its image only.

    Clamped to [-1, 1], as an image is when it is saved: an arm that overshoots is judged by what one would see.
    """
    x = np.asarray(images, dtype=np.float64)
    if x.ndim != 4 or x.shape[1:] != (1, 8, 8) or not len(x):
        raise ValueError(f"images must have shape (n, 1, 8, 8) with n >= 1, got {x.shape}")
    _finite("images", x)
    x = np.clip(x, -1.0, 1.0)
    net = _classifier(WEIGHTS)
    if not logits:
        net = net[:-1]
    rows = []
    with torch.no_grad():
        for i in range(0, len(x), MICRO_BATCH):
            part = x[i : i + MICRO_BATCH]
            padded = np.zeros((MICRO_BATCH, 1, 8, 8))
            padded[: len(part)] = part
            rows.append(net(torch.from_numpy(padded)).numpy()[: len(part)])
    return np.concatenate(rows)


def features(images: ArrayLike) -> Floats:
    """The classifier's last hidden layer, float64 (n, 48), of images (n, 1, 8, 8) in [-1, 1] (NumPy or torch,
    CPU).

    Raises:
        ValueError: another shape, no images, NaN or Inf.
    """
    return _forward(images, logits=False)


def probabilities(images: ArrayLike) -> Floats:
    """Class probabilities, float64 (n, 10); arguments and errors as `features`."""
    z = _forward(images, logits=True)
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def classifier_report(images: ArrayLike) -> dict[str, Any]:
    """What the classifier makes of images (n, 1, 8, 8).

    Returns:
        recognised: share with a class probability above 0.9; histogram: images per most probable class (10
            counts);
        class_entropy: entropy of that histogram in bits, log2(10) = 3.32 when every digit is equally
            frequent.
    """
    p = probabilities(images)
    counts = np.bincount(p.argmax(axis=1), minlength=10)
    share = counts[counts > 0] / counts.sum()
    entropy = abs(float(-(share * np.log2(share)).sum()))  # abs: -0.0 for a single class
    recognised = float((p.max(axis=1) > RECOGNISED).mean())
    return {"recognised": recognised, "class_entropy": entropy, "histogram": counts.tolist()}


def _finite(name: str, x: NDArray[Any]) -> None:
    if not np.isfinite(x).all():
        raise ValueError(f"{name} contain NaN or Inf ({int((~np.isfinite(x)).sum())} of {x.size} values)")


def _feature_set(name: str, x: ArrayLike) -> Floats:
    a = np.asarray(x, dtype=np.float64)
    if a.ndim != 2 or a.shape[1] < 1:
        raise ValueError(f"{name} must be a feature set of shape (n, k), got {a.shape}")
    if a.shape[0] <= a.shape[1]:
        raise ValueError(
            f"{name}: {a.shape[0]} samples of {a.shape[1]} features have a singular covariance; need n > k"
        )
    _finite(name, a)
    return a


def _moments(x: Floats, weights: Floats | None = None) -> tuple[Floats, Floats]:
    """Mean (k,) and root (k, k) of the covariance (divided by n, not n-1: weights are multiplicities)."""
    w = np.full(len(x), 1.0 / len(x)) if weights is None else weights / weights.sum()
    mean = w @ x
    y = (x - mean) * np.sqrt(w)[:, None]
    value, vector = np.linalg.eigh(y.T @ y)
    return mean, (vector * np.sqrt(np.maximum(value, 0.0))) @ vector.T


def _distance(a: tuple[Floats, Floats], b: tuple[Floats, Floats]) -> float:
    """|m1-m2|² + tr C1 + tr C2 - 2 tr (C1^½ C2 C1^½)^½.

    The last trace is the sum of singular values of C1^½ C2^½: roots of the eigenvalues of the symmetric
    product, but without squaring first, which would cost half the digits in directions of small variance.
    """
    (m1, r1), (m2, r2) = a, b
    nuclear = np.linalg.svd(r1 @ r2, compute_uv=False).sum()
    value = ((m1 - m2) ** 2).sum() + (r1**2).sum() + (r2**2).sum() - 2.0 * nuclear
    return max(0.0, float(value))  # rounding can leave -1e-15


def frechet_distance(x: ArrayLike, y: ArrayLike) -> float:
    """Fréchet distance between Gaussians fitted to two feature sets (n, k) and (m, k): Heusel et al. 2017,
    eq. (6).

    With `features` this is the Fréchet distance *in digit-classifier features, never FID*. It is a squared
    distance (units of feature²) and is biased upwards for small n: compare equal n only.

    Raises:
        ValueError: not two-dimensional, different k, n <= k, NaN or Inf.
    """
    a, b = _feature_set("x", x), _feature_set("y", y)
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"x has {a.shape[1]} features and y has {b.shape[1]}")
    return _distance(_moments(a), _moments(b))


@dataclass(frozen=True)
class PairedRatio:
    """ratio = arm/full of two Fréchet distances to one reference; low..high is its bootstrap interval."""

    ratio: float
    low: float
    high: float
    arm: float
    full: float


def paired_frechet_ratio(
    x_arm: ArrayLike, x_full: ArrayLike, reference: ArrayLike, *,
    resamples: int = 200, seed: int = 0, level: float = 0.95,
) -> PairedRatio:  # fmt: skip
    """How much worse an arm is than full precision, with an interval.

    Args:
        x_arm, x_full: features (n, k) of images made from the *same* noise, row by row.
        reference: features (m, k) of real images; not resampled.
        resamples: bootstrap resamples of the image index. Each uses the same indices for both arms, so what
            the two have in common (most of the sampling noise) cancels in the ratio.
        seed: seeds the indices.
        level: nominal coverage of the interval: centred bootstrap of the *difference* of the distances, in units of
            x_full's distance. It decides whether the ratio is 1 or near it; for a ratio far from 1 it leaves out
            the uncertainty of the unit itself.

    Raises:
        ValueError: as `frechet_distance`; x_arm and x_full of different shapes; resamples < 1; level outside
            (0, 1); x_full at distance 0 from the reference.
    """
    arm, full, ref = (_feature_set(*it) for it in (("x_arm", x_arm), ("x_full", x_full), ("reference", reference)))
    if arm.shape != full.shape:
        raise ValueError(f"x_arm {arm.shape} and x_full {full.shape} must be paired row by row")
    if arm.shape[1] != ref.shape[1]:
        raise ValueError(f"x_arm has {arm.shape[1]} features and reference has {ref.shape[1]}")
    if resamples < 1 or not 0.0 < level < 1.0:
        raise ValueError(f"need resamples >= 1 and 0 < level < 1, got {resamples}, {level}")
    target = _moments(ref)
    at_arm, at_full = _distance(_moments(arm), target), _distance(_moments(full), target)
    if at_full == 0.0:
        raise ValueError("x_full is at distance 0 from the reference: a ratio to it means nothing")
    rng = np.random.Generator(np.random.PCG64(seed))
    excess, ratio = np.empty(resamples), at_arm / at_full
    for i in range(resamples):
        times = np.bincount(rng.integers(len(arm), size=len(arm)), minlength=len(arm)).astype(np.float64)
        excess[i] = _distance(_moments(arm, times), target) - _distance(_moments(full, times), target)
    below, middle, above = np.quantile(excess, [(1 - level) / 2, 0.5, (1 + level) / 2])
    # A resample has fewer distinct images, which lifts both distances: in their quotient that pulls every ratio
    # towards 1, in their difference it cancels for equal variances. Where the arm has other variances a shift is left,
    # and centring takes it out: the ratio is one at this n. (A reflected, pivotal interval aims at infinitely many
    # images and can miss the ratio itself.)
    low, high = (ratio + (q - middle) / at_full for q in (below, above))
    return PairedRatio(ratio, float(low), float(high), at_arm, at_full)


def _pairs(x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
    """Both as (n, values per image)."""
    a, b = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if a.shape != b.shape:
        raise ValueError(f"images of different shapes: {a.shape} and {b.shape}")
    if a.ndim < 2 or a.size == 0:
        raise ValueError(f"expected a non-empty batch (n, ...), got shape {a.shape}")
    _finite("x", a)
    _finite("y", b)
    return a.reshape(len(a), -1), b.reshape(len(b), -1)


def psnr(x: ArrayLike, y: ArrayLike, *, data_range: float = 2.0) -> Floats:
    """10·log10(data_range²/mean square difference) per image, dB, float64 (n,); inf for equal images.

    Raises:
        ValueError: different shapes, no images, NaN or Inf, data_range <= 0.
    """
    if not data_range > 0:
        raise ValueError(f"data_range must be positive, got {data_range}")
    a, b = _pairs(x, y)
    mse = ((a - b) ** 2).mean(axis=1)
    out = np.full(len(mse), np.inf)
    np.log10(data_range**2 / np.where(mse > 0, mse, 1.0), out=out, where=mse > 0)
    return 10.0 * out


def relative_l2(x: ArrayLike, y: ArrayLike) -> Floats:
    """|x-y|/|y| per image, y being the reference, float64 (n,).

    Raises:
        ValueError: different shapes, no images, NaN or Inf, a reference image that is all zero.
    """
    a, b = _pairs(x, y)
    size = np.linalg.norm(b, axis=1)
    if not size.all():
        raise ValueError(f"reference image {int(np.argmin(size))} is all zero: a relative error means nothing")
    return np.linalg.norm(a - b, axis=1) / size


def nearest_distance(x: ArrayLike, reference: ArrayLike | None = None) -> Floats:
    """Euclidean distance from each image to the nearest reference image, float64 (n,).

    Without a reference: to the nearest *other* image of x (leave-one-out). Samples that repeat training
    images show as distances to the training set far below those between real images.

    Raises:
        ValueError: image sizes that differ, NaN or Inf, fewer than two images to leave one out of.
    """
    a = np.asarray(x, dtype=np.float64)
    a = a.reshape(len(a), -1)
    b = a if reference is None else np.asarray(reference, dtype=np.float64).reshape(len(reference), -1)
    if a.shape[1] != b.shape[1] or not len(b) or (reference is None and len(a) < 2):
        raise ValueError(f"no nearest image for {a.shape} among {b.shape}")
    _finite("x", a)
    _finite("reference", b)
    square = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None] - 2.0 * (a @ b.T)
    if reference is None:
        np.fill_diagonal(square, np.inf)
    # the nearest one is found by the fast expansion and measured directly: the expansion cancels at distance
    # 0
    return np.linalg.norm(a - b[square.argmin(axis=1)], axis=1)
