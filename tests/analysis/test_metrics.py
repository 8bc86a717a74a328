"""Fréchet distance and what is measured image by image: closed forms and plain loops, with negative controls."""

import math

import numpy as np
import pytest
import torch

from modiff_sim.metrics import (
    duplicates,
    first_divergence,
    frechet_distance,
    nearest_distance,
    psnr,
    relative_l2,
    ssim,
)
from modiff_sim.metrics.frechet import distance_of_moments, moments

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


def test_weighted_moments_are_those_of_rows_that_are_repeated():
    """As the bootstrap draws them, some rows not at all; and only the shares of the weights count."""
    rng = np.random.default_rng(12)
    x, target = 3 * rng.standard_normal((60, 4)) + 2, moments(rng.standard_normal((50, 4)))
    times = np.bincount(rng.integers(60, size=60), minlength=60)
    assert times.min() == 0
    rows = np.repeat(x, times, axis=0)
    assert np.abs(rows.mean(axis=0) - x.mean(axis=0)).max() > 0.1
    for weights in (times.astype(np.float64), times / 7.0):
        mean, root = moments(x, weights)
        assert mean == pytest.approx(rows.mean(axis=0), rel=1e3 * EPS)
        assert root @ root == pytest.approx(np.cov(rows.T, bias=True), rel=1e3 * EPS, abs=1e3 * EPS)
        assert distance_of_moments((mean, root), target) == pytest.approx(
            distance_of_moments(moments(rows), target), rel=1e4 * EPS
        )


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
    with pytest.raises(ValueError, match="cannot leave one out of a single image"):
        nearest_distance(np.ones((1, 4)))
    with pytest.raises(ValueError, match="no nearest image"):
        nearest_distance(np.ones((2, 4)), np.ones((2, 3)))


# structural similarity -----------------------------------------------------------------------------------------


def ssim_by_loops(x, y, side, data_range=2.0):
    """Wang et al. 2004, eq. (13), of one grey image, place by place."""
    r = side // 2
    w = np.array([[math.exp(-(i * i + j * j) / (2 * 1.5**2)) for j in range(-r, r + 1)] for i in range(-r, r + 1)])
    w /= w.sum()
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    found = []
    for i in range(x.shape[0] - side + 1):
        for j in range(x.shape[1] - side + 1):
            a, b = x[i : i + side, j : j + side] + 1, y[i : i + side, j : j + side] + 1  # black is 0
            ma, mb = (w * a).sum(), (w * b).sum()
            va, vb = (w * (a - ma) ** 2).sum(), (w * (b - mb) ** 2).sum()
            cov = (w * (a - ma) * (b - mb)).sum()
            luminance = (2 * ma * mb + c1) / (ma * ma + mb * mb + c1)
            found.append(luminance * (2 * cov + c2) / (va + vb + c2))
    return np.mean(found)


@pytest.mark.parametrize(("height", "width", "side"), [(16, 13, 11), (8, 8, 7), (9, 14, 9), (1, 1, 1)])
def test_ssim_is_the_formula_place_by_place(height, width, side):
    rng = np.random.default_rng(7)
    x = rng.uniform(-1, 1, (2, 3, height, width))
    y = np.clip(x + 0.3 * rng.standard_normal(x.shape), -1, 1)
    expected = [np.mean([ssim_by_loops(x[i, c], y[i, c], side) for c in range(3)]) for i in range(2)]
    # E[a²] - E[a]² cancels about c2 = 0.0036 of 1
    assert ssim(x, y) == pytest.approx(expected, rel=1e4 * EPS)


def test_ssim_agrees_with_scikit_image_where_that_is_installed():
    structural_similarity = pytest.importorskip("skimage.metrics").structural_similarity
    rng = np.random.default_rng(8)
    x = rng.uniform(-1, 1, (3, 1, 32, 32))
    y = np.clip(x + 0.3 * rng.standard_normal(x.shape), -1, 1)
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 2.0}
    expected = [structural_similarity(a[0] + 1, b[0] + 1, **options) for a, b in zip(x, y, strict=True)]
    assert ssim(x, y) == pytest.approx(expected, rel=1e-9)


