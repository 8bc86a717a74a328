"""The jackknife: what it is for means and variances is known exactly, and its intervals cover what they should."""

import numpy as np
import pytest
from scipy import stats

from analysis.metrics import Judge
from modiff_sim.metrics import frechet
from modiff_sim.metrics.jackknife import Jackknife, Levels, difference, estimate, product, ratio, without_each
from modiff_sim.metrics.resampling import quantile_of_t


def of(statistic, x, groups):
    """The jackknife of a statistic of weighted values."""
    weights = without_each(len(x), groups)
    return Jackknife(statistic(x, np.ones(len(x))), np.array([statistic(x, w) for w in weights]))


def mean(x, w):
    return float(w @ x / w.sum())


def variance(x, w):
    """Divided by n: biased by -σ²/n."""
    return float(w @ (x - mean(x, w)) ** 2 / w.sum())


@pytest.mark.parametrize(("n", "groups"), [(12, 3), (12, 12), (13, 4)])
def test_every_image_is_left_out_once(n, groups):
    weights = without_each(n, groups)
    assert weights.shape == (groups, n)
    assert ((weights == 0).sum(axis=0) == 1).all()
    assert np.ptp((weights == 0).sum(axis=1)) <= 1  # of equal size, or nearly


@pytest.mark.parametrize("groups", [1, 13])
def test_impossible_groups_are_refused(groups):
    with pytest.raises(ValueError, match="need 2 <= groups <= n"):
        without_each(12, groups)


def test_pseudo_values_of_a_mean_are_the_means_of_the_groups():
    x = np.random.default_rng(0).standard_normal(24)
    assert of(mean, x, 4).pseudo() == pytest.approx(x.reshape(4, 6).mean(axis=1))


def test_the_bias_of_a_variance_is_taken_away_exactly():
    x = np.random.default_rng(0).standard_normal(20)
    kept = of(variance, x, 20)
    assert kept.value == pytest.approx(x.var())
    assert kept.pseudo().mean() == pytest.approx(x.var(ddof=1))
    assert kept.pseudo(unbiased=False).mean() == pytest.approx(kept.value)


def test_the_bias_of_a_frechet_distance_is_taken_away():
    """Between equal Gaussians it is 0, and at n = 256 far above; the mean over many draws tells."""
    rng, k = np.random.default_rng(0), 8
    target = np.zeros(k), np.eye(k)

    def distance(x, w):
        return frechet.distance_of_moments(frechet.moments(x, w), target)

    draws = [of(distance, rng.standard_normal((256, k)), 8) for _ in range(60)]
    plain = estimate([each.value for each in draws])
    found = estimate([each.pseudo().mean() for each in draws])
    assert plain.low > 0.05
    assert found.low < 0 < found.high < 0.1 * plain.low


def test_an_estimate_is_students_t():
    p = np.random.default_rng(0).standard_normal(16)
    low, high = stats.t.interval(0.9, 15, loc=p.mean(), scale=stats.sem(p))
    found = estimate(p, level=0.9)
    assert (found.value, found.low, found.high) == pytest.approx((p.mean(), low, high))
    assert difference(p, 0.5 * p) == estimate(0.5 * p)


def test_the_ends_of_a_ratio_are_where_a_t_test_begins_to_tell():
    rng = np.random.default_rng(0)
    a, b = 3 + rng.standard_normal(16), 2 + 0.5 * rng.standard_normal(16)
    found = ratio(a, b)
    assert found.value == pytest.approx(a.mean() / b.mean())
    assert found.low < found.value < found.high
    for end in (found.low, found.high):
        test = a - end * b
        assert abs(test.mean()) == pytest.approx(quantile_of_t(0.95, 16) * stats.sem(test))


def test_what_cannot_be_told_from_zero_has_no_ratio():
    p = np.linspace(-1, 1, 16)
    assert ratio(p + 3, p).low == -np.inf
    found = product([(p + 3, 1), (p, -1)])
    assert (found.low, found.high) == (0, np.inf)


@pytest.mark.parametrize("kind", ["ratio", "product"])
def test_intervals_cover_as_often_as_they_say(kind):
    """In 400 draws of paired values a 90 % interval misses 40 times; four standard deviations are 24."""
    rng, missed = np.random.default_rng(0), 0
    for _ in range(400):
        common = rng.standard_normal(16)
        a, b = (m + common + 0.3 * rng.standard_normal(16) for m in (6.0, 4.0))
        found = ratio(a, b, 0.9) if kind == "ratio" else product([(a, 1), (b, -1)], 0.9)
        missed += not found.low <= 1.5 <= found.high
    assert 16 <= missed <= 64


