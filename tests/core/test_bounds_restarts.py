"""Starts, warm-up and refreshes: bounds against runs, and closed forms against counting."""

import math
from functools import partial

import numpy as np
import pytest
from calls import infos
from hypothesis import assume, given
from hypothesis import strategies as st

import modiff_sim as ms
from modiff_sim import bounds
from modiff_sim import recursion as rec
from modiff_sim.testing import sequences
from paper_checks._shared import Shrink
from paper_checks.starts import _restarts

EPS = np.finfo(float).eps
norms = st.lists(st.integers(0, 80).map(lambda i: i / 8), min_size=1, max_size=12).map(np.asarray)
kappas = st.sampled_from([0.0, 1 / 14, 1 / 6, 0.5, 1.0, 1.5])
refreshes = st.one_of(
    st.just("never"), st.integers(1, 14), st.lists(st.integers(0, 14), min_size=1, max_size=5).map(tuple)
)
#: every bound that a run is compared with, with its contraction left open
KNOWN = {
    "max_norm_closed_loop": bounds.max_norm_closed_loop,
    "max_norm_open_loop": bounds.max_norm_open_loop,
    "sharp_closed_loop": bounds.sharp_closed_loop,
    "young_closed_loop": bounds.young_closed_loop,
    "young_open_loop": bounds.young_open_loop,
    "stochastic_closed_loop": bounds.stochastic_closed_loop,
    "stochastic_open_loop": bounds.stochastic_open_loop,
}


# -- refreshed --------------------------------------------------------------------------------------------------------


@given(d=norms, kappa=kappas, refresh=refreshes, start=st.sampled_from([0.0, 3.0]))
def test_refreshed_is_the_recursion_that_is_set_to_zero(d, kappa, refresh, start):
    is_refresh = rec.refresh_calls(refresh)
    closed, opened, E, S = [], [], start, 0.0
    for k, value in enumerate(d):
        E, S = (0.0, 0.0) if is_refresh(k + 1) else (kappa * (value + E), S + kappa * value)
        closed.append(E)
        opened.append(S)
    got = bounds.refreshed(partial(bounds.max_norm_closed_loop, kappa=kappa), d, refresh, start=start)
    assert np.allclose(got, closed, rtol=4 * len(d) * EPS, atol=0)
    got = bounds.refreshed(partial(bounds.max_norm_open_loop, kappa=kappa), d, refresh)
    assert np.allclose(got, opened, rtol=4 * len(d) * EPS, atol=0)


@pytest.mark.parametrize("name", KNOWN)
@given(d=norms, refresh=refreshes)
def test_every_bound_can_be_refreshed(name, d, refresh):
    """From a refresh on it is the bound of the rest alone; before the first one it is the bound itself."""
    bound = lambda d, **options: KNOWN[name](d, 0.3, **options)  # noqa: E731
    got = bounds.refreshed(bound, d, refresh)
    cuts = [k for k in range(len(d)) if rec.refresh_calls(refresh)(k + 1)]
    assert np.all(got[cuts] == 0)
    for first, end in zip([0, *(k + 1 for k in cuts)], [*cuts, len(d)], strict=True):
        if end > first:
            assert np.array_equal(got[first:end], bound(d[first:end]))
    many = bounds.refreshed(bound, np.stack([d, 2 * d], axis=1), refresh)
    assert np.allclose(many, np.stack([got, 2 * got], axis=1), rtol=8 * EPS, atol=0)
    if not cuts:
        assert np.array_equal(got, bound(d))


def test_a_start_of_one_sequence_for_many_trials():
    bound, start = partial(bounds.max_norm_closed_loop, kappa=0.5), np.array([0.0, 4.0])
    got = bounds.refreshed(bound, [1.0, 1.0, 1.0, 1.0], [3], start=start)
    assert got.tolist() == [[0.5, 2.5], [0.75, 1.75], [0, 0], [0.5, 0.5]]
    assert bounds.refreshed(bound, [1.0, 1.0], 1, start=start).tolist() == [0, 0]  # every call is exact


