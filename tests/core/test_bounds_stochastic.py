"""Stochastic rounding: expectations and probabilities over every outcome of the random bits, exactly; nothing drawn."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, target
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import minimize_scalar
from scipy.stats import binom, chi2, norm

import modiff_sim as ms
from modiff_sim import bounds
from paper_checks.stochastic import _stochastic
from paper_checks.stochastic._stochastic import Coin

EPS = np.finfo(float).eps
INF = math.inf
roots = st.sampled_from([Fraction(0), Fraction(1, 5), Fraction(1, 2), Fraction(1), Fraction(3, 2)])
differences = st.lists(st.integers(-8, 8).map(Fraction), min_size=1, max_size=5)


def coin_errors(loop: str, d, root, start=Fraction(0)):
    """Errors after every difference for every sequence of signs, literally: Q(x) = (1 + root·ξ)x, in one dimension."""
    for signs in itertools.product((-1, 1), repeat=len(d)):
        error, row = start, []
        for value, sign in zip(d, signs, strict=True):
            residual = value + error if loop == "closed_loop" else value
            lost = residual - (1 + root * sign) * residual
            error = lost if loop == "closed_loop" else error + lost
            row.append(error)
        yield row


def mean_square(rows):
    rows = list(rows)
    return [sum(v * v for v in column) / len(rows) for column in zip(*rows, strict=True)]


def close(got, expected, n):
    """A call rounds √omega, a product and hypot (2 units); the expected root once."""
    return np.allclose(got, expected, rtol=6 * (n + 1) * EPS, atol=0)


# -- expectations ----------------------------------------------------------------------------------------------------


@given(d=differences, root=roots)
def test_the_coin_attains_both_bounds_in_exact_arithmetic(d, root):
    """For every sequence of differences and every omega, above 1 as well."""
    sizes, omega, n = [float(abs(v)) for v in d], float(root**2), len(d)
    closed = mean_square(coin_errors("closed_loop", d, root))
    opened = mean_square(coin_errors("open_loop", d, root))
    assert closed == [sum(root ** (2 * (j - k + 1)) * d[k] ** 2 for k in range(j + 1)) for j in range(n)]
    assert opened == [root**2 * sum(v * v for v in d[: j + 1]) for j in range(n)]
    assert close(bounds.stochastic_closed_loop(sizes, omega), np.sqrt(np.asarray(closed, float)), n)
    assert close(bounds.stochastic_open_loop(sizes, omega), np.sqrt(np.asarray(opened, float)), n)


@given(d=st.lists(st.integers(0, 8).map(Fraction), min_size=1, max_size=5), root=roots, start=st.integers(1, 9))
def test_an_inexact_start_in_exact_arithmetic(d, root, start):
    """The worst start has d_0's direction; a random one of mean 0 adds its square. Open loop: it stays."""
    sizes, omega, n = [float(v) for v in d], float(root**2), len(d)
    known = mean_square(coin_errors("closed_loop", d, root, Fraction(start)))
    both = itertools.chain(*(coin_errors("closed_loop", d, root, Fraction(s)) for s in (start, -start)))
    kept = mean_square(coin_errors("open_loop", d, root, Fraction(start)))
    for got, expected in (
        (bounds.stochastic_closed_loop(sizes, omega, start=start), known),
        (bounds.stochastic_closed_loop(sizes, omega, start=start, unbiased_start=True), mean_square(both)),
        (bounds.stochastic_open_loop(sizes, omega, start=start), kept),
    ):
        assert close(got, np.sqrt(np.asarray(expected, float)), n)


@pytest.mark.parametrize("loop", ["closed_loop", "open_loop"])
@given(
    d=st.integers(2, 3).flatmap(
        lambda d: hnp.arrays(np.float64, (3, 2, d), elements=st.integers(-40, 40).map(lambda i: i / 8))
    ),
    bits=st.integers(2, 4),
)
def test_the_grid_stays_below_in_expectation(loop, d, bits):
    Q = ms.Stochastic(bits)
    done = _stochastic.expectation(loop, d, Q)
    bound = {"closed_loop": bounds.stochastic_closed_loop, "open_loop": bounds.stochastic_open_loop}[loop]
    limit = bound(done.d, Q.c(d.shape[2]))
    assert np.all(done.error <= limit + done.slack)
    if loop == "closed_loop":  # a variance of at most s²/4 per entry, s <= the sure max-norm bound: whatever omega
        sure = bounds.max_norm_closed_loop(np.abs(d).max(axis=2), Q.kappa(d.shape[2]))
        assert np.all(done.error <= math.sqrt(d.shape[2]) / 2 * sure + done.slack)
    target(float(np.max(done.error / np.maximum(limit, 1e-9))), label=f"{loop} reached")


