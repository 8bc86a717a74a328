"""Static scales: ψ, the backlog and the best scale, against exact fractions and runs of ``Static``."""

import math
from fractions import Fraction

import numpy as np
import pytest
import reference
from calls import infos
from hypothesis import given, target
from hypothesis import strategies as st

import modiff_sim as ms
from modiff_sim import bounds
from modiff_sim import recursion as rec
from paper_checks._beyond import overloading

EPS = np.finfo(float).eps
bits_of = st.sampled_from([2, 3, 4, 8])
scales = st.sampled_from([0.125, 1.0, 4.0])
#: differences in eighths: exact with the scales above
eighths = st.lists(st.integers(-400, 400).map(lambda i: i / 8), min_size=1, max_size=16)


def run(name, d, bits, scale):
    """Errors a - ô of calls 1.. for scalar differences, exact start."""
    inputs = np.concatenate([[0.0], np.cumsum(d)])[:, None, None]
    states = infos(rec.run(name, inputs, ms.Static(bits, scale=scale)))
    return np.array([(a - s.output).item() for a, s in zip(inputs, states, strict=True)][1:])


# -- one quantization --------------------------------------------------------------------------------------------------


@given(x=st.integers(-4000, 4000).map(lambda i: Fraction(i, 16)), bits=bits_of, scale=st.sampled_from([1, 2]))
def test_psi_bounds_the_error_and_is_attained_where_it_says(x, bits, scale):
    scale, qmax = Fraction(scale), 2 ** (bits - 1) - 1
    (hat,) = reference.static([x], bits, scale)
    psi = Fraction(float(bounds.static_error(float(x), float(scale), bits)))
    assert abs(x - hat) <= psi
    code = x / scale
    tie = (code - Fraction(1, 2)) % 2 == 0 and code > 0
    if x >= 0 and (code <= Fraction(1, 2) or tie or code >= qmax + Fraction(1, 2)):
        assert x - hat == psi
    if code < -(qmax + 1) - Fraction(1, 2):  # two's complement has one level more below
        assert psi - abs(x - hat) == scale


@given(bits=bits_of, scale=scales, M=st.floats(1e-3, 1e4))
def test_contraction_at_a_size(bits, scale, M):
    """Attained by (M, s/2); no block of that size exceeds it."""
    Q, qmax = ms.Static(bits, scale=scale), 2 ** (bits - 1) - 1
    ratio = float(bounds.static_contraction(M, scale, bits))
    block = np.array([[M, min(M, scale / 2)]])
    assert ms.contraction.ratios(Q, block, norm="kappa")[0] == pytest.approx(ratio, rel=1e-12)
    others = M * np.random.default_rng(0).uniform(-1, 1, (16, 8))
    others[:, 0] = M
    assert ms.contraction.ratios(Q, others, norm="kappa").max() <= ratio * (1 + 8 * EPS)
    assert 1 / (2 * qmax + 1) * (1 - 4 * EPS) <= ratio <= 1


def test_contraction_at_the_marks():
    at = [0.25, 0.5, 1.0, 7.0, 7.5, 14.0, 700.0]
    expected = [1, 1, 1 / 2, 1 / 14, 1 / 15, 1 / 2, 0.99]
    assert bounds.static_contraction(at, 1.0, 4) == pytest.approx(expected, rel=1e-14)
    assert bounds.static_contraction(7.0, 1.0, 4) == ms.AbsMax(4).kappa(2)
    # a scale too coarse, and too fine, by 3: κ times 3, and 1 - 1/3
    assert bounds.static_contraction(7.0, 3.0, 4) == pytest.approx(3 / 14)
    assert bounds.static_contraction(7.0, 1 / 3, 4) == pytest.approx(2 / 3)


# -- the loops ---------------------------------------------------------------------------------------------------------


@given(d=eighths, bits=bits_of, scale=scales)
def test_no_run_exceeds_the_bounds(d, bits, scale):
    sizes = np.abs(d)
    inputs = np.abs(np.cumsum(d))
    for name, bound in (
        ("closed_loop", bounds.static_closed_loop(sizes, scale, bits)),
        ("open_loop", bounds.static_open_loop(sizes, scale, bits)),
        ("direct", bounds.static_direct(inputs, scale, bits)),
    ):
        error = np.abs(run(name, d, bits, scale))
        assert np.all(error <= bound)  # all numbers are multiples of 1/8 far below 2^53: exact
        target(float(np.max(error - bound)), label=name)