def test_what_pairs_have_in_common_cancels():
    p = 5 + np.random.default_rng(0).standard_normal(16)
    for found in (ratio(2 * p, p), product([(2 * p, 1), (p, -1)])):
        assert (found.value, found.low, found.high) == pytest.approx((2, 2, 2))
    assert product([(2 * p, 1), (p[::-1], -1)]).high > 2.1  # negative control: not paired


def test_levels_from_as_many_groups_are_added_group_by_group():
    a, b = np.random.default_rng(0).standard_normal((2, 16))
    together = Levels.of(a) - Levels.of(b)
    assert set(together.parts) == {16}
    assert estimate(together) == estimate(a - b)
    assert ratio(together, Levels.of(b)) == ratio(a - b, b)


def test_what_levels_have_in_common_cancels_where_the_groups_are_the_same():
    """An arm is known by few groups and its base by many: base, plus the difference from the groups that both have."""
    rng = np.random.default_rng(0)
    base, off = 5 + rng.standard_normal(64), 0.01 * rng.standard_normal(16)
    arm = Levels.of(base) + Levels.of(base[:16] + off) - Levels.of(base[:16])
    assert (arm.groups, set(arm.parts)) == (16, {64, 16})
    assert arm.value == pytest.approx(base.mean() + off.mean())
    error = np.hypot(stats.sem(base), stats.sem(off))
    assert np.linalg.norm(arm.influence) == pytest.approx(error, rel=0.01)
    assert np.linalg.norm(Levels.of(base[:16] + off).influence) > 1.5 * error  # negative control: the few groups alone


@pytest.mark.parametrize("kind", ["estimate", "ratio", "product"])
def test_intervals_of_levels_cover_as_often_as_they_say(kind):
    """The unit has 48 groups, what is measured in it the first 36. In 400 draws a 90 % interval misses 40 times."""

    def misses(above, unit):
        if kind == "estimate":
            found, true = estimate(above - unit, 0.9), 2.0
        else:
            found, true = ratio(above, unit, 0.9) if kind == "ratio" else product([(above, 1), (unit, -1)], 0.9), 1.5
        return not found.low <= true <= found.high

    rng, missed, unpaired = np.random.default_rng(0), 0, 0
    for _ in range(400):
        unit = 4 + rng.standard_normal(48)
        above = Levels.of(6 + 3 * (unit[:36] - 4) + 0.5 * rng.standard_normal(36))  # they share most of their noise
        missed += misses(above, Levels.of(unit))
        unpaired += misses(above, Levels.of(np.roll(unit, 24)))
    assert 16 <= missed <= 64
    assert unpaired < 0.7 * missed  # negative control: where groups are not the same the interval is too wide


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: estimate([1.0, 2.0]), "at least 3 groups"),
        (lambda: estimate([1.0, np.nan, 2.0]), "contain NaN or Inf"),
        (lambda: ratio(np.arange(3.0), np.arange(4.0)), "3 and 4 groups cannot be paired"),
        (lambda: product([(np.arange(3.0), 1), (np.arange(4.0), -1)]), "cannot be paired"),
        (lambda: Levels.of([1.0, 2.0]), "at least 3 groups"),
        (lambda: estimate(np.arange(3.0), level=1.0), "level must lie in"),
    ],
)
def test_nonsense_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_judge_leaves_out_what_it_says():
    """Every value is that of the judge, and a left-out one is that of the other images."""
    rng, judge = np.random.default_rng(0), Judge("digits")
    full = np.clip(0.4 * rng.standard_normal((192, 1, 8, 8)), -1, 1).astype(np.float32)
    images = np.clip(full + 0.1 * rng.standard_normal(full.shape).astype(np.float32), -1, 1)
    whole, kept = judge(images, full), judge.jackknife(images, full, groups=3)
    assert set(kept) == set(whole) - {"first_divergence"}
    for name, each in kept.items():
        assert each.value == pytest.approx(whole[name], rel=1e-9), name
        assert each.left_out.shape == (3,)
    rest = judge(images[64:], full[64:])
    for name in ("frechet", "kid", "psnr", "relative_l2", "score", "recognised"):
        assert kept[name].left_out[0] == pytest.approx(rest[name], rel=1e-6), name
    assert "psnr" not in judge.jackknife(images, groups=3)