def test_the_differences_must_be_exogenous():
    """Differences that follow the error's sign: the cross term is there, and the error is that of the sharp bound."""
    root, n, rows = Fraction(1, 2), 6, []
    for signs in itertools.product((-1, 1), repeat=n):
        error, row = Fraction(0), []
        for sign in signs:
            residual = (1 if error >= 0 else -1) + error
            error = -root * sign * residual
            row.append(error)
        rows.append(row)
    got = np.sqrt(np.asarray(mean_square(rows), float))
    assert np.all(got[1:] > 1.1 * bounds.stochastic_closed_loop(np.ones(n), 0.25)[1:])
    assert got == pytest.approx(bounds.sharp_closed_loop(np.ones(n), 0.25), rel=1e-14)


def test_where_the_closed_loop_forgets():
    ones = np.ones(400)
    for omega in (0.1, 0.5, 0.9):
        limit = bounds.stochastic_closed_loop(ones, omega)[-1]
        assert limit == pytest.approx(math.sqrt(omega / (1 - omega)), rel=1e-12)
    calls = np.arange(1, 401)
    assert bounds.stochastic_closed_loop(ones, 1.0) == pytest.approx(np.sqrt(calls), rel=400 * EPS)
    assert bounds.stochastic_closed_loop(np.eye(400)[0], 2.25) == pytest.approx(1.5**calls, rel=800 * EPS)
    assert np.isinf(bounds.stochastic_closed_loop(np.ones(2000), 2.25)[-1])  # without a warning, and not NaN
    sharp = bounds.sharp_closed_loop(ones, 0.5)
    assert np.all(bounds.stochastic_closed_loop(ones, 0.5)[1:] < sharp[1:])


@pytest.mark.parametrize("bound", [bounds.stochastic_closed_loop, bounds.stochastic_open_loop])
def test_shapes(bound):
    d = np.random.default_rng(0).random((5, 3))
    start = np.array([0.0, 1.0, 2.0])
    for options in ({}, {"start": start}):
        both = bound(d, 0.3, **options)
        for i in range(3):
            own = {"start": start[i]} if options else {}
            assert np.array_equal(both[:, i], bound(d[:, i], 0.3, **own))
    assert np.array_equal(bound(d, 0.3, gain=4.0), 4 * bound(d, 0.3))
    assert bound(d[:, 0], 0.3, start=start).shape == (5, 3)
    assert bound(1e-200 * d, 0.3) == pytest.approx(1e-200 * bound(d, 0.3), rel=1e-15)  # no square vanishes


# -- bands: exact probabilities --------------------------------------------------------------------------------------


def outcomes(loop: str, d, Q):
    """(errors (outcomes, dim), chances) after each difference of d (n, dim)."""
    error, chance = np.zeros((1, d.shape[1])), np.ones(1)
    for row in d:
        residual = row + error if loop == "closed_loop" else np.broadcast_to(row, error.shape)
        errors, chances = [], []
        for random, likely in _stochastic.outcomes(Q, residual):
            lost = residual - Q(residual, random=random)
            errors.append(lost if loop == "closed_loop" else error + lost)
            chances.append(chance * likely)
        error, chance = np.concatenate(errors), np.concatenate(chances)
        yield error, chance