@given(seed=st.integers(0, 10**6), bits=bits_of, scale=scales, bursts=st.sampled_from([0.05, 0.3, 1.0]))
def test_one_sided_bursts_attain_the_bounds_at_every_step_exactly(seed, bits, scale, bursts):
    d = overloading(40, scale, bits, np.random.default_rng(seed), bursts=bursts)
    assert np.array_equal(run("closed_loop", d, bits, scale), bounds.static_closed_loop(d, scale, bits))
    qmax = 2 ** (bits - 1) - 1
    k = np.random.default_rng(seed).integers(0, 3 * qmax, 40)
    alone = (k + np.where(k < qmax, k % 2, 0) + 0.5) * scale  # every difference at a place where φ = ψ
    assert np.array_equal(run("open_loop", alone, bits, scale), bounds.static_open_loop(alone, scale, bits))
    assert np.array_equal(
        np.abs(run("direct", np.diff(alone, prepend=0), bits, scale)), bounds.static_direct(alone, scale, bits)
    )


@given(d=eighths, bits=bits_of, scale=scales)
def test_the_backlog_in_closed_form_is_lindleys_recursion(d, bits, scale):
    d, reach = np.abs(d), (2 ** (bits - 1) - 1) * scale
    W, rows = 0.0, []
    for size in d:
        W = max(0.0, W + size - reach)
        rows.append(W)
    assert np.array_equal(bounds.backlog(d, scale, bits), rows)
    E = bounds.static_closed_loop(d, scale, bits)  # from an exact start: below, by at most half a step
    assert np.all(np.asarray(rows) <= E)
    assert np.all(scale / 2 + np.asarray(rows) >= E)
    full = bounds.static_closed_loop(d, scale, bits, start=scale / 2)
    assert np.array_equal(full, scale / 2 + np.asarray(rows))


@given(left=st.integers(0, 200), rest=st.integers(0, 30), bits=bits_of)
def test_steps_to_drain_counts_a_queue(left, rest, bits):
    qmax = 2 ** (bits - 1) - 1
    steps = bounds.steps_to_drain(left, rest, 1.0, bits)
    if left and rest >= qmax:
        assert math.isinf(steps)
        return
    W = np.concatenate([[left], bounds.backlog([left + qmax] + [rest] * (steps + 3), 1.0, bits)[1:]])
    assert W[steps] == 0
    assert steps == 0 or W[steps - 1] > 0


def test_a_drained_run_is_back_at_half_a_step_when_promised():
    """3 bits, s = 1: a backlog of 20 on top of half a step, then differences of 1 in a grid that reaches 3."""
    steps = bounds.steps_to_drain(20, 1, 1.0, 3)
    error = run("closed_loop", [0.5, 23.0] + [1.0] * (steps + 2), 3, 1.0)
    assert steps == 10
    assert error[1] == 20.5
    assert error[1 + steps - 1] > 0.5
    assert np.all(np.abs(error[1 + steps :]) <= 0.5)


# -- the choice of the scale -------------------------------------------------------------------------------------------


def value(d, scale, bits, criterion):
    rows = scale / 2 + bounds.backlog(d, scale, bits)
    return {"max": rows.max(), "mean": rows.mean(), "last": rows[-1]}[criterion]


@pytest.mark.parametrize("criterion", ["max", "mean", "last"])
@given(d=st.lists(st.integers(0, 400).map(lambda i: i / 8), min_size=1, max_size=12).filter(any), bits=bits_of)
def test_the_best_scale_is_best(criterion, d, bits):
    d = np.asarray(d)
    s = bounds.best_static_scale(d, bits, criterion=criterion)
    least = value(d, s, bits, criterion)
    top = d.max() / (2 ** (bits - 1) - 1)
    for other in np.concatenate([np.linspace(1e-2, 2, 40) * top, s * (1 + np.array([-1e-6, 1e-6]))]):
        assert value(d, other, bits, criterion) >= least * (1 - 1e-9)
    if criterion == "max":
        assert least == pytest.approx(d.max() / (2 * (2 ** (bits - 1) - 1)), rel=1e-9)
        assert np.all(bounds.backlog(d, s * (1 + 4 * EPS), bits) == 0)