@given(
    inputs=sequences(),
    refresh=refreshes,
    warmup=st.sampled_from(["exact", "quantized", 3]),
    bits=st.integers(2, 4),
    loop=st.sampled_from(["closed_loop", "open_loop"]),
)
def test_errors_stay_below_with_any_start_and_refresh(inputs, refresh, warmup, bits, loop):
    for Q in (ms.AbsMax(bits), ms.MinMax(bits), Shrink(contraction=0.7)):
        states = infos(rec.run(loop, inputs, Q, warmup=warmup, refresh=refresh))
        for order, contraction, closed in (
            (2, math.sqrt(Q.c(4)), lambda d, q, **o: bounds.sharp_closed_loop(d, q * q, **o)),
            (np.inf, Q.kappa(4), bounds.max_norm_closed_loop),
        ):
            error = np.stack(
                [np.linalg.norm(a - s.output, ord=order, axis=-1) for a, s in zip(inputs, states, strict=True)]
            )
            d = np.linalg.norm(np.diff(inputs, axis=0), ord=order, axis=-1)
            size = np.linalg.norm(inputs[0], ord=order, axis=-1)
            slack = 8 * len(inputs) * EPS * 4 * max(np.abs(inputs).max(), 1.0)  # a call rounds â, r, ô in 4 entries
            start = (
                bounds.warm_up_error(size, contraction, rec.feeds(warmup), recursion=loop) if warmup != "exact" else 0
            )
            assert np.all(error[0] <= start + slack)

            def opened(d, q=contraction, start=0.0):
                return start + bounds.max_norm_open_loop(d, q)

            bound = (
                partial(closed, **{"q" if order == 2 else "kappa": contraction}) if loop == "closed_loop" else opened
            )
            assert np.all(error[1:] <= bounds.refreshed(bound, d, refresh, start=start) + slack)


@pytest.mark.parametrize("refresh", ["never", 4, [3, 4, 9]])
@pytest.mark.parametrize("warmup", ["exact", 1, 3])
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_the_max_norm_bound_is_attained_at_every_call(bits, warmup, refresh):
    Q, kappa = ms.AbsMax(bits), ms.AbsMax(bits).kappa(2)
    inputs = _restarts.worst_inputs(bits, 14, warmup=warmup, refresh=refresh, first=50.0)
    error, slack = _restarts.errors("closed_loop", inputs, Q, order=np.inf, warmup=warmup, refresh=refresh)
    start = 0.0 if warmup == "exact" else 50 * kappa**warmup
    bound = bounds.refreshed(partial(bounds.max_norm_closed_loop, kappa=kappa), np.ones(13), refresh, start=start)
    assert error[:, 0] == pytest.approx(np.append(start, bound), abs=slack.max())


# -- what a refresh is worth -------------------------------------------------------------------------------------------


@given(every=st.integers(1, 12), kappa=kappas, size=st.sampled_from([1.0, 3.0]), calls=st.integers(1, 30))
def test_worst_case_between_refreshes_is_the_largest_of_the_bound(every, kappa, size, calls):
    assume(calls >= every)
    d = np.full(calls, size)
    for loop, bound in (("closed_loop", bounds.max_norm_closed_loop), ("open_loop", bounds.max_norm_open_loop)):
        largest = bounds.refreshed(partial(bound, kappa=kappa), d, every).max()
        assert bounds.refresh_worst_case(every, kappa, recursion=loop, size=size) == pytest.approx(
            largest, rel=64 * EPS
        )
    if kappa < 1:
        closed = kappa * (1 - kappa ** (every - 1)) / (1 - kappa)
        assert bounds.refresh_worst_case(every, kappa) == pytest.approx(closed, rel=64 * EPS, abs=EPS)
        # what it gains against never refreshing
        assert closed == pytest.approx((1 - kappa ** (every - 1)) * kappa / (1 - kappa), rel=8 * EPS, abs=EPS)