@pytest.mark.parametrize("loop", ["closed_loop", "open_loop"])
@given(
    d=hnp.arrays(np.float64, (2, 4), elements=st.integers(-40, 40).map(lambda i: i / 8)).filter(lambda d: d[0].any()),
    delta=st.sampled_from([0.05, 0.2, 0.5]),
    seed=st.integers(0, 5),
)
def test_bands_are_left_with_at_most_delta(loop, d, delta, seed):
    Q = ms.Stochastic(3)
    A = np.random.default_rng(seed).choice([-1.0, 0.0, 1.0, 2.0], (seed % 3 + 1, 4))
    A[:, 0] = 1
    known = {"closed_loop": bounds.stochastic_closed_loop_band, "open_loop": bounds.stochastic_open_loop_band}[loop]
    size = np.abs(d).max(axis=1)
    bands = [
        known(size, Q.kappa(4), delta=delta, size=m, norm=order, gain=gain) * (1 + 1e-12)
        for m, order, gain in (
            (len(A), INF, np.linalg.norm(A, axis=1).max()),
            (4, 2, np.linalg.norm(A, 2)),
        )
    ]
    left = []
    for call, (error, chance) in enumerate(outcomes(loop, d, Q)):
        assert chance.sum() == pytest.approx(1)
        for order, band in zip((INF, 2), bands, strict=True):
            left.append(chance[np.linalg.norm(error @ A.T, ord=order, axis=1) > band[call]].sum())
    assert max(left) <= delta * (1 + 1e-12)
    target(float(max(left)), label=f"{loop} left")


@pytest.mark.parametrize("delta", [0.3, 0.05, 1e-3, 1e-6])
@pytest.mark.parametrize("n", [1, 2, 7, 100, 1000])
def test_many_half_steps_are_left_with_at_most_delta_and_nearly_so(n, delta):
    """One output that adds up n errors ±1/2, one per call or one per entry: a binomial tail, exactly."""
    opened = bounds.stochastic_open_loop_band(np.ones(n), 1.0, delta=delta, size=1)[-1]
    closed = bounds.stochastic_closed_loop_band([1.0], 1.0, delta=delta, size=1, gain=math.sqrt(n))[0]
    assert opened == pytest.approx(closed, rel=n * EPS)
    ups = np.arange(n + 1)
    chances, sums = binom.pmf(ups, n, 0.5), np.abs(ups - n / 2)
    assert chances[sums > opened].sum() <= delta
    if n >= 100 and delta >= 1e-3:  # and the gap is that of Hoeffding's inequality to a Gaussian
        quantile = sums[np.argsort(sums)][np.searchsorted(np.cumsum(chances[np.argsort(sums)]), 1 - delta)]
        gap = math.sqrt(2 * math.log(2 / delta)) / norm.ppf(1 - delta / 2)
        assert opened / quantile == pytest.approx(gap, rel=2 / math.sqrt(n))


def test_the_gap_of_the_max_norm_band_closes():
    gaps = [math.sqrt(2 * math.log(2 / delta)) / norm.isf(delta / 2) for delta in (0.05, 1e-4, 1e-30)]
    assert [round(g, 2) for g in gaps] == [1.39, 1.14, 1.03]
    assert math.sqrt((1 / 4) / (1 / 6)) == pytest.approx(1.22, abs=0.005)


@pytest.mark.parametrize("delta", [0.3, 0.05, 1e-3])
def test_all_calls_together_stay_below_the_last_band(delta):
    """Doob: P(max over n calls > the last band), exactly, for steps ±1/2."""
    n = 60
    band = bounds.stochastic_open_loop_band(np.ones(n), 1.0, delta=delta, size=1)[-1]
    inside = np.zeros(2 * n + 1)  # chance of the sum (i - n)/2 having stayed inside
    inside[n] = 1
    for _ in range(n):
        inside = (np.roll(inside, 1) + np.roll(inside, -1)) / 2
        inside[np.abs(np.arange(-n, n + 1)) / 2 > band] = 0
    assert 1 - inside.sum() <= delta
    each = bounds.stochastic_open_loop_band(np.ones(n), 1.0, delta=delta, size=1)
    assert np.all(np.diff(each) > 0)


@given(delta=st.sampled_from([0.5, 0.05, 1e-3, 1e-8]), size=st.integers(1, 300))
def test_the_two_norm_band_takes_the_worst_fractions(delta, size):
    """(d-G)/4 + √(GL/2) over G = Σ(1-2f)² in [0, d] is largest at min(2L, d); never above the sure d."""
    log = -math.log(delta)
    G = np.append(np.linspace(0, size, 2001), min(2 * log, size))
    worst = np.max((size - G) / 4 + np.sqrt(G * log / 2))
    got = bounds.stochastic_closed_loop_band([1.0], 1.0, delta=delta, size=size, norm=2)[0] ** 2
    assert got == pytest.approx(min(worst, size), rel=1e-12)


