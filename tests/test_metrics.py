"""Metrics against closed forms, with negative controls."""

import json
import math

import numpy as np
import pytest
import torch

from analysis import metrics
from analysis.datasets import digits, split
from analysis.metrics import (
    classifier_report,
    features,
    frechet_distance,
    nearest_distance,
    paired_frechet_ratio,
    probabilities,
    psnr,
    relative_l2,
)

EPS = np.finfo(np.float64).eps


def whitened(n, k, seed=0):
    """A set with mean 0 and covariance 1 to rounding, so that moments of its affine images are known exactly."""
    x = np.random.default_rng(seed).standard_normal((n, k))
    x -= x.mean(axis=0)
    return x @ np.linalg.inv(np.linalg.cholesky(x.T @ x / n)).T


# Fréchet -------------------------------------------------------------------------------------------------------


def test_frechet_of_diagonal_gaussians_is_the_closed_form():
    """|m|² + Σ(s-t)² for standard deviations s and t."""
    s, t = np.array([1.0, 2.0, 0.5, 0.0]), np.array([1.5, 0.1, 0.5, 3.0])
    m = np.array([0.3, -1.0, 0.0, 2.0])
    x, y = whitened(300, 4) * s, whitened(500, 4, seed=1) * t + m
    expected = (m**2).sum() + ((s - t) ** 2).sum()
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e3 * EPS)  # sums over 500 rows


def test_frechet_of_correlated_gaussians_is_the_trace_formula():
    """Against scipy's general matrix root of the unsymmetric product, which is how FID codes compute it."""
    from scipy.linalg import sqrtm

    rng = np.random.default_rng(2)
    x = rng.standard_normal((400, 6)) @ rng.standard_normal((6, 6))
    y = rng.standard_normal((300, 6)) @ rng.standard_normal((6, 6)) + 1
    c1, c2 = np.cov(x.T, bias=True), np.cov(y.T, bias=True)
    trace = np.trace(c1 + c2 - 2 * np.real(sqrtm(c1 @ c2)))
    expected = ((x.mean(axis=0) - y.mean(axis=0)) ** 2).sum() + trace
    # the root of the product squares its condition number (about 1e4 here)
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e6 * EPS)


def test_frechet_is_zero_for_equal_sets_symmetric_and_blind_to_order():
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((100, 8)) * 10.0 ** np.arange(-4, 4), rng.standard_normal((90, 8))
    size = x.var(axis=0).sum()
    assert frechet_distance(x, x) <= 100 * EPS * size  # sums of 100 rows, not √EPS: that is the point of the svd
    assert frechet_distance(x, x[::-1]) <= 100 * EPS * size
    assert frechet_distance(x, y) == pytest.approx(frechet_distance(y, x), rel=100 * EPS)
    assert frechet_distance(x, y) > 0.1 * size


def test_frechet_sees_a_collapse_and_a_shift():
    """Negative controls: same mean with less variance, and same covariance elsewhere, are both far from 0."""
    x = whitened(200, 5)
    assert frechet_distance(x, 0.5 * x) == pytest.approx(5 * 0.25, rel=1e3 * EPS)
    assert frechet_distance(x, x + 0.1) == pytest.approx(5 * 0.01, rel=1e4 * EPS)


@pytest.mark.parametrize(
    ("x", "y", "match"),
    [
        (np.zeros(5), np.zeros((5, 2)), r"shape \(n, k\)"),
        (np.zeros((2, 2)), np.zeros((5, 2)), "n > k"),
        (np.zeros((5, 2)), np.zeros((5, 3)), "features"),
        (np.full((5, 2), np.nan), np.zeros((5, 2)), "NaN or Inf"),
        (np.zeros((5, 2)), np.full((5, 2), np.inf), "NaN or Inf"),
    ],
)
def test_frechet_refuses(x, y, match):
    with pytest.raises(ValueError, match=match):
        frechet_distance(x, y)


# the paired ratio ----------------------------------------------------------------------------------------------


def three_sets(n=300, k=6):
    rng = np.random.default_rng(4)
    full = rng.standard_normal((n, k)) + 0.5
    return full, rng.standard_normal((2 * n, k))


