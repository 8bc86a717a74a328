"""Young's inequality with a parameter: against exact fractions, against runs, and against the sharp bounds."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from calls import infos
from hypothesis import given, target
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

import modiff_sim as ms
from modiff_sim import bounds
from modiff_sim import recursion as rec
from modiff_sim.testing import sequences
from paper_checks._shared import Shrink

EPS = np.finfo(float).eps
LOOPS = {
    "closed_loop": (bounds.young_closed_loop, bounds.sharp_closed_loop),
    "open_loop": (bounds.young_open_loop, bounds.sharp_open_loop),
}
loops = st.sampled_from(sorted(LOOPS))
eighths = st.integers(0, 80).map(lambda i: i / 8)
norms = st.lists(eighths, min_size=1, max_size=10).map(np.asarray)
betas = st.sampled_from([0.125, 0.5, 1.0, 3.0, 16.0])
contractions = st.sampled_from([0.0, 0.04, 0.25, 0.5, 0.64, 0.9, 1.0, 2.25])


def close(got, expected, n: int) -> bool:
    """A call rounds the root of c, β's two factors, two squares and products, their sum and its root: below 8 each."""
    return np.allclose(got, expected, rtol=8 * (n + 1) * EPS, atol=0)


def sharp(loop: str, d, c: float, start=0.0):
    """The open loop's sharp bound has its start added."""
    return LOOPS[loop][1](d, c, start=start) if loop == "closed_loop" else start + LOOPS[loop][1](d, c)


# -- what it says --------------------------------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.integers(-50, 50), st.integers(-50, 50)), min_size=1, max_size=6),
    st.fractions(min_value=Fraction(1, 100), max_value=100),
)
def test_youngs_inequality_in_exact_arithmetic(pairs, beta):
    x, y = ([Fraction(p[i]) for p in pairs] for i in (0, 1))
    left = sum((v + w) ** 2 for v, w in pairs)
    right = (1 + beta) * sum(v * v for v in x) + (1 + 1 / beta) * sum(w * w for w in y)
    assert left <= right
    # what is missing is ||√β x - y/√β||² = β||x - y/β||²
    assert right - left == beta * sum((v - w / beta) ** 2 for v, w in zip(x, y, strict=True))


@given(
    loop=loops, d=norms, c=contractions, beta=st.lists(betas, min_size=1, max_size=10), start=st.sampled_from([0, 1.5])
)
def test_equals_the_recursion_in_exact_arithmetic(loop, d, c, beta, start):
    n = len(d)
    per_call = [beta[j % len(beta)] for j in range(n)]
    square, expected = Fraction(start) ** 2, []
    for call, (value, b) in enumerate(zip(d, map(Fraction, per_call), strict=True)):
        left = square * (Fraction(c) if loop == "closed_loop" else 1)
        new = Fraction(c) * Fraction(value) ** 2
        square = new if call == 0 and start == 0 else (1 + b) * left + (1 + 1 / b) * new
        expected.append(square)
    got = LOOPS[loop][0](d, c, beta=np.asarray(per_call), start=start)
    assert close(got, [math.sqrt(v) for v in expected], n)


@given(loop=loops, d=norms, c=contractions, beta=betas)
def test_a_constant_unrolls_to_its_geometric_sum(loop, d, c, beta):
    n = len(d)
    ratio = (c if loop == "closed_loop" else 1) * (1 + beta)
    weight = [[(1 + 1 / beta) * c * ratio ** (j - k) if k else c * ratio**j for k in range(j + 1)] for j in range(n)]
    expected = [math.sqrt(sum(w * v * v for w, v in zip(row, d, strict=False))) for row in weight]
    assert close(LOOPS[loop][0](d, c, beta=beta), expected, 2 * n)


# -- the best per call is the sharp bound ----------------------------------------------------------------------------


@given(loop=loops, d=norms, c=contractions, start=st.sampled_from([0.0, 0.5, 3.0]))
def test_the_best_per_call_is_the_sharp_bound(loop, d, c, start):
    assert close(LOOPS[loop][0](d, c, beta="best", start=start), sharp(loop, d, c, start), len(d))


@given(
    loop=loops, d=norms, c=contractions, beta=st.lists(betas, min_size=10, max_size=10), start=st.sampled_from([0, 2])
)
def test_no_beta_goes_below_the_sharp_bound(loop, d, c, beta, start):
    young = LOOPS[loop][0]
    least = sharp(loop, d, c, start) * (1 - 8 * len(d) * EPS)
    for choice in (np.asarray(beta[: len(d)]), beta[0], "horizon"):
        assert np.all(young(d, c, beta=choice, start=start) >= least)