def test_the_criteria_differ_where_they_should():
    d = np.array([8.0] + [1.0] * 99)
    scale = {c: bounds.best_static_scale(d, 2, criterion=c) for c in ("max", "mean", "last")}
    assert scale["max"] == 8
    assert scale["last"] == pytest.approx(1.07)  # the mean of all 100, which any shorter run that ends there is below
    assert 1 < scale["mean"] < 8  # overload at the burst costs less than coarse steps for 100 calls
    assert value(d, scale["mean"], 2, "mean") < 0.8 * value(d, scale["max"], 2, "mean")


@given(d=st.lists(st.integers(1, 400).map(lambda i: i / 8), min_size=1, max_size=12), bits=bits_of)
def test_an_exact_start_gains_little_over_the_best_scale(d, bits):
    """The recursion's own best worst error is within a factor 1 + 1/(2·qmax) of D/(2·qmax)."""
    d, qmax = np.asarray(d), 2 ** (bits - 1) - 1
    D = d.max()
    s = bounds.best_static_scale(d, bits)
    assert bounds.static_closed_loop(d, s, bits).max() <= D / (2 * qmax) + 4 * EPS * D  # d + s/2 - qmax·s
    for other in np.linspace(0.1, 2, 30) * s:
        assert bounds.static_closed_loop(d, other, bits).max() >= min(D, D / (2 * qmax + 1)) * (1 - 8 * EPS)


@pytest.mark.parametrize("bits", range(2, 9))
def test_for_constant_differences_a_known_scale_beats_the_dynamic_one(bits):
    qmax = 2 ** (bits - 1) - 1
    kappa = ms.AbsMax(bits).kappa(2)
    dynamic = bounds.max_norm_closed_loop(np.ones(200), kappa)[-1]
    s = bounds.best_static_scale(np.ones(200), bits)
    assert dynamic == pytest.approx(1 / (2 * qmax - 1))
    assert bounds.static_closed_loop(np.ones(200), s, bits)[-1] == pytest.approx(1 / (2 * qmax))
    shrinking = 0.5 ** np.arange(40.0)
    static = bounds.static_closed_loop(shrinking, bounds.best_static_scale(shrinking, bits), bits)[-1]
    assert static > 100 * bounds.max_norm_closed_loop(shrinking, kappa)[-1]


# -- bad input ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bounds.static_error(1.0, 0.0, 3), "finite and > 0, got 0.0"),
        (lambda: bounds.static_error(1.0, math.nan, 3), "finite and > 0"),
        (lambda: bounds.static_error(1.0, 1.0, 1), "int >= 2, got 1"),
        (lambda: bounds.static_error(1.0, 1.0, 3000), "at most 32 bits"),
        (lambda: bounds.static_error([1.0, math.nan], 1.0, 3), "NaN and Inf"),
        (lambda: bounds.static_contraction([math.inf], 1.0, 3), "NaN and Inf"),
        (lambda: bounds.static_closed_loop([1.0], 1.0, 2.5), "int >= 2, got 2.5"),
        (lambda: bounds.static_closed_loop([], 1.0, 3), "at least one difference"),
        (lambda: bounds.static_closed_loop([1.0], 1.0, 3, start=-1.0), "start"),
        (lambda: bounds.static_open_loop([-1.0], 1.0, 3), "finite and >= 0"),
        (lambda: bounds.static_contraction([0.0], 1.0, 3), "sizes > 0"),
        (lambda: bounds.backlog([math.inf], 1.0, 3), "finite and >= 0"),
        (lambda: bounds.steps_to_drain(-1.0, 0.0, 1.0, 3), "finite and >= 0"),
        (lambda: bounds.steps_to_drain(1.0, math.nan, 1.0, 3), "finite and >= 0"),
        (lambda: bounds.best_static_scale([0.0, 0.0], 3), "every scale is as good"),
        (lambda: bounds.best_static_scale([[1.0]], 3), r"shape \(n,\)"),
        (lambda: bounds.best_static_scale([1.0], 3, criterion="median"), "known: max, mean, last"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