def test_ssim_is_one_for_equal_images_symmetric_and_sees_structure():
    rng = np.random.default_rng(9)
    x = rng.uniform(-1, 1, (4, 1, 32, 32))
    assert ssim(x, x) == pytest.approx(1.0, rel=1e3 * EPS)
    assert ssim(x, -x + 0.1) == pytest.approx(ssim(-x + 0.1, x), rel=100 * EPS)
    assert (ssim(x, -x) < 0).all()
    shuffled = rng.permuted(x.reshape(4, -1), axis=1).reshape(x.shape)  # same grey levels, no structure in common
    assert (ssim(x, shuffled) < 0.2).all()
    assert (ssim(x, 0.9 * x) > 0.9).all()


@pytest.mark.parametrize("window", [0, 4, 13])
def test_ssim_refuses_windows_that_do_not_fit(window):
    with pytest.raises(ValueError, match="odd and fit 12×12"):
        ssim(np.zeros((1, 1, 12, 12)), np.zeros((1, 1, 12, 12)), window=window)
    with pytest.raises(ValueError, match="n, C, H, W"):
        ssim(np.zeros((2, 12, 12)), np.zeros((2, 12, 12)))
    with pytest.raises(ValueError, match="data_range"):
        ssim(np.zeros((1, 1, 12, 12)), np.zeros((1, 1, 12, 12)), data_range=0)


# divergence and duplicates -------------------------------------------------------------------------------------


def test_first_divergence_is_the_first_call_beyond_the_tolerance():
    y = np.ones((5, 4, 1, 2, 2))
    x = y.copy()
    x[0, 0] += 0.5  # at once
    x[2, 1] += 0.009  # below the tolerance
    x[3, 1] += 0.011
    x[4, 2] -= 1.0
    assert first_divergence(x, y).tolist() == [0, 3, 4, 5]  # 5 calls: the last image never differs
    assert first_divergence(x, y, tolerance=0).tolist() == [0, 2, 4, 5]
    assert first_divergence(x, y, tolerance=2).tolist() == [5, 5, 5, 5]
    assert first_divergence(np.ones((1, 1, 1)), np.ones((1, 1, 1))).tolist() == [1]
    for a, b, options, match in (
        (x, y[:4], {}, "one shape"),
        (x[:0], y[:0], {}, "trajectories must be"),
        (x[:, 0, 0, 0], y[:, 0, 0, 0], {}, "trajectories must be"),
        (x * np.nan, y, {}, "NaN"),
        (x, y, {"tolerance": -1}, "tolerance"),
    ):
        with pytest.raises(ValueError, match=match):
            first_divergence(a, b, **options)


def test_nearest_distance_does_not_depend_on_blocks(monkeypatch):
    import sys

    rng = np.random.default_rng(10)
    x, y = rng.standard_normal((23, 5)), rng.standard_normal((31, 5)).astype(np.float32)
    whole = nearest_distance(x, y), nearest_distance(x)
    monkeypatch.setattr(sys.modules["modiff_sim.metrics.near_duplicates"], "BLOCK", 4)
    for now, before in zip((nearest_distance(x, y), nearest_distance(x)), whole, strict=True):
        assert np.array_equal(now, before)


def test_copies_are_duplicates_and_others_are_not():
    rng = np.random.default_rng(11)
    x = rng.uniform(-1, 1, (40, 1, 8, 8))
    assert not duplicates(x).any()
    x[3] = x[17]  # a copy
    x[5] = x[6] + 0.03  # every pixel off by 0.015 of the range
    x[8] = x[9] + 0.05  # by 0.025 of it
    assert np.flatnonzero(duplicates(x)).tolist() == [3, 5, 6, 17]
    assert np.flatnonzero(duplicates(x, near=0)).tolist() == [3, 17]
    assert duplicates(np.zeros((2, 3))).all()
    for near in (-1, 1, 5, math.inf, math.nan):  # 5 would be grey levels, and every image a copy
        with pytest.raises(ValueError, match="near is a share of the range"):
            duplicates(x, near=near)
    with pytest.raises(ValueError, match="cannot leave one out of a single image: give at least two, or a reference"):
        duplicates(x[:1])