@given(ratio=st.integers(1, 400).map(lambda i: i / 16), kappa=st.sampled_from([1 / 14, 1 / 6, 0.5]))
def test_the_open_loop_beats_direct_up_to_this_interval(ratio, kappa):
    k = bounds.refresh_interval(ratio)
    below = [
        bounds.refresh_worst_case(every, kappa, recursion="open_loop") < kappa * ratio * (1 - 4 * EPS)
        for every in (k, k + 1)
    ]
    assert below == [True, False]


@given(refresh=refreshes, calls=st.integers(1, 40), bits=st.integers(2, 8))
def test_effective_bits_count_the_calls(refresh, calls, bits):
    is_refresh = rec.refresh_calls(refresh)
    of_call = [32 if call == 0 or is_refresh(call) else bits for call in range(calls)]
    share = bounds.refresh_share(refresh, calls)
    assert bounds.effective_bits(bits, share) == pytest.approx(sum(of_call) / calls, rel=4 * EPS)


def test_numbers_of_the_official_code():
    share = bounds.refresh_share((0, 7, 47, 52, 56, 59, 83, 96, 97, 98, 99), 100)
    assert share == 0.11
    assert bounds.effective_bits(3, share) == pytest.approx(6.19)
    assert bounds.effective_bits(3, share, full=16) == pytest.approx(4.43)
    assert bounds.effective_bits(3, bounds.refresh_share("never", 100)) == pytest.approx(3.29)


# -- warm-up -----------------------------------------------------------------------------------------------------------


@given(
    kappa=st.sampled_from([1 / 14, 1 / 6, 0.5, 0.99]),
    ratio=st.floats(1e-3, 1e9),
    share=st.sampled_from([1.0, 0.1, 1e-3]),
)
def test_feeds_needed_is_the_least_that_suffices(kappa, ratio, share):
    m = bounds.feeds_needed(kappa, ratio, share=share)
    assert ratio <= bounds.warm_up_ratio(kappa, m, share=share)
    assert m == 0 or ratio > bounds.warm_up_ratio(kappa, m - 1, share=share)
    steady = bounds.max_norm_closed_loop(np.ones(8000), kappa)[-1]
    left = bounds.warm_up_error(ratio, kappa, m)
    assert left <= share * steady * (1 + 1e-9)


@given(kappa=st.sampled_from([1 / 14, 1 / 6, 0.5]), m=st.integers(0, 8))
def test_feeds_needed_inverts_the_ratio(kappa, m):
    assert bounds.feeds_needed(kappa, bounds.warm_up_ratio(kappa, m)) == m


def test_numbers_at_four_bits():
    kappa = ms.AbsMax(4).kappa(2)
    assert [round(bounds.warm_up_ratio(kappa, m), 1) for m in (1, 2, 3, 4, 5)] == [1.1, 15.1, 211.1, 2955.1, 41371.1]
    assert [bounds.feeds_needed(kappa, 10, share=share) for share in (1, 0.1, 0.01, 0.001)] == [2, 3, 4, 5]
    assert bounds.feeds_needed(kappa, 0) == 0


def test_a_call_contracts_the_start_as_a_feed_does():
    kappa, d = 1 / 14, np.ones(8)
    fed = [bounds.max_norm_closed_loop(d, kappa, start=bounds.warm_up_error(100.0, kappa, m)) for m in (1, 3)]
    none = bounds.max_norm_closed_loop(d, kappa)
    assert fed[0][2:] - none[2:] == pytest.approx(fed[1][:-2] - none[:-2], rel=1e-9, abs=1e-15)


@given(
    size=st.integers(0, 400).map(lambda i: i / 8),
    bits=st.integers(2, 4),
    feeds=st.integers(1, 40),
    sign=st.sampled_from([1, -1]),
)
def test_static_warm_up_counts_its_feeds(size, bits, feeds, sign):
    """On a power of two every number is exact. (M, s/2) attains it for M > 0; below zero there is one level more."""
    s = 0.25
    Q = ms.Static(bits, scale=s)
    error, _ = _restarts.errors("closed_loop", np.array([[[sign * size, s / 2]]]), Q, order=np.inf, warmup=feeds)
    qmax = 2 ** (bits - 1) - 1
    least = max(s / 2, size - feeds * qmax * s)
    assert error[0, 0] == least if sign > 0 else error[0, 0] <= least
    needed = bounds.static_feeds(size, s, bits)
    assert needed == max(0, math.ceil((size / s - 0.5) / qmax))
    if sign > 0:
        assert (error[0, 0] == s / 2) == (feeds >= needed)


