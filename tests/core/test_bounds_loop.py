"""The true loop: small-gain bounds against simulated loops, exact fractions, and each other."""

import math
from fractions import Fraction

import numpy as np
import pytest
import reference
from hypothesis import given, target
from hypothesis import strategies as st

import modiff_sim as ms
from modiff_sim import bounds
from modiff_sim import recursion as rec
from paper_checks._beyond import (
    OneSided,
    Overshoot,
    alternating,
    linear_feedback,
    random_feedback,
    run_loop,
    worst_feedback,
)

EPS = np.finfo(float).eps
BOUNDS = {"closed_loop": bounds.small_gain_closed_loop, "direct": bounds.small_gain_direct}
sizes = st.lists(st.integers(0, 40).map(lambda i: i / 4), min_size=1, max_size=8)
contractions = st.sampled_from([Fraction(1, 2), Fraction(1, 6), Fraction(1, 14), Fraction(3, 2)])
gains = st.sampled_from([Fraction(0), Fraction(1, 4), Fraction(2), Fraction(9)])


def close(got, expected):
    """Each row takes about 8 roundings, every one amplified like the row itself."""
    return np.allclose(got, [float(v) for v in expected], rtol=16 * len(expected) * EPS, atol=0)


# -- attained at every step, in exact fractions ------------------------------------------------------------------------


@given(d=sizes, kappa=contractions, L=gains)
def test_the_closed_loop_bound_is_what_its_worst_case_does(d, kappa, L):
    """η_t = ∓L·max|e| and Q(x) = (1+κ)x, stepped literally: both errors, on both sides of the condition."""
    a = a_hat = eta = M = Fraction(0)
    tracking, total = [], []
    for t, size in enumerate(d):
        sign = (-1) ** t
        a += sign * Fraction(size)
        eta = -sign * L * M
        r = a - eta - a_hat
        a_hat += (1 + kappa) * r
        tracking.append(abs(a - eta - a_hat))
        total.append(abs(a - a_hat))
        M = max(M, tracking[-1])
    options = {"finite_horizon": True}
    assert close(bounds.small_gain_closed_loop(d, float(kappa), float(L), **options), tracking)
    assert close(bounds.small_gain_closed_loop(d, float(kappa), float(L), total=True, **options), total)


@given(d=sizes, kappa=contractions, L=gains)
def test_the_open_loop_bound_is_what_its_worst_case_does(d, kappa, L):
    a = fed = eta = S = Fraction(0)
    sums, total = [], []
    for t, size in enumerate(d):
        sign = (-1) ** t
        a += sign * Fraction(size)
        eta = -sign * L * S
        r = a - eta - fed
        fed = a - eta
        S += kappa * abs(r)  # Q(x) = x - κ|x|
        sums.append(S)
        total.append(abs(eta + S))
    assert close(bounds.small_gain_open_loop(d, float(kappa), float(L)), sums)
    bound = bounds.small_gain_open_loop(d, float(kappa), float(L), total=True)
    assert close(bound[1::2], total[1::2]) if len(d) > 1 else True
    assert all(float(v) <= b * (1 + 16 * len(d) * EPS) for v, b in zip(total, bound, strict=True))


@given(a=sizes, kappa=contractions, L=gains)
def test_the_direct_bound_is_what_its_worst_case_does(a, kappa, L):
    M = Fraction(0)
    tracking, total = [], []
    for size in a:
        eta = -L * M
        e = -kappa * (Fraction(size) - eta)  # Q(x) = (1+κ)x
        tracking.append(abs(e))
        total.append(abs(eta + e))
        M = max(M, tracking[-1])
    options = {"finite_horizon": True}
    assert close(bounds.small_gain_direct(a, float(kappa), float(L), **options), tracking)
    assert close(bounds.small_gain_direct(a, float(kappa), float(L), total=True, **options), total)


# -- exceeded by no loop -----------------------------------------------------------------------------------------------