@pytest.mark.parametrize("fraction", [0.5, 0.3, 0.1, 0.01])
@pytest.mark.parametrize("delta", [0.3, 0.05, 1e-3])
@pytest.mark.parametrize("size", [1, 5, 60, 400])
def test_two_norm_band_of_the_closed_loop_is_left_with_at_most_delta(size, delta, fraction):
    """All entries at the same fraction: their number of ups is binomial."""
    band = bounds.stochastic_closed_loop_band([1.0], 1.0, delta=delta, size=size, norm=2)[0]
    ups = np.arange(size + 1)
    square = ups * (1 - fraction) ** 2 + (size - ups) * fraction**2
    assert binom.pmf(ups, size, fraction)[square > band**2 * (1 + 1e-12)].sum() <= delta
    if fraction == 0.5 and size >= -2 * math.log(delta):  # the error is surely √d/2: the band is √(1+2L/d) of it
        assert band / math.sqrt(size / 4) == pytest.approx(math.sqrt(1 - 2 * math.log(delta) / size), rel=1e-12)


@pytest.mark.parametrize("delta", [0.3, 0.05, 1e-3, 1e-6])
@pytest.mark.parametrize(("calls", "size"), [(1, 4), (3, 8), (12, 20), (40, 6)])
def test_two_norm_band_of_the_open_loop_is_left_with_at_most_delta(calls, size, delta):
    """Entries are sums of ``calls`` steps ±1/2: the distribution of Σ S², by convolution."""
    ups = np.arange(calls + 1)
    one = np.zeros(calls**2 + 1)  # of (2S)²
    np.add.at(one, (2 * ups - calls) ** 2, binom.pmf(ups, calls, 0.5))
    total = np.ones(1)
    for _ in range(size):
        total = np.convolve(total, one)
    band = bounds.stochastic_open_loop_band(np.ones(calls), 1.0, delta=delta, size=size, norm=2)[-1]
    assert total[np.arange(len(total)) / 4 > band**2].sum() <= delta


@pytest.mark.parametrize("delta", [0.3, 1e-3, 1e-12, 1e-200])
@pytest.mark.parametrize("size", [1, 4, 60, 10_000])
def test_two_norm_band_of_the_open_loop_is_laurent_and_massarts(size, delta):
    """Half steps have the variance proxy 1/4, in whose units band² is their bound on the tail of a chi-square variable.

    Their lemma: ln E exp(u(χ² - d)) <= d·u²/(1-2u), so that by Chernoff χ² - d exceeds d·u/(1-2u) + L/u with
    probability at most delta, whatever u in (0, 1/2) is. The bound takes the best u, here searched for.
    """
    square = 4 * bounds.stochastic_open_loop_band([1.0], 1.0, delta=delta, size=size, norm=2)[0] ** 2
    assert chi2.logsf(square, size) <= math.log(delta)
    log = -math.log(delta)

    def exceeded(u):
        return size * u / (1 - 2 * u) + log / u

    assert all(-size / 2 * math.log1p(-2 * u) - size * u <= size * u**2 / (1 - 2 * u) for u in np.linspace(0, 0.49, 50))
    best = minimize_scalar(exceeded, bounds=(0, 0.5), method="bounded", options={"xatol": 1e-12})
    assert square == pytest.approx(size + best.fun, rel=1e-9)


@pytest.mark.parametrize("delta", [1e-100, 1e-300])
def test_two_norm_band_of_the_open_loop_is_nearly_the_chi_square_quantile(delta):
    """Where d is large, χ² is Gaussian, and where delta is small as well its quantile is d + 2√(dL)."""
    size = 10**6
    excess = 4 * bounds.stochastic_open_loop_band([1.0], 1.0, delta=delta, size=size, norm=2)[0] ** 2 - size
    assert 1 <= excess / (chi2.isf(delta, size) - size) <= 1.02


def test_the_closed_loop_band_holds_for_differences_that_follow_the_error():
    """Its proof asks for this call's random bits only."""
    Q, delta, rows = ms.Stochastic(3), 0.2, [(np.zeros((1, 3)), np.ones(1))]
    limit = bounds.stochastic_closed_loop_band(np.full(3, 4.0), Q.kappa(3), delta=delta, size=1, gain=math.sqrt(3))
    for call in range(3):
        error, chance = rows[-1]
        residual = error + np.array([[4.0, 1.0, 2.0]]) * np.where(error >= 0, 1, -1)
        parts = [(residual - Q(residual, random=u), chance * p) for u, p in _stochastic.outcomes(Q, residual)]
        rows.append(tuple(np.concatenate(x) for x in zip(*parts, strict=True)))
        error, chance = rows[-1]
        assert chance.sum() == pytest.approx(1)
        assert chance[np.abs(error.sum(axis=1)) > limit[call]].sum() <= delta