# -- bad input ---------------------------------------------------------------------------------------------------------


def test_huge_counts_and_contractions():
    """A sum in closed form, and inf (no OverflowError) beyond the largest float; what is 0 stays 0."""
    assert bounds.refresh_worst_case(10**9, 0.25) == 1 / 3
    assert bounds.refresh_worst_case(10**9, 1.0) == 10**9 - 1
    assert bounds.refresh_worst_case(10**9, 1 - 2.0**-30) == pytest.approx(
        (2.0**30 - 1) * -math.expm1((10**9 - 1) * math.log1p(-(2.0**-30))), rel=8 * EPS
    )
    assert math.isinf(bounds.refresh_worst_case(5, 1e308))
    assert bounds.refresh_worst_case(5, 1e308, size=0.0) == bounds.refresh_worst_case(1, 1e308) == 0
    assert bounds.warm_up_error([0.0, 1.0], 1e308, 3).tolist() == [0, math.inf]
    assert math.isinf(bounds.warm_up_ratio(0.1, 400))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bounds.refreshed(partial(bounds.max_norm_open_loop, kappa=0.5), [], 2), "at least one difference"),
        (lambda: bounds.refreshed(partial(bounds.max_norm_open_loop, kappa=0.5), [1.0], 0), "k >= 1"),
        (lambda: bounds.refresh_worst_case(0, 0.5), "int >= 1"),
        (lambda: bounds.refresh_worst_case(2.5, 0.5), "int >= 1"),
        (lambda: bounds.refresh_worst_case(2, 0.5, size=-1.0), "size"),
        (lambda: bounds.refreshed(lambda d: np.asarray(d), [math.nan], 2), "finite and >= 0"),
        (lambda: bounds.refresh_worst_case(2, -0.5), "contraction"),
        (lambda: bounds.refresh_worst_case(2, math.nan), "contraction"),
        (lambda: bounds.refresh_worst_case(2, 0.5, recursion="direct"), "known: closed_loop, open_loop"),
        (lambda: bounds.refresh_interval(0.0), "ratio"),
        (lambda: bounds.refresh_interval(math.inf), "ratio"),
        (lambda: bounds.refresh_share("never", 0), "calls"),
        (lambda: bounds.effective_bits(3, 1.5), "share"),
        (lambda: bounds.effective_bits(-1, 0.5), "bits"),
        (lambda: bounds.effective_bits(3, 0.5, full=math.nan), "full"),
        (lambda: bounds.warm_up_error(1.0, 0.5, -1), "feeds"),
        (lambda: bounds.warm_up_error(1.0, 0.5, math.nan), "feeds"),
        (lambda: bounds.warm_up_error(1.0, 0.5, 1, recursion="direct"), "direct"),
        (lambda: bounds.warm_up_error(math.nan, 0.5, 1), "finite"),
        (lambda: bounds.warm_up_ratio(1.0, 2), "0 < contraction < 1"),
        (lambda: bounds.warm_up_ratio(0.5, -1), "feeds"),
        (lambda: bounds.warm_up_ratio(0.5, math.inf), "feeds"),
        (lambda: bounds.feeds_needed(1.0, 10), "0 < contraction < 1"),
        (lambda: bounds.feeds_needed(0.5, math.inf), "ratio"),
        (lambda: bounds.feeds_needed(0.5, 10, share=0.0), "share"),
        (lambda: bounds.static_feeds(1.0, 0.0, 4), "scale"),
        (lambda: bounds.static_feeds(1.0, 1.0, 1), "bits"),
        (lambda: bounds.static_feeds(math.nan, 1.0, 4), "finite"),
        (lambda: bounds.static_feeds(-1.0, 1.0, 4), "finite"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
