"""Sets of features against each other: kernel and sliced Wasserstein distance, neighbours, score; plain oracles."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance

from modiff_sim.metrics import (
    classifier_score,
    kernel_difference,
    kernel_distance,
    precision_recall,
    sliced_wasserstein,
    split_scores,
)
from modiff_sim.metrics.kernel import Terms
from modiff_sim.metrics.resampling import centred, multiplicities
from modiff_sim.metrics.score import _eps
from modiff_sim.metrics.wasserstein import Slices, projected

EPS = np.finfo(np.float64).eps


def normal(n, k=4, seed=0, shift=0.0):
    return np.random.default_rng(seed).standard_normal((n, k)) + shift


def mmd2(x, y, **options):
    return kernel_distance(x, y, resamples=1, **options).value


two_sets = st.tuples(st.integers(8, 30), st.integers(8, 30), st.integers(1, 5), st.integers(0, 2**32 - 1))


# the kernel distance -------------------------------------------------------------------------------------------


def test_mmd2_is_the_unbiased_sum_over_pairs():
    """Bińkowski et al. 2018, with the kernel written out pair by pair."""
    x, y = normal(7), normal(9, seed=1, shift=0.5)

    def k(a, b):
        return (sum(float(p) * float(q) for p, q in zip(a, b, strict=True)) / 4 + 1) ** 3

    xx = [k(a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j]
    yy = [k(a, b) for i, a in enumerate(y) for j, b in enumerate(y) if i != j]
    xy = [k(a, b) for a in x for b in y]
    expected = np.mean(xx) + np.mean(yy) - 2 * np.mean(xy)
    size = np.mean(np.abs(xx)) + np.mean(np.abs(yy)) + 2 * np.mean(np.abs(xy))
    assert abs(mmd2(x, y) - expected) < 100 * EPS * size  # sums of up to 81 terms, differently ordered


def test_mmd2_is_unbiased_and_the_biased_form_is_not():
    """Equal distributions, 12 images, 600 repetitions: the mean is 0 within 4 standard errors. Negative control: with
    the pairs of an image with itself it is far above."""
    found, biased = [], []
    for seed in range(600):
        x, y = normal(12, seed=2 * seed), normal(12, seed=2 * seed + 1)
        terms = Terms(x, y)
        found.append(terms.mmd2(np.ones(12)))
        biased.append(found[-1] + 2 * (terms.own.mean() - terms.xx.mean()) / 11)
    error = np.std(found) / math.sqrt(len(found))
    assert abs(np.mean(found)) < 4 * error
    assert np.mean(biased) > 20 * error
    assert min(found) < 0  # unbiased, so it must be


def test_resampling_leaves_the_mean_where_it_is():
    """Copies of an image are no pairs: the mean over resamples is the value. Counted as pairs, they lift it."""
    x, y = normal(40), normal(200, seed=1)
    terms = Terms(x, y)
    value, drawn = terms.mmd2(np.ones(40)), multiplicities(40, 3000, seed=0)
    found = np.array([terms.mmd2(w) for w in drawn])
    assert abs(found.mean() - value) < 4 * found.std() / math.sqrt(3000)
    naive = np.array([mmd2_of_copies(terms, w) for w in drawn])
    assert naive.mean() - value > 20 * found.std() / math.sqrt(3000)


def mmd2_of_copies(terms, w):
    """The estimate from the resample taken as if its images were different ones."""
    n = w.sum()
    pairs = w @ terms.xx @ w - w @ terms.own
    return pairs / (n * (n - 1)) + terms.yy - 2 * (w @ terms.xy) / n


def test_the_interval_covers_the_truth():
    """Mean MMD² of a shift known from many images; 100 experiments of 80: 95 % nominal, at least 85 are inside."""
    y = normal(300, k=2, seed=999)
    truth = np.mean([mmd2(normal(2000, k=2, seed=5000 + i, shift=0.4), y) for i in range(8)])
    inside = 0
    for seed in range(100):
        found = kernel_distance(normal(80, k=2, seed=seed, shift=0.4), y, resamples=100, seed=seed)
        inside += found.low <= truth <= found.high
    assert 85 <= inside <= 100


def test_the_paired_difference_is_narrower_than_an_unpaired_one():
    full, ref = normal(200), normal(500, seed=1)
    arm = full + 0.05 * normal(200, seed=2)
    paired, broken = kernel_difference(arm, full, ref), kernel_difference(arm[::-1], full, ref)
    assert paired.value == pytest.approx(mmd2(arm, ref) - mmd2(full, ref))
    assert paired.low < paired.value < paired.high
    assert broken.value == pytest.approx(paired.value)
    assert broken.high - broken.low > 3 * (paired.high - paired.low)
    same = kernel_difference(full, full, ref)
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)
    with pytest.raises(ValueError, match="paired row by row"):
        kernel_difference(arm[:-1], full, ref)


@given(two_sets)
def test_laws_of_distances(drawn):
    """Symmetric, blind to order; the sliced one is 0 for equal sets and obeys the triangle inequality."""
    n, m, k, seed = drawn
    x, y, z = normal(n, k, seed), normal(m, k, seed + 1, 1.0), normal(m, k, seed + 2, -1.0)
    order = np.random.default_rng(seed).permutation(n)
    size = Terms(x, y)
    scale = abs(size.xx).mean() + abs(size.yy) + abs(size.xy).mean()
    assert abs(mmd2(x, y) - mmd2(y, x)) <= 1e3 * EPS * scale  # sums of up to 900 terms
    assert abs(mmd2(x[order], y) - mmd2(x, y)) <= 1e3 * EPS * scale
    w = sliced_wasserstein(x, y, directions=8)
    assert w > 0
    # √ of a mean of squares of sums: no cancellation, a few roundings per term
    assert sliced_wasserstein(y, x, directions=8) == pytest.approx(w, rel=1e3 * EPS)
    assert sliced_wasserstein(x[order], y, directions=8) == pytest.approx(w, rel=1e3 * EPS)
    assert sliced_wasserstein(x, x[order], directions=8) == 0.0
    detour = sliced_wasserstein(x, z, directions=8) + sliced_wasserstein(z, y, directions=8)
    assert w <= detour * (1 + 1e3 * EPS)
    p = precision_recall(x, y, k=3)
    assert precision_recall(x[order], y, k=3) == pytest.approx(p)
    assert precision_recall(y, x, k=3)["precision"] == pytest.approx(p["recall"])  # one is the other's mirror image


# sliced Wasserstein --------------------------------------------------------------------------------------------


def test_sliced_wasserstein_of_a_shift_is_the_closed_form():
    """Along u a shift s moves every point by u·s."""
    x, s = normal(50), np.array([1.0, -2.0, 0.5, 3.0])
    unit = projected(np.eye(4))  # the directions themselves
    assert np.linalg.norm(unit, axis=0) == pytest.approx(np.ones(128))
    assert sliced_wasserstein(x, x + s) == pytest.approx(math.sqrt(((s @ unit) ** 2).mean()), rel=1e3 * EPS)


@pytest.mark.parametrize(("n", "m"), [(5, 5), (4, 6), (7, 3), (1, 4)])
def test_sliced_wasserstein_of_unequal_n_is_that_of_sets_repeated_to_equal_n(n, m):
    x, y = normal(n), normal(m, seed=1)
    expected = sliced_wasserstein(np.repeat(x, m, axis=0), np.repeat(y, n, axis=0))
    assert sliced_wasserstein(x, y) == pytest.approx(expected, rel=1e3 * EPS)


def test_sliced_wasserstein_bounds_scipys_first_order_distance():
    """W₁ <= W₂ along every direction, by Jensen; equal where one point is moved."""
    x, y = normal(30, k=1), normal(40, k=1, seed=1, shift=2)
    assert wasserstein_distance(x[:, 0], y[:, 0]) <= sliced_wasserstein(x, y, directions=1)
    assert sliced_wasserstein(x[:1], y[:1]) == pytest.approx(wasserstein_distance(x[0], y[0]), rel=10 * EPS)


def test_multiplicities_are_repeated_rows():
    x, y = projected(normal(20)), projected(normal(30, seed=1))
    w = multiplicities(20, 1, seed=3)[0]
    repeated = np.repeat(x, w.astype(int), axis=0)
    assert w.max() > 1
    assert Slices(x, y).distance(w) == pytest.approx(Slices(repeated, y).distance(np.ones(20)), rel=100 * EPS)


# neighbours ----------------------------------------------------------------------------------------------------


def test_neighbours_by_plain_loops():
    x, y, k = 0.7 * normal(15, k=2), normal(12, k=2, seed=1, shift=0.9), 3

    def radius(points, i):
        return sorted(math.dist(points[i], p) for j, p in enumerate(points) if j != i)[k - 1]

    r_x, r_y = [radius(x, i) for i in range(15)], [radius(y, j) for j in range(12)]
    in_real = [[math.dist(a, b) <= r_y[j] for j, b in enumerate(y)] for a in x]
    in_sample = [[math.dist(a, b) <= r_x[i] for b in y] for i, a in enumerate(x)]
    found = precision_recall(x, y, k=k)
    assert found == pytest.approx({
        "precision": np.mean([any(row) for row in in_real]),
        "recall": np.mean(np.any(in_sample, axis=0)),
        "density": np.sum(in_real) / (k * 15),
        "coverage": np.mean(np.any(in_real, axis=0)),
    })  # fmt: skip
    assert 0 < found["precision"] < 1
    assert 0 < found["recall"] < 1


def test_neighbours_tell_a_collapse_from_an_excess_and_from_elsewhere():
    y = normal(300, k=2)
    same, collapsed = precision_recall(normal(300, k=2, seed=1), y), precision_recall(0.1 * normal(300, k=2, seed=1), y)
    spread, away = precision_recall(5 * normal(300, k=2, seed=1), y), precision_recall(y + 100, y)
    assert min(same["precision"], same["recall"], same["coverage"]) > 0.9
    assert same["density"] == pytest.approx(1, abs=0.1)  # its expectation for equal distributions: Naeem et al. 2020
    assert collapsed["precision"] > 0.9 > 0.2 > collapsed["recall"]
    assert spread["precision"] < 0.5
    assert spread["recall"] > 0.9
    assert set(away.values()) == {0.0}


@pytest.mark.parametrize("k", [0, 5])
def test_neighbours_refuse(k):
    with pytest.raises(ValueError, match="k must be at least 1 and below 5"):
        precision_recall(normal(5), normal(9), k=k)


# the score -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "digits"), [(np.float16, 10), (np.float32, 23), (np.float64, 52)])
def test_the_rounding_of_probabilities_is_that_of_their_type(dtype, digits):
    row = np.array([0.5, 0.5], dtype)
    for values in (row, [row], [[row[0]], [row[1]]], (row, row)):
        assert _eps(values) == 2.0**-digits


def test_the_score_runs_from_one_to_the_number_of_classes():
    assert classifier_score(np.eye(10)) == pytest.approx(10)
    assert classifier_score(np.full((7, 10), 0.1)) == pytest.approx(1)
    assert classifier_score(np.repeat(np.eye(10)[:1], 7, axis=0)) == pytest.approx(1)  # sure, but one class only
    assert classifier_score(np.eye(10), np.array([1.0] * 4 + [0.0] * 6)) == pytest.approx(4)


def test_the_weighted_score_is_that_of_rows_that_are_repeated():
    p, w = np.random.default_rng(1).dirichlet(np.full(5, 0.3), size=20), multiplicities(20, 1, seed=3)[0]
    repeated = classifier_score(np.repeat(p, w.astype(int), axis=0))
    assert abs(repeated - classifier_score(p)) > 0.1
    assert classifier_score(p, w) == pytest.approx(repeated, rel=100 * EPS)
    assert classifier_score(p, 3 * w) == pytest.approx(repeated, rel=100 * EPS)


def test_the_score_is_the_formula_and_splits_are_its_parts():
    p = np.random.default_rng(0).dirichlet(np.ones(5), size=12)

    def by_loops(part):
        mean = [sum(row[j] for row in part) / len(part) for j in range(5)]
        kl = [sum(row[j] * math.log(row[j] / mean[j]) for j in range(5)) for row in part]
        return math.exp(sum(kl) / len(kl))

    assert classifier_score(p) == pytest.approx(by_loops(p), rel=100 * EPS)
    parts = [by_loops(p[i : i + 4]) for i in (0, 4, 8)]
    assert split_scores(p, 3) == pytest.approx((np.mean(parts), np.std(parts)))
    with pytest.raises(ValueError, match="do not split into 5 equal parts"):
        split_scores(p, 5)
    for wrong in (2 * p, -p, p[0], p * np.nan):
        with pytest.raises(ValueError, match=r"distribution|shape|NaN"):
            classifier_score(wrong)


@pytest.mark.parametrize("splits", [0, -1])
def test_a_score_has_at_least_one_part(splits):
    with pytest.raises(ValueError, match=f"do not split into {splits} equal parts"):
        split_scores(np.full((4, 2), 0.5), splits)
    assert split_scores(np.full((4, 2), 0.5), 1) == (1.0, 0.0)


@pytest.mark.parametrize("classes", [2, 10, 1000])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_an_ordinary_softmax_of_any_dtype_is_scored(dtype, classes):
    logits = torch.from_numpy(3 * np.random.default_rng(classes).standard_normal((40, classes)))
    exact = classifier_score(torch.softmax(logits, 1))
    p = torch.softmax(logits, 1).to(dtype)
    found = classifier_score(p)
    assert found == pytest.approx(exact, rel=10 * float(torch.finfo(dtype).eps))
    assert split_scores(p, 4) == pytest.approx(split_scores(torch.softmax(logits, 1), 4), rel=0.1)
    if dtype is not torch.bfloat16:
        assert classifier_score(p.numpy()) == found
        assert classifier_score(list(p.numpy())) == found
        assert classifier_score(p.numpy().astype(p.numpy().dtype.newbyteorder(">"))) == found
    with pytest.raises(ValueError, match="must be a distribution"):
        classifier_score(1.5 * p)
    with pytest.raises(ValueError, match=r"give p / p\.sum\(axis=1, keepdims=True\) in float64"):
        classifier_score(p.double())  # float64 says nothing of where the numbers come from
    q = p.double().numpy()
    assert classifier_score(q / q.sum(axis=1, keepdims=True)) == pytest.approx(found)


# what all refuse, and resampling -------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", [kernel_distance, sliced_wasserstein, precision_recall])
@pytest.mark.parametrize(
    ("x", "match"),
    [(np.zeros(9), "shape"), (np.zeros((9, 3)), "3 features and y has 4"), (np.full((9, 4), np.inf), "NaN or Inf"),
     (np.zeros((0, 4)), "0 samples")],
)  # fmt: skip
def test_sets_that_do_not_fit_are_refused(metric, x, match):
    with pytest.raises(ValueError, match=match):
        metric(x, normal(9))


def test_resampling_options_are_checked():
    for call, match in (
        (lambda: kernel_distance(normal(9), normal(9), resamples=0), "resamples"),
        (lambda: centred(0.0, np.zeros(3), level=1.0), "level"),
        (lambda: sliced_wasserstein(normal(9), normal(9), directions=0), "directions"),
        (lambda: kernel_distance(normal(1), normal(9)), "1 samples, need at least 2"),
    ):
        with pytest.raises(ValueError, match=match):
            call()
    w = multiplicities(11, 20, seed=1)
    assert (w.sum(axis=1) == 11).all()
    assert len(np.unique(w, axis=0)) == 20