def test_an_arm_equal_to_full_precision_has_ratio_exactly_one():
    full, ref = three_sets()
    r = paired_frechet_ratio(full, full, ref)
    assert (r.ratio, r.low, r.high) == (1.0, 1.0, 1.0)


def test_the_ratio_is_that_of_the_distances_and_its_interval_covers_it():
    full, ref = three_sets()
    arm = 1.2 * full + 0.3
    r = paired_frechet_ratio(arm, full, ref, resamples=100)
    assert r.arm == frechet_distance(arm, ref)
    assert r.full == frechet_distance(full, ref)
    assert r.ratio == r.arm / r.full
    assert 1 < r.low < r.ratio < r.high
    assert r == paired_frechet_ratio(arm, full, ref, resamples=100)
    assert r != paired_frechet_ratio(arm, full, ref, resamples=100, seed=1)


def test_pairing_is_what_makes_the_interval_narrow():
    """Negative control: the same two sets with one in another order lose the pairing, and the interval widens."""
    full, ref = three_sets()
    arm = full + 0.02 * np.random.default_rng(5).standard_normal(full.shape)
    paired = paired_frechet_ratio(arm, full, ref)
    broken = paired_frechet_ratio(arm[::-1], full, ref)
    assert broken.ratio == pytest.approx(paired.ratio, rel=1e-9)
    assert (broken.high - broken.low) > 5 * (paired.high - paired.low)


def test_the_interval_is_not_pulled_towards_one_by_the_bootstraps_own_bias():
    """Few images and many features: resampling lifts both distances. The quotient's percentiles would lie below the
    ratio, and so does a pivotal interval of the difference; the centred interval holds it."""
    rng = np.random.default_rng(0)
    full, ref = rng.standard_normal((128, 48)), rng.standard_normal((2000, 48))
    r = paired_frechet_ratio(2 * full, full, ref)
    assert r.ratio > 2
    assert r.low < r.ratio < r.high


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"x_arm": np.zeros((299, 6))}, "paired row by row"),
        ({"reference": np.zeros((300, 5))}, "features"),
        ({"resamples": 0}, "resamples"),
        ({"level": 1.0}, "level"),
        ({"x_full": np.full((300, 6), np.nan)}, "x_full contain NaN"),
    ],
)
def test_the_ratio_refuses(change, match):
    full, ref = three_sets()
    with pytest.raises(ValueError, match=match):
        paired_frechet_ratio(**{"x_arm": full, "x_full": full, "reference": ref, **change})


def test_a_ratio_to_zero_is_refused():
    x = np.zeros((10, 2))
    with pytest.raises(ValueError, match="distance 0"):
        paired_frechet_ratio(x + 1, x, x)


# per image -----------------------------------------------------------------------------------------------------


def test_psnr_and_relative_l2_of_known_differences():
    y = np.ones((3, 1, 8, 8))
    x = y + np.array([0.1, 0.0, -1.0])[:, None, None, None]
    assert psnr(x, y) == pytest.approx([10 * math.log10(4 / 0.01), math.inf, 10 * math.log10(4)])
    assert psnr(x, y, data_range=1.0)[0] == pytest.approx(20.0)
    assert relative_l2(x, 2 * y) == pytest.approx([0.45, 0.5, 1.0])
    assert psnr(torch.from_numpy(x).float(), y).dtype == np.float64


def test_nearest_distance_is_the_smallest_of_all():
    rng = np.random.default_rng(6)
    x, y = rng.standard_normal((20, 1, 2, 2)), rng.standard_normal((30, 1, 2, 2))
    every = np.linalg.norm(x.reshape(20, 1, 4) - y.reshape(1, 30, 4), axis=2)
    assert nearest_distance(x, y) == pytest.approx(every.min(axis=1))
    assert nearest_distance(y[3:5], y).tolist() == [0.0, 0.0]  # a copied training image shows
    own = np.linalg.norm(x.reshape(20, 1, 4) - x.reshape(1, 20, 4), axis=2) + 1e9 * np.eye(20)
    assert nearest_distance(x) == pytest.approx(own.min(axis=1))