@given(inputs=sequences(), beta=st.one_of(betas, st.sampled_from(["best", "horizon", "ef21"])), loop=loops)
def test_errors_stay_below(inputs, beta, loop):
    if loop == "open_loop" and beta == "ef21":
        beta = "best"
    d = np.linalg.norm(np.diff(inputs, axis=0), axis=-1)
    for Q in (ms.AbsMax(2), ms.MinMax(3), Shrink(contraction=0.7)):
        states = infos(rec.run(loop, inputs, Q, warmup="quantized"))
        error = np.stack([np.linalg.norm(a - s.output, axis=-1) for a, s in zip(inputs, states, strict=True)])
        limit = LOOPS[loop][0](d, Q.c(4), beta=beta, start=error[0])
        slack = 8 * len(inputs) * EPS * 4 * max(np.abs(inputs).max(), 1.0)  # a call rounds â, r and ô in 4 entries
        assert np.all(error[1:] <= limit + slack)
        target(float(np.max(error[1:] - limit)), label=f"{Q} reached")


@pytest.mark.parametrize("beta", [0.3, 1.0, 4.0])
@pytest.mark.parametrize(("loop", "c"), list(itertools.product(LOOPS, (0.2, 0.8, 1.5))))
def test_every_beta_is_attained_by_its_own_differences(loop, c, beta):
    """Equality in Young's inequality: what the call adds is β times what is left, ||y|| = β||x||."""
    q, d, error = math.sqrt(c), [1.0], math.sqrt(c)
    for _ in range(9):
        d.append(beta * error / (1 if loop == "closed_loop" else q))
        error = q * (d[-1] + error) if loop == "closed_loop" else error + q * d[-1]
    inputs = np.concatenate([[0.0], np.cumsum(d)])[:, None, None]
    *_, (_, last) = rec.run(loop, inputs, Shrink(contraction=c))
    got = abs(float((inputs[-1] - last.output).item()))
    assert got == pytest.approx(LOOPS[loop][0](d, c, beta=beta)[-1], rel=1e-12)  # ten calls, inputs up to 1e3 errors


# -- EF21 ------------------------------------------------------------------------------------------------------------


@given(c=st.integers(0, 1023).map(lambda i: i / 1024))  # 1-c is exact
def test_ef21_constants(c):
    theta, weight = bounds.ef21_constants(c)
    alpha = 1 - c
    assert theta == pytest.approx(1 - math.sqrt(1 - alpha), abs=4 * EPS)
    assert weight == pytest.approx(
        (1 - alpha) / (1 - math.sqrt(1 - alpha)), rel=64 * EPS / (1 - c) + 4 * EPS, abs=4 * EPS
    )
    # a contraction in Young's form: both constants come from one s > 0
    if c > 0:
        s = 1 / math.sqrt(c) - 1
        assert 1 - theta == pytest.approx(c * (1 + s), rel=8 * EPS)
        assert weight == pytest.approx(c * (1 + 1 / s), rel=64 * EPS / (1 - c))


@given(d=norms, c=st.sampled_from([0.0, 0.04, 0.25, 0.64, 0.81]))
def test_ef21_bound_is_its_recursion(d, c):
    theta, weight = bounds.ef21_constants(c)
    square, expected = 0.0, []
    for call, value in enumerate(d):
        square = (1 - theta) * square + (weight if call else c) * value**2
        expected.append(math.sqrt(square))
    assert close(bounds.young_closed_loop(d, c, beta="ef21"), expected, 2 * len(d) + 4)


@pytest.mark.parametrize("c", [0.01, 0.25, 0.6, 0.9, 0.99])
def test_ef21_has_the_sharp_steady_state_and_twice_the_memory(c):
    q, n = math.sqrt(c), math.ceil(math.log(EPS) / math.log(math.sqrt(c)))
    limit = bounds.young_closed_loop(np.ones(2 * n), c, beta="ef21")[-1]
    assert limit == pytest.approx(q / (1 - q), rel=32 * EPS / (1 - q))
    impulse = np.eye(9)[0]
    gap = bounds.young_closed_loop(impulse, c, beta="ef21") / bounds.sharp_closed_loop(impulse, c)
    assert gap == pytest.approx(q ** (-np.arange(9) / 2), rel=1e-13)


def test_ef21_needs_a_contraction():
    for c in (1.0, 2.25):
        assert np.isinf(bounds.young_closed_loop(np.ones((3, 2)), c, beta="ef21")).all()
        assert np.isinf(bounds.young_closed_loop(np.zeros(3), c, beta="ef21", gain=0.0)).all()  # refused, not 0·inf
        with pytest.raises(ValueError, match="a contraction"):
            bounds.ef21_constants(c)
    for c in (-0.1, math.nan):
        with pytest.raises(ValueError, match="c must be finite and >= 0"):
            bounds.ef21_constants(c)
        with pytest.raises(ValueError, match="finite and >= 0"):
            bounds.young_closed_loop([1.0], c, beta="ef21")