@given(
    recursion=st.sampled_from(["direct", "open_loop", "closed_loop"]),
    Q=st.sampled_from([ms.AbsMax(2), ms.AbsMax(3), ms.AbsMax(6), ms.MinMax(3), ms.Zero()]),
    L=st.sampled_from([0.0, 0.3, 1.0, 4.0]),
    scale=st.sampled_from([0.0, 1.0, 8.0]),
    seed=st.integers(0, 10**6),
)
def test_no_loop_within_the_premise_exceeds_the_bounds(recursion, Q, L, scale, seed):
    rng = np.random.default_rng(seed)
    a = np.cumsum(2.0 ** (scale * rng.random((10, 1, 1))) * rng.standard_normal((10, 3, 4)), axis=0)
    run = run_loop(recursion, a, Q, random_feedback(L, 4, rng))
    kappa, options = Q.kappa(4), {"finite_horizon": True}
    norm = np.abs(a).max(axis=-1)
    d = np.abs(np.diff(a, axis=0)).max(axis=-1)
    for total, errors in ((False, run.tracking), (True, run.total)):
        error = np.abs(errors).max(axis=-1)
        if recursion == "direct":
            bound = bounds.small_gain_direct(norm, kappa, L, total=total, **options)
        elif recursion == "closed_loop":
            error, bound = error[1:], bounds.small_gain_closed_loop(d, kappa, L, total=total, **options)
        else:
            error, bound = error[1:], bounds.small_gain_open_loop(d, kappa, L, total=total)
        # a call rounds numbers of the size of a, its moves included, a few times; the loop passes that on like errors
        slack = 64 * EPS * (norm.max() + (1 + L) * bound.max())
        assert np.all(error <= bound + slack)
        target(float(np.max(error / (bound + slack))), label=f"{recursion}, total {total}")


@given(L=st.sampled_from([0.5, 2.0]), layers=st.integers(1, 5), seed=st.integers(0, 10**6))
def test_errors_of_the_same_call_are_covered(L, layers, seed):
    """A stack of layers, each moved by an error of any earlier layer of the same call or by one of an earlier call."""
    rng, Q = np.random.default_rng(seed), ms.AbsMax(3)
    a = np.cumsum(rng.standard_t(2, (8, layers, 1, 3)), axis=0)
    states, past, worst = [None] * layers, [], []
    for exact in a:
        for layer in range(layers):
            eta = 0.0
            if past and worst:  # the first call is exact
                B = rng.standard_normal((3, 3))
                eta = L * past[rng.integers(len(past))] @ (B / np.abs(B).sum(axis=1).max()).T
            states[layer], info = rec.Scheme("closed_loop").advance(states[layer], exact[layer] - eta, Q)
            past.append(exact[layer] - eta - info.output)
        worst.append(max(np.abs(e).max() for e in past[-layers:]))
    d = np.abs(np.diff(a, axis=0)).max(axis=(1, 2, 3))
    bound = bounds.small_gain_closed_loop(d, Q.kappa(3), L, same_call=True, finite_horizon=True)
    assert np.all(np.asarray(worst[1:]) <= bound + 256 * EPS * (np.abs(a).max() + bound.max()))


def test_the_same_call_bound_is_approached_by_deep_networks():
    """η of layer l is ∓L times the error of layer l-1 of the same call (of the last call's worst at layer 1)."""
    kappa, L, depth = 1 / 6, 2.0, 60
    Q, d = Overshoot(contraction=kappa**2), np.array([1.0, 1.0, 3.0, 3.0, 4.0])
    a = alternating(d)
    states, M, errors = [None] * depth, 0.0, []
    for t, exact in enumerate(a):
        top = M
        for layer in range(depth):
            eta = (-1.0) ** t * L * max(top, M) if t else 0.0
            states[layer], info = rec.Scheme("closed_loop").advance(states[layer], exact - eta, Q)
            top = np.abs(exact - eta - info.output).item()
        M = max(M, top)
        errors.append(top)
    bound = bounds.small_gain_closed_loop(d, kappa, L, same_call=True)
    assert np.allclose(errors[1:], bound, rtol=1e-12)  # (κL)^60 is 1e-29: rounding of the states' sums is left
    assert np.all(bound > bounds.small_gain_closed_loop(d, kappa, L))


# -- the condition -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_the_linear_example_is_bounded_exactly_under_the_condition(bits):
    kappa = ms.AbsMax(bits).kappa(2)
    limit = bounds.loop_gain_limit(kappa)
    Q, d = Overshoot(contraction=kappa**2), np.ones(600)
    for share in (0.5, 0.9, 1.0, 1.02, 1.5):
        L = share * limit
        error = np.abs(run_loop("closed_loop", alternating(d), Q, linear_feedback(L)).tracking[1:, 0, 0])
        known = bounds.small_gain_closed_loop(d, kappa, L, finite_horizon=True)
        # attained at every step; rounding is amplified by 1/(1-z), or like the error itself
        assert np.allclose(error, known, rtol=1e-9)
        if share < 1:
            assert error[-1] == pytest.approx(bounds.small_gain(kappa, L), rel=1e-9)
            assert error.max() <= bounds.small_gain(kappa, L) * (1 + 1e-9)
            assert bounds.loop_growth(kappa, L) < 1
        else:
            assert math.isinf(bounds.small_gain(kappa, L))
            assert np.isinf(bounds.small_gain_closed_loop(d, kappa, L)).all()
        if share == 1:  # on the border: linear growth
            steps = np.diff(error)[300:]
            assert np.allclose(steps, steps[0], rtol=1e-6)
            assert steps[0] > 0
        if share > 1:
            assert bounds.loop_growth(kappa, L) > 1
            assert error[-1] / error[-2] == pytest.approx(bounds.loop_growth(kappa, L), rel=1e-2)