def test_where_a_band_says_more_than_the_sure_bound():
    d, kappa, m, width = np.ones(20), 1 / 7, 64, 1152  # a 3×3 convolution of 128 channels
    rows = np.random.default_rng(0).standard_normal((m, width))
    sure = bounds.max_norm_closed_loop(d, kappa, gain=np.abs(rows).sum(axis=1).max())
    gain = np.linalg.norm(rows, axis=1).max()
    band = bounds.stochastic_closed_loop_band(d, kappa, delta=0.01, size=m, gain=gain)
    assert np.all(band < 0.15 * sure)
    alone = bounds.stochastic_closed_loop_band(d, kappa, delta=0.01, size=1)
    assert np.all(alone > bounds.max_norm_closed_loop(d, kappa))  # the identity: 2m/delta > e²


def test_the_closed_loop_band_starts_from_an_error_and_the_open_loop_does_not_forget():
    d, options = np.ones(60), {"delta": 0.05, "size": 1}
    late = bounds.stochastic_closed_loop_band(d, 1 / 7, start=5.0, **options)
    exact = bounds.stochastic_closed_loop_band(d, 1 / 7, **options)
    assert late[0] > 5 * exact[0]
    assert late[-1] == pytest.approx(exact[-1], rel=1e-14)
    opened = bounds.stochastic_open_loop_band(d, 1 / 7, **options)
    assert opened == pytest.approx(opened[0] * np.sqrt(np.arange(1, 61)), rel=1e-13)


# -- the compressor, and bad input ------------------------------------------------------------------------------------


def test_the_coin_is_what_it_says():
    Q, x = Coin(omega=0.49), np.random.default_rng(0).standard_normal((8, 5))
    up, down = (Q(x, random=np.full(x.shape, u)) for u in (0.75, 0.25))
    assert (up + down) / 2 == pytest.approx(x, rel=4 * EPS)
    assert ((up - x) ** 2).sum(axis=1) == pytest.approx(0.49 * (x**2).sum(axis=1), rel=64 * EPS)


def test_coverage_intervals_are_exact():
    """Clopper-Pearson: the tails beyond both ends have exactly half of what the level leaves."""
    n = 40
    inside = np.arange(n)[None] < np.array([[0], [7], [39], [40]])
    share, low, high = _stochastic.coverage(inside, level=0.9)
    assert share.tolist() == [0, 7 / 40, 39 / 40, 1]
    assert (low[0], high[3]) == (0, 1)
    assert binom.sf(6, n, low[1]) == pytest.approx(0.05)
    assert binom.cdf(7, n, high[1]) == pytest.approx(0.05)
    assert low[3] == pytest.approx(0.05 ** (1 / n))


@pytest.mark.parametrize("bound", [bounds.stochastic_closed_loop_band, bounds.stochastic_open_loop_band])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"delta": 0.0}, "delta is the probability"),
        ({"delta": 1.0}, "delta is the probability"),
        ({"delta": math.nan}, "delta is the probability"),
        ({"size": 0}, "size.* int >= 1"),
        ({"size": math.nan}, "size.* int >= 1"),
        ({"gain": -1.0}, "gain"),
        ({"norm": 1}, "norm=2 or norm=math.inf"),
    ],
)
def test_bad_bands(bound, options, message):
    with pytest.raises(ValueError, match=message):
        bound([1.0], 0.5, **({"delta": 0.1, "size": 1} | options))
    with pytest.raises(ValueError, match="kappa"):
        bound([1.0], -0.5, delta=0.1, size=1)


@pytest.mark.parametrize("bound", [bounds.stochastic_closed_loop, bounds.stochastic_open_loop])
def test_bad_expectations(bound):
    for omega in (-0.1, math.nan, INF):
        with pytest.raises(ValueError, match="omega"):
            bound([1.0], omega)
    with pytest.raises(ValueError, match="start"):
        bound([1.0], 0.5, start=-1.0)
    with pytest.raises(ValueError, match="at least one difference"):
        bound([], 0.5)