@pytest.mark.parametrize("metric", [psnr, relative_l2])
@pytest.mark.parametrize(
    ("x", "y", "match"),
    [
        (np.zeros((2, 4)), np.zeros((3, 4)), "different shapes"),
        (np.zeros(4), np.zeros(4), "batch"),
        (np.zeros((0, 4)), np.zeros((0, 4)), "batch"),
        (np.full((1, 4), np.nan), np.ones((1, 4)), "x contain NaN"),
        (np.ones((1, 4)), np.full((1, 4), np.inf), "y contain NaN or Inf"),
    ],
)
def test_per_image_metrics_refuse(metric, x, y, match):
    with pytest.raises(ValueError, match=match):
        metric(x, y)


def test_more_refusals():
    with pytest.raises(ValueError, match="image 1 is all zero"):
        relative_l2(np.ones((2, 4)), np.array([[1.0] * 4, [0.0] * 4]))
    with pytest.raises(ValueError, match="data_range"):
        psnr(np.ones((1, 4)), np.ones((1, 4)), data_range=0)
    with pytest.raises(ValueError, match="no nearest image"):
        nearest_distance(np.ones((1, 4)))
    with pytest.raises(ValueError, match="no nearest image"):
        nearest_distance(np.ones((2, 4)), np.ones((2, 3)))


# the classifier ------------------------------------------------------------------------------------------------


def test_the_committed_classifier_has_the_accuracy_it_states():
    images, labels = digits()
    _, test = split(len(images))
    about = json.loads(metrics.WEIGHTS.with_suffix(".json").read_text())
    right = (probabilities(images[test]).argmax(axis=1) == labels[test]).mean()
    assert round(float(right), 4) == about["test_accuracy"]
    assert about["test_accuracy"] > 0.98
    assert about["sha256"][:8] in metrics.FEATURE_NAME


def test_features_are_deterministic_and_each_depends_on_its_image_only():
    images = digits()[0][:300]
    f = features(images)
    assert f.shape == (300, metrics.FEATURES)
    assert f.dtype == np.float64
    assert np.array_equal(f, features(images))
    assert np.array_equal(f[7:9], features(torch.from_numpy(images[7:9])))  # bit for bit, in another batch
    assert np.linalg.matrix_rank(np.cov(f.T)) > 40


def test_probabilities_sum_to_one_also_far_outside():
    p = probabilities(100.0 * digits()[0][:5])
    assert np.isfinite(p).all()
    assert p.sum(axis=1) == pytest.approx(1.0, rel=10 * EPS)


def test_classifier_report():
    images, labels = digits()
    real = classifier_report(images)
    assert real["recognised"] > 0.95
    assert real["class_entropy"] == pytest.approx(math.log2(10), abs=0.01)
    assert np.abs(np.array(real["histogram"]) - np.bincount(labels)).max() < 10
    ones = classifier_report(np.repeat(images[labels == 1][:1], 7, axis=0))
    assert ones["class_entropy"] == 0.0
    assert ones["histogram"] == [0, 7, 0, 0, 0, 0, 0, 0, 0, 0]
    grey = classifier_report(np.zeros((4, 1, 8, 8)))
    assert grey["recognised"] < real["recognised"]


def test_frechet_in_the_features_orders_noise_by_strength():
    images = digits()[0]
    noise = np.random.default_rng(0).standard_normal(images.shape)
    f = features(images)
    far = [frechet_distance(features(images + s * noise), f) for s in (0.0, 0.1, 0.3, 1.0)]
    assert far[0] < 1e-9
    assert far == sorted(far)
    assert far[1] < 0.3 * far[2] < 0.3 * far[3]


@pytest.mark.parametrize(
    ("images", "match"),
    [
        (np.zeros((3, 8, 8)), "shape"),
        (np.zeros((0, 1, 8, 8)), "shape"),
        (np.zeros((3, 1, 16, 16)), "shape"),
        (np.full((3, 1, 8, 8), np.nan), "NaN or Inf"),
    ],
)
def test_the_classifier_refuses(images, match):
    with pytest.raises(ValueError, match=match):
        features(images)


def test_a_damaged_classifier_is_refused(tmp_path):
    path = tmp_path / "c.safetensors"
    path.write_bytes(metrics.WEIGHTS.read_bytes()[:-1] + b"x")
    path.with_suffix(".json").write_text(metrics.WEIGHTS.with_suffix(".json").read_text())
    with pytest.raises(RuntimeError, match=r"analysis\.train classifier"):
        metrics._classifier(path)
