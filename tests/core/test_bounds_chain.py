"""Layers in a chain: the bounds against simulated chains, exact fractions, and the naive recursion."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, target
from hypothesis import strategies as st

import modiff_sim as ms
from modiff_sim import bounds
from paper_checks._beyond import OneSided, Overshoot, alternating, run_chain
from paper_checks._shared import Shrink

EPS = np.finfo(float).eps
BOUNDS = {"direct": bounds.chain_direct, "open_loop": bounds.chain_open_loop, "closed_loop": bounds.chain_closed_loop}
NONLINEAR = {"linear": lambda x: x, "relu": lambda x: np.maximum(x, 0), "abs": np.abs, "tanh": np.tanh}
sizes = st.lists(st.integers(0, 40).map(lambda i: i / 4), min_size=1, max_size=8)


# -- exceeded by no chain ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BOUNDS)
@given(
    quantizer=st.sampled_from([ms.AbsMax(2), ms.AbsMax(4), ms.MinMax(3), Shrink(contraction=0.25), ms.Zero()]),
    sigma=st.sampled_from(list(NONLINEAR)),
    layers=st.integers(1, 4),
    spread=st.sampled_from([0.0, 6.0]),
    seed=st.integers(0, 10**6),
)
def test_no_chain_exceeds_the_bound(name, quantizer, sigma, layers, spread, seed):
    rng = np.random.default_rng(seed)
    W = [rng.standard_normal((4, 4)) for _ in range(layers - 1)]
    a = np.cumsum(2.0 ** (spread * rng.random((10, 1, 1))) * rng.standard_normal((10, 3, 4)), axis=0)
    orders = [(np.inf, quantizer.kappa(4))] + [(2, math.sqrt(quantizer.c(4)))] * (not isinstance(quantizer, ms.Zero))
    for order, q in orders:
        inputs, d, error = run_chain(name, a, W, quantizer, NONLINEAR[sigma]).norms(order)
        gains = [np.linalg.norm(w, order) for w in W]
        bound = BOUNDS[name](inputs if name == "direct" else d, q, gains)
        # a call rounds numbers of the size of the inputs, d terms of a product at a time; the chain amplifies that
        amplified = np.cumprod([1.0, *(1 + np.asarray(gains))])[:, None] * np.abs(a).max()
        slack = 10 * 64 * EPS * (amplified + inputs.max(axis=0))
        assert np.all(error <= bound + slack)
        target(float(np.max(error[:, -1] / (bound + slack)[:, -1])), label=f"{name} {order} {layers}")


# -- attained ----------------------------------------------------------------------------------------------------------


@given(
    d=sizes,
    q=st.sampled_from([Fraction(1, 2), Fraction(1, 6), Fraction(3, 2)]),
    gains=st.lists(st.sampled_from([Fraction(1, 2), Fraction(1), Fraction(3)]), max_size=4),
)
def test_closed_loop_is_attained_at_every_step_in_every_layer_in_exact_arithmetic(d, q, gains):
    """Q(x) = (1+q)x, positive gains, differences that alternate in sign."""
    layers = len(gains) + 1
    a, a_hat, norms, errors = Fraction(0), [Fraction(0)] * layers, [], []
    last = [Fraction(0)] * layers
    for t, size in enumerate(d):
        a += (-1) ** t * Fraction(size)
        true = fed = a
        row_d, row_f = [], []
        for layer in range(layers):
            row_d.append(abs(true - last[layer]))
            last[layer] = true
            a_hat[layer] += (1 + q) * (fed - a_hat[layer])
            row_f.append(abs(true - a_hat[layer]))
            if layer < layers - 1:
                true, fed = gains[layer] * true, gains[layer] * a_hat[layer]
        norms.append([float(v) for v in row_d])
        errors.append([float(v) for v in row_f])
    bound = bounds.chain_closed_loop(norms, float(q), [float(g) for g in gains])
    assert np.allclose(bound, errors, rtol=16 * len(d) * layers * EPS, atol=0)


def test_direct_is_attained_at_every_call_in_every_layer():
    a = np.random.default_rng(0).lognormal(size=(9, 1, 1))
    gains = [1.5, 0.5, 2.0]
    run = run_chain("direct", a, [np.full((1, 1), g) for g in gains], Overshoot(contraction=1 / 36))
    inputs, _, error = run.norms(np.inf)
    assert error == pytest.approx(bounds.chain_direct(inputs, 1 / 6, gains), rel=1e-12)


def test_open_loop_is_attained_in_two_layers():
    """The first at every step, the second at every second one: |a| turns the first's sum over from call to call."""
    n, q = 16, 1 / 128
    a = np.where(np.arange(n + 1) % 2 == 0, 1.0, -1.125)[:, None, None]
    run = run_chain("open_loop", a, [np.ones((1, 1))] * 2, OneSided(contraction=q * q), np.abs)
    _, d, error = run.norms(np.inf)
    ratio = (error / bounds.chain_open_loop(d, q, [1.0, 1.0]))[:, :, 0]
    assert ratio[:, 0] == pytest.approx(np.ones(n), rel=1e-12)
    assert ratio[1::2, 1] == pytest.approx(np.ones(n // 2), rel=1e-12)
    assert np.all(ratio[::2, 1] < 0.99)
    assert np.all(ratio[:, 2] <= 1)


# -- the recursion -----------------------------------------------------------------------------------------------------


def naive(d, q, gains):
    """Tracking errors with ||η_t - η_{t-1}|| <= H_t + H_{t-1}: E_t = q(d_t + H_t + H_{t-1} + E_{t-1}), F = H + E."""
    F = np.zeros_like(d)
    H, E = np.zeros(d.shape[1]), np.zeros(d.shape[1])
    for t, row in enumerate(d):
        for layer, size in enumerate(row):
            new = gains[layer - 1] * F[t, layer - 1] if layer else 0.0
            E[layer] = q * (size + new + H[layer] + E[layer])
            H[layer] = new
            F[t, layer] = new + E[layer]
    return F


@given(seed=st.integers(0, 10**6), q=st.sampled_from([0.1, 0.5, 1.5]), layers=st.integers(1, 5))
def test_it_is_the_same_number_as_from_the_naive_recursion(seed, q, layers):
    rng = np.random.default_rng(seed)
    d, gains = rng.lognormal(size=(12, layers)), rng.lognormal(size=layers - 1)
    assert np.allclose(bounds.chain_closed_loop(d, q, gains), naive(d, q, gains), rtol=12 * 16 * layers * EPS)


@given(seed=st.integers(0, 10**6), q=st.sampled_from([0.0, 0.1, 0.5, 0.9]), layers=st.integers(1, 5))
def test_steady_state_is_the_limit_and_the_supremum(seed, q, layers):
    rng = np.random.default_rng(seed)
    d, gains = rng.lognormal(size=layers), rng.lognormal(size=layers - 1)
    steady = bounds.chain_steady_state(d, q, gains)
    rows = bounds.chain_closed_loop(np.repeat(d[None], 800, axis=0), q, gains)
    assert np.all(rows <= steady * (1 + 1e-12))
    assert np.allclose(rows[-1], steady, rtol=1e-9)
    growing = bounds.chain_steady_state(np.eye(layers)[0], q, gains)  # differences enter at the first layer only
    if q and layers > 1:
        assert growing[1:] / growing[:-1] == pytest.approx(np.asarray(gains) * (1 + q) / (1 - q))


def test_numbers():
    """A layer passes errors on with (1+κ)/(1-κ) per unit of gain: 3 at 2 bits, 1.15 at 4, 1.008 at 8."""
    factor = {b: bounds.chain_steady_state([1.0, 0.0], ms.AbsMax(b).kappa(2), [1.0]) for b in (2, 4, 8)}
    assert [round(float(v[1] / v[0]), 3) for v in factor.values()] == [3.0, 1.154, 1.008]


def test_a_layer_that_does_not_contract_has_no_steady_state():
    """inf from there on, as far as its error is passed on; a layer that nothing enters has none to grow."""
    steady = bounds.chain_steady_state([1.0, 0.0, 0.0, 0.0], [0.5, 1.0, 0.5, 1.0], [1.0, 2.0, 0.0])
    assert steady.tolist() == [1.0, math.inf, math.inf, 0.0]
    rows = bounds.chain_closed_loop(np.ones((1200, 3)), [3.0, 0.0, 0.5], [0.0, 1.0])
    assert not np.isnan(rows).any()
    assert np.isinf(rows[-1]).tolist() == [True, False, False]
    assert not np.isnan(bounds.chain_open_loop(np.full((9, 3), 1e308), [3.0, 0.0, 0.5], [0.0, 1.0])).any()


def test_open_loop_grows_with_a_power_that_is_the_layer():
    rows = bounds.chain_open_loop(np.ones((4000, 3)), 0.05, [1.0, 1.0])
    calls = np.arange(1, 4001)
    slopes = [np.polyfit(np.log(calls[2000:]), np.log(rows[2000:, layer]), 1)[0] for layer in range(3)]
    assert slopes == pytest.approx([1, 2, 3], abs=0.05)  # lower powers still count 1 % at call 2000


@given(d=sizes, q=st.sampled_from([0.1, 0.5, 1.5]))
def test_one_layer_is_the_single_layer_bound(d, q):
    single = np.asarray(d)[:, None]
    assert np.allclose(bounds.chain_closed_loop(single, q, [])[:, 0], bounds.max_norm_closed_loop(d, q), rtol=1e-14)
    assert np.allclose(bounds.chain_open_loop(single, q, [])[:, 0], bounds.max_norm_open_loop(d, q), rtol=1e-14)
    assert np.allclose(bounds.chain_direct(single, q, [])[:, 0], bounds.direct(d, q * q), rtol=1e-14)


def test_trials_and_layers_of_their_own_bits():
    rng = np.random.default_rng(0)
    d, gains, q = rng.random((6, 3, 5)), [2.0, 0.5], [0.1, 0.2, 0.3]
    for bound in BOUNDS.values():
        both = bound(d, q, gains)
        assert both.shape == d.shape
        for i in range(5):
            assert np.array_equal(both[..., i], bound(d[..., i], q, gains))
    first = bounds.chain_closed_loop(d, q, gains)[:, 0]
    assert np.array_equal(first, bounds.chain_closed_loop(d[:, :1], 0.1, [])[:, 0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bounds.chain_closed_loop([1.0], 0.1, []), r"shape \(steps, layers, ...\)"),
        (lambda: bounds.chain_closed_loop(np.ones((0, 2)), 0.1, [1.0]), "none of them 0"),
        (lambda: bounds.chain_closed_loop(np.ones((3, 2)), 0.1, []), "1 gains between them"),
        (lambda: bounds.chain_closed_loop(np.ones((3, 2)), [0.1, 0.1, 0.1], [1.0]), "one q or 2"),
        (lambda: bounds.chain_open_loop(np.ones((3, 2)), -0.1, [1.0]), "q must be finite and >= 0"),
        (lambda: bounds.chain_direct(np.ones((3, 2)), 0.1, [math.inf]), "gains must be finite and >= 0"),
        (lambda: bounds.chain_closed_loop(-np.ones((3, 2)), 0.1, [1.0]), "finite and >= 0"),
        (lambda: bounds.chain_steady_state([], 0.1, []), "none of them 0"),
        (lambda: bounds.chain_steady_state([math.nan], 0.1, []), "finite and >= 0"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_alternating_inputs_alternate():
    assert np.diff(alternating([1.0, 2.0, 3.0])[:, 0, 0]).tolist() == [1.0, -2.0, 3.0]