@pytest.mark.parametrize(("bits", "L"), [(3, Fraction(2)), (4, Fraction(3)), (4, Fraction(6))])
def test_absmax_itself_attains_it_while_its_error_is_below_the_difference(bits, L):
    """Two coordinates take turns, as in ``processes.alternating``, in exact fractions; D = 1.

    ``big`` carries the error and gets D + L(M + M') + E, exact on the grid; ``small`` gets the tie κ times that, and
    its move is set so that it helps when its turn comes. Differences of norm D can do that while E + L·(growth of M)
    stays at most D: up to the limit in the first two cases, for some steps in the third.
    """
    kappa = Fraction(1, 2 * (2 ** (bits - 1) - 1))
    E = M = before = Fraction(0)
    a, eta, ref, error = ([Fraction(0)] * 2 for _ in range(4))
    sign = [1, -1]
    attained = []
    for t in range(25):
        big, small = t % 2, 1 - t % 2
        R = 1 + L * (M + before) + E
        sign[small] = -sign[small]
        residual, moved = [Fraction(0)] * 2, [Fraction(0)] * 2
        residual[big], moved[big] = sign[big] * R, -sign[big] * L * M
        residual[small], moved[small] = sign[small] * kappa * R, sign[small] * L * M
        # r = d - η + η_before + e_before
        d = [residual[i] + moved[i] - eta[i] - error[i] for i in range(2)]
        if max(map(abs, d)) > 1:
            break
        a, eta = reference.add(a, d), moved
        assert max(map(abs, eta)) == L * M
        hat = reference.absmax(reference.sub(reference.sub(a, eta), ref), bits)
        ref = reference.add(ref, hat)
        error = reference.sub(reference.sub(a, eta), ref)
        before, M, E = M, max(M, kappa * R), kappa * R
        attained.append(max(map(abs, error)))
        assert attained[-1] == E
    assert len(attained) == 25 or L == 6
    assert len(attained) >= 2
    assert close(bounds.small_gain_closed_loop(np.ones(len(attained)), float(kappa), float(L)), attained)
    if L < 6:
        assert float(E) == pytest.approx(bounds.small_gain(float(kappa), float(L)), rel=5e-2)


@given(kappa=st.floats(0.004, 0.999), share=st.floats(0.01, 0.98))
def test_growth_condition_and_limit_agree(kappa, share):
    for recursion in ("closed_loop", "direct"):
        limit = bounds.loop_gain_limit(kappa, recursion)
        assert bounds.loop_growth(kappa, share * limit, recursion) < 1
        assert math.isfinite(bounds.small_gain(kappa, share * limit, recursion))
        assert math.isinf(bounds.small_gain(kappa, limit, recursion))
        assert bounds.loop_growth(kappa, limit / share, recursion) > 1
    assert bounds.loop_growth(kappa, share, "open_loop") > 1
    assert bounds.loop_growth(kappa, 0.0, "open_loop") == 1
    assert math.isinf(bounds.small_gain(kappa, 0.0, "open_loop"))


@pytest.mark.parametrize("recursion", ["closed_loop", "direct"])
@given(L=st.one_of(st.floats(0, 300), st.integers(0, 600).map(lambda i: i / 2)))
def test_bits_for_small_gain_is_the_smallest(recursion, L):
    bits = bounds.bits_for_small_gain(L, recursion)
    need = Fraction(L) + Fraction(1, 2) if recursion == "closed_loop" else Fraction(L) / 2
    assert 2 ** (bits - 1) - 1 > need
    assert bits == 2 or 2 ** (bits - 2) - 1 <= need
    assert bounds.bits_for_small_gain(L) <= bounds.bits_for_small_gain(L, "direct") + 1


def test_numbers():
    """The gains that probing a trained U-Net with random signs gives, 26 to 65, would demand 6 to 8 bits."""
    assert [bounds.bits_for_small_gain(L) for L in (0, 2.4, 2.5, 26, 65)] == [2, 3, 4, 6, 8]
    assert [bounds.loop_gain_limit(ms.AbsMax(b).kappa(2)) for b in (2, 3, 4, 8)] == [0.5, 2.5, 6.5, 126.5]
    assert bounds.small_gain(1 / 6, 1.0) == pytest.approx(1 / 3)
    assert bounds.small_gain(1 / 6, 1.0, "direct") == pytest.approx(1 / 5)