# -- the best constant -----------------------------------------------------------------------------------------------


@given(loop=loops, d=norms, c=st.sampled_from([0.04, 0.25, 0.64, 0.9, 1.0, 2.25]), start=st.sampled_from([0.0, 2.0]))
def test_the_best_constant_is_the_best(loop, d, c, start):
    young = LOOPS[loop][0]

    def last(log):
        log = np.atleast_1d(log)
        many = np.repeat(d[:, None], len(log), axis=1)
        return young(many, c, beta=np.broadcast_to(np.exp(log), many.shape), start=start)[-1]

    best = last(np.log(bounds.best_constant_beta(d, c, recursion=loop, start=start)))[0]
    assert young(d, c, beta="horizon", start=start)[-1] == pytest.approx(best, rel=64 * EPS)
    found = minimize_scalar(lambda log: float(last(log)[0]), bounds=(-25, 25), method="bounded")
    some = 1 + 16 * len(d) * EPS
    assert best <= found.fun * some
    assert np.all(best <= last(np.linspace(-40, 40, 401)) * some)


def test_limits_of_the_best_constant():
    for c in (0.1, 0.5, 0.9):
        assert bounds.best_constant_beta(np.ones(1000), c) == pytest.approx(1 / math.sqrt(c) - 1, rel=1e-12)
    x = 2.0
    for _ in range(100):
        x = 2 * (1 - math.exp(-x))
    n, factor = 20_000, math.sqrt((math.exp(x) - 1) / x**2)
    assert (round(x, 4), round(factor, 4)) == (1.5936, 1.2426)
    d = np.ones(n)
    assert n * bounds.best_constant_beta(d, 0.3, recursion="open_loop") == pytest.approx(x, rel=10 / n)
    ratio = bounds.young_open_loop(d, 0.3, beta="horizon")[-1] / bounds.sharp_open_loop(d, 0.3)[-1]
    assert ratio == pytest.approx(factor, rel=10 / n)
    assert bounds.best_constant_beta([0.0, 0.0, 1.0], 0.3) > 1e25  # nothing is old
    assert bounds.best_constant_beta([1.0, 0.0, 0.0], 0.3) < 1e-25  # nothing is new


@given(loop=loops, c=contractions, d=st.lists(st.tuples(eighths, eighths), min_size=1, max_size=6))
def test_trials_are_apart(loop, c, d):
    young, d = LOOPS[loop][0], np.asarray(d)
    start = np.array([0.0, 2.0])
    for beta in ("best", "horizon", 1.0, np.full(len(d), 0.5), np.full(d.shape, 2.0)):
        both = young(d, c, beta=beta, start=start)
        for i in range(2):
            own = beta[:, i] if np.ndim(beta) == 2 else beta
            alone = young(d[:, i], c, beta=own, start=start[i])
            assert np.allclose(both[:, i], alone, rtol=16 * EPS, atol=0)  # the unit is common to both
    assert young(d[:, 0], c, start=start).shape == d.shape  # one sequence from two starts


@pytest.mark.parametrize("size", [1e-300, 1e-170, 1e170, 1e300])
@pytest.mark.parametrize("beta", ["best", "horizon", "ef21", 1.0])
def test_squares_neither_vanish_nor_overflow(size, beta):
    """A bound that sinks to 0 because its square did would be wrong."""
    d = np.array([1.0, 0.5, 2.0])
    unit = bounds.young_closed_loop(d, 0.25, beta=beta)
    # the best constant is found from logarithms, which hold log 1e300 = 690 to 690·eps
    rel = 1e-12 if beta == "horizon" else 16 * EPS
    assert bounds.young_closed_loop(size * d, 0.25, beta=beta) == pytest.approx(size * unit, rel=rel)


@pytest.mark.parametrize("beta", [0.0, -1.0, math.nan, math.inf, "sharp", [1.0, 2.0], np.ones((3, 1))])
def test_bad_beta(beta):
    with pytest.raises(ValueError, match="beta"):
        bounds.young_closed_loop(np.ones(3), 0.25, beta=beta)


def test_bad_recursion():
    with pytest.raises(ValueError, match="unknown beta 'ef21'; known: a number, an array, best, horizon"):
        bounds.young_open_loop([1.0], 0.25, beta="ef21")
    with pytest.raises(ValueError, match="known: closed_loop, open_loop"):
        bounds.best_constant_beta([1.0], 0.25, recursion="direct")