@given(d=sizes, kappa=contractions)
def test_without_feedback_it_is_the_single_layer(d, kappa):
    kappa = float(kappa)
    known = bounds.max_norm_closed_loop(d, kappa, gain=2.0, start=0.5)
    options = {"gain": 2.0, "finite_horizon": True}
    for extra in ({}, {"same_call": True}, {"total": True}):
        got = bounds.small_gain_closed_loop(d, kappa, 0.0, start=0.5, **extra, **options)
        assert np.allclose(got, known, rtol=1e-14)
    assert np.allclose(
        bounds.small_gain_open_loop(d, kappa, 0.0, gain=2.0), bounds.max_norm_open_loop(d, kappa, gain=2.0), rtol=1e-14
    )
    assert np.allclose(bounds.small_gain_direct(d, kappa, 0.0, **options), bounds.direct(d, kappa**2, gain=2.0))


def test_a_constant_linear_network_spares_the_open_loop():
    """η_t = -L·S_{t-1} with differences of one sign: linear growth at κ/(1-κL) per call, no exponential."""
    kappa, L, n = 1 / 6, 2.0, 200
    a = np.concatenate([[0.0], np.cumsum(np.ones(n))]).reshape(-1, 1, 1)
    S = np.abs(run_loop("open_loop", a, OneSided(contraction=kappa**2), linear_feedback(L)).tracking[:, 0, 0])
    assert np.diff(S)[-50:] == pytest.approx(np.full(50, kappa / (1 - kappa * L)), rel=1e-9)
    assert bounds.small_gain_open_loop(np.ones(n), kappa, L)[-1] > 1e6 * S[-1]


def test_trials_are_independent_and_nothing_overflows_into_nan():
    d = np.random.default_rng(0).random((6, 3))
    options = {"start": np.array([0.0, 1.0, 2.0]), "finite_horizon": True, "total": True, "same_call": True}
    both = bounds.small_gain_closed_loop(d, 0.1, 1.0, **options)
    for i in range(3):
        assert np.array_equal(both[:, i], bounds.small_gain_closed_loop(d[:, i], 0.1, 1.0, **options | {"start": i}))
    for L in (0.0, 5.0):
        long = np.ones(3000)
        for name in BOUNDS:
            bound = BOUNDS[name](long, 3.0, L, finite_horizon=True, total=True)
            assert not np.isnan(bound).any()
        assert not np.isnan(bounds.small_gain_closed_loop(long, 3.0, L, finite_horizon=True, same_call=True)).any()
        assert not np.isnan(bounds.small_gain_open_loop(long, 3.0, L, total=True)).any()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bounds.small_gain(-0.1, 1.0), "kappa must be finite and >= 0, got -0.1"),
        (lambda: bounds.small_gain(0.1, math.nan), "loop gain L must be finite and >= 0, got nan"),
        (lambda: bounds.small_gain(0.1, 1.0, "closed"), "known: direct, open_loop, closed_loop"),
        (lambda: bounds.loop_gain_limit(0.1, "closed"), "known: direct, open_loop, closed_loop"),
        (lambda: bounds.loop_growth(math.inf, 1.0), "kappa must be finite"),
        (lambda: bounds.bits_for_small_gain(-1.0), "loop gain L"),
        (lambda: bounds.bits_for_small_gain(1.0, "open_loop"), "no number of bits bounds 'open_loop'"),
        (lambda: bounds.small_gain_closed_loop([], 0.1, 1.0), "at least one difference"),
        (lambda: bounds.small_gain_closed_loop([1.0], 0.1, -1.0), "loop gain L"),
        (lambda: bounds.small_gain_closed_loop([1.0], 0.1, 1.0, start=-1.0), "start"),
        (lambda: bounds.small_gain_open_loop([-1.0], 0.1, 1.0), "finite and >= 0"),
        (lambda: bounds.small_gain_open_loop([1.0], 0.1, math.inf), "loop gain L"),
        (lambda: bounds.small_gain_direct([1.0], math.nan, 1.0), "kappa is a ratio of norms"),
        (lambda: bounds.small_gain_closed_loop([1.0], 0.1, 1.0, gain=-1.0), "gain"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_bits_for_a_huge_loop_gain():
    """1 + 2L is infinite here, the bits are not."""
    for L in (2.0**60, 1e300, float(np.finfo(float).max)):
        bits = bounds.bits_for_small_gain(L)
        assert 2 ** (bits - 2) - 1 <= L < 2 ** (bits - 1) - 1
        assert bounds.bits_for_small_gain(L, "direct") == bits - 1


def test_no_gain_is_too_large_without_an_error():
    assert math.isinf(bounds.loop_gain_limit(0.0))
    assert bounds.small_gain(0.0, 100.0) == 0
    assert bounds.small_gain(0.0, 1.0, "open_loop") == 0
    assert bounds.loop_gain_limit(1.5) == 0
    assert run_loop("closed_loop", alternating([1.0]), ms.Identity(), worst_feedback(3.0)).tracking.max() == 0
