"""Finite precision and weight error: rounding against real casts, drift against real accumulators."""

import math
from fractions import Fraction

import numpy as np
import pytest
from calls import apart, infos
from hypothesis import given, target
from hypothesis import strategies as st

import modiff_sim as ms
from modiff_sim import bounds
from modiff_sim import recursion as rec
from paper_checks._beyond import RoundedLoop
from paper_checks._shared import Shrink

EPS = np.finfo(float).eps
TYPES = ("float64", "float32", "float16", "bfloat16")
SHORT = TYPES[1:]
floats = st.floats(-1e4, 1e4).filter(lambda v: v == 0 or abs(v) > 1e-3)


def cast(y, dtype):
    """The type's own conversion."""
    if dtype == "bfloat16":
        return np.asarray(y).astype(pytest.importorskip("ml_dtypes").bfloat16).astype(float)
    return np.asarray(y).astype(dtype).astype(float)


# -- rounding ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", TYPES)
@given(y=st.lists(floats, min_size=1, max_size=20))
def test_rounding_equals_the_cast(dtype, y):
    if dtype == "bfloat16":  # its casts go through float32: round there first, so that both round once
        y = np.asarray(y, np.float32)
    y = np.asarray(y, np.float64)
    assert np.array_equal(bounds.rounded(y, dtype), cast(y, dtype))


@pytest.mark.parametrize("dtype", TYPES)
def test_unit_roundoff_is_half_an_ulp_and_ties_go_to_even(dtype):
    u = bounds.unit_roundoff(dtype)
    ulp = 2 * Fraction(u)
    if dtype == "bfloat16":
        ml_dtypes = pytest.importorskip("ml_dtypes")
        assert float(ml_dtypes.finfo(ml_dtypes.bfloat16).eps) == ulp
    else:
        assert float(np.finfo(dtype).eps) == ulp
    if dtype != "float64":  # 1 + u is a number there
        assert bounds.rounded([1 + u, 1 + 3 * u, 1 + 1.01 * u], dtype).tolist() == [1, 1 + 4 * u, 1 + 2 * u]
    assert bounds.rounded([0.0, -3.0, math.inf], dtype).tolist() == [0, -3, math.inf]


# -- the accumulator ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", SHORT)
@given(first=floats, x=st.lists(floats, min_size=1, max_size=30), scale=st.sampled_from([1.0, 2.0**-8, 2.0**-16]))
def test_no_accumulator_drifts_further_than_the_bound(dtype, first, x, scale):
    x = scale * np.asarray(x)
    start = float(bounds.rounded(first, dtype))
    exact = [Fraction(start)]
    for v in x:
        exact.append(exact[-1] + Fraction(v))
    stored = bounds.accumulate(first, x, dtype)
    drift = np.array([float(abs(Fraction(s) - e)) for s, e in zip(stored, exact[1:], strict=True)])
    sums = np.array([abs(float(e)) for e in exact[1:]])
    bound = bounds.accumulator_drift(sums, np.abs(x), dtype)
    # each sum is formed in float64 first: eps/2 of it, and of those before it
    assert np.all(drift <= bound + EPS * np.cumsum(sums + drift))
    target(float(np.max(drift / (bound + 1e-300))))


@pytest.mark.parametrize("dtype", TYPES)
def test_stagnation_attains_the_drift_bound_at_every_step_exactly(dtype):
    n, u = 200, bounds.unit_roundoff(dtype)
    stored = bounds.accumulate(1.0, np.full(n, u), dtype)
    assert np.all(stored == 1)
    k = np.arange(1, n + 1)
    assert bounds.accumulator_drift(1 + k * u, np.full(n, u), dtype).tolist() == (k * u).tolist()


def test_stagnation_in_the_real_types():
    for dtype, one in (("float32", np.float32(1)), ("float16", np.float16(1))):
        o_hat, x = one, one * np.asarray(bounds.unit_roundoff(dtype)).astype(dtype)
        for _ in range(100):
            o_hat = (o_hat + x).astype(dtype)
        assert o_hat == 1


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_typical_drift_grows_like_the_square_root(dtype):
    rng = np.random.default_rng(0)
    n, trials = 1024, 400
    o = 1.5 + 0.3 * np.sin(np.cumsum(rng.standard_normal((n + 1, trials)), axis=0))  # outputs that stay in a binade
    x = np.diff(o, axis=0)
    start = bounds.rounded(o[0], dtype)
    drift = bounds.accumulate(start, x, dtype) - (start + np.cumsum(x, axis=0))
    rms = np.sqrt(np.mean(drift**2, axis=1))
    calls = np.arange(1, n + 1)
    slope = np.polyfit(np.log(calls[16:]), np.log(rms[16:]), 1)[0]
    assert slope == pytest.approx(0.5, abs=0.05)  # 400 trials: the fit's standard error is about 0.02
    # independent errors, uniform in half an ulp: u·√(n/3) in the binade from 1 to 2
    assert rms[-1] == pytest.approx(bounds.unit_roundoff(dtype) * math.sqrt(n / 3), rel=0.15)
    assert np.abs(drift).max() < 0.2 * bounds.accumulator_drift(o[1:], np.abs(x), dtype)[-1].max()


@pytest.mark.parametrize("dtype", SHORT)
@given(seed=st.integers(0, 10**6), bits=st.sampled_from([2, 4, 8]))
def test_the_output_of_a_closed_loop_stays_within_both_bounds(dtype, seed, bits):
    """Quantization error and drift add up; the drift comes on top, and does not touch the recursion."""
    rng = np.random.default_rng(seed)
    inputs, A = np.cumsum(rng.standard_normal((24, 3, 4)), axis=0), rng.standard_normal((2, 4))
    Q, gain = ms.AbsMax(bits), float(np.abs(A).sum(axis=1).max())
    loop = RoundedLoop(store_out=lambda y: bounds.rounded(y, dtype))
    states, calls = apart(rec.run(loop, inputs, Q, lambda a: a @ A.T))
    plain, _ = apart(rec.run("closed_loop", inputs, Q, lambda a: a @ A.T))
    assert all(np.array_equal(s.ref, p.ref) for s, p in zip(states, plain, strict=True))
    exact = np.stack([s.ref @ A.T for s in states])
    error = np.stack([np.abs(a @ A.T - s.output).max(axis=-1) for a, s in zip(inputs, calls, strict=True)])[1:]
    d = np.abs(np.diff(inputs, axis=0)).max(axis=-1)
    size = np.abs(exact).max(axis=-1)
    moved = np.abs(np.diff(exact, axis=0)).max(axis=-1)
    start = np.abs(calls[0].output - exact[0]).max(axis=-1)
    drift = bounds.accumulator_drift(size[1:], moved, dtype, start=start)
    bound = bounds.max_norm_closed_loop(d, Q.kappa(4), gain=gain) + drift
    assert np.all(error <= bound + 24 * 64 * EPS * size.max())


# -- ô and â rounded --------------------------------------------------------------------------------------------------


def float_states(inputs, A, Q, dtype, terms=None):
    """(deviation |ô - A(â)|, ``output_drift``, ``accumulator_drift``), each (n, trials), of a closed loop in floats.

    The deviation is exact up to eps of float64: products of float32 numbers and their sums are formed in float64.
    """
    states, calls = apart(rec.run("closed_loop", inputs.astype(dtype), Q, lambda a: a @ A.astype(dtype).T))
    wide = A.astype(dtype).astype(float)
    exact = np.stack([s.ref.astype(float) @ wide.T for s in states])
    deviation = np.abs(np.stack([s.output.astype(float) for s in calls]) - exact).max(axis=-1)
    hat = np.stack([s.residual_hat for s in calls[1:]])
    size = {
        "o": np.abs(exact[1:]).max(axis=-1), "x": np.abs((hat @ A.astype(dtype).T).astype(float)).max(axis=-1),
        "a_hat": np.abs(np.stack([s.ref for s in states[1:]]).astype(float)).max(axis=-1),
        "r_hat": np.abs(hat.astype(float)).max(axis=-1),
    }  # fmt: skip
    name, terms = np.dtype(dtype).name, A.shape[1] if terms is None else terms
    gain = float(np.abs(wide).sum(axis=1).max())
    bound = bounds.output_drift(**size, dtype=name, gain=gain, terms=terms, start=deviation[0])
    return deviation[1:], bound, bounds.accumulator_drift(size["o"], size["x"], name, start=deviation[0])


def test_an_exact_reference_is_a_premise_of_the_accumulators_drift():
    """A = (1, -1), inputs near 100, 4 bits, 200 calls in float32: the deviation is tens of times Δ, for Aâ is small and
    what rounding takes from â is not. The bound that knows of it covers all, and is linear in the calls."""
    rng = np.random.default_rng(2)
    inputs = 100 + np.cumsum(0.01 * rng.standard_normal((201, 1, 2)), axis=0)
    deviation, bound, exact = float_states(inputs, np.array([[1.0, -1.0]]), ms.AbsMax(4), np.float32)
    assert deviation[-1] > 26 * exact[-1]
    assert np.all(deviation <= bound)
    assert bound[-1] == pytest.approx(200 * 2 * bounds.unit_roundoff("float32") * 100, rel=0.05)
    assert bound[-1] < 30 * deviation[-1]  # the errors have no preferred side: √200 = 14 of it is their random walk


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@given(
    seed=st.integers(0, 10**6),
    bits=st.sampled_from([2, 3, 4, 8]),
    d=st.integers(1, 8),
    m=st.integers(1, 3),
    level=st.sampled_from([0.0, 1.0, 100.0, 1000.0]),
    size=st.sampled_from([1.0, 0.1, 2.0**-6]),
)
def test_no_output_of_float_states_drifts_further_than_the_bound(dtype, seed, bits, d, m, level, size):
    rng = np.random.default_rng(seed)
    inputs = level + np.cumsum(size * rng.standard_normal((48, 3, d)), axis=0)
    A = rng.choice([rng.standard_normal((m, d)), np.sign(rng.standard_normal((m, d)))])
    deviation, bound, _ = float_states(inputs, A, ms.AbsMax(bits), dtype)
    tiny = d * np.abs(A).max() * 48 * float(np.finfo(dtype).smallest_subnormal)  # float16 ends at 6e-8: underflow
    assert np.all(deviation <= bound * (1 + 1e-9) + tiny)
    target(float(np.max(deviation / (bound + tiny))))


@pytest.mark.parametrize(("dtype", "terms"), [("float16", 1000), ("bfloat16", 100), ("float32", 10**7)])
def test_a_sum_of_many_terms_loses_its_share_of_the_step(dtype, terms):
    """K·u/(1 - K·u) of ||r̂||, and storing ô loses u of that."""
    u = Fraction(bounds.unit_roundoff(dtype))
    lost = 2 * (terms * u / (1 - terms * u)) * 3
    found = bounds.output_drift([0.0], [1e9], [0.0], [3.0], dtype, gain=2.0, terms=terms)
    assert found == pytest.approx(float(lost * (1 + u)), rel=1e-12)


@pytest.mark.parametrize("dtype", SHORT)
def test_the_output_bound_is_attained_by_a_reference_that_stagnates(dtype):
    """â = (1, 1), r̂ = (u, 0): 1 + u goes to 1 at every call, ô = (1, -1)·r̂ summed up is exact, and deviates by n·u."""
    u, n = bounds.unit_roundoff(dtype), 50
    a_hat, o_hat, deviation = np.ones(2), 0.0, []
    for _ in range(n):
        a_hat = bounds.rounded(a_hat + np.array([u, 0.0]), dtype)
        o_hat = float(bounds.rounded(o_hat + u, dtype))
        deviation.append(abs(o_hat - (a_hat[0] - a_hat[1])))
    assert a_hat.tolist() == [1, 1]
    k = np.arange(1, n + 1)
    assert deviation == (k * u).tolist()
    arguments = (np.zeros(n), np.full(n, u), np.ones(n), np.full(n, u), dtype)
    bound = bounds.output_drift(*arguments, gain=1.0)  # the row (1, -1) meets (u, 0): one entry loses
    assert np.all(bound >= deviation)
    assert bound == pytest.approx(deviation, rel=2 * n * u)
    without = bounds.accumulator_drift(np.zeros(n), np.full(n, u), dtype)
    assert without[-1] < n**2 * u**2  # an exact â: next to nothing
    if dtype == "float32":
        assert without[-1] < 1e-4 * deviation[-1]


@given(seed=st.integers(0, 10**6), dtype=st.sampled_from(SHORT), start=st.floats(0, 2))
def test_an_exact_reference_and_exact_products_give_the_accumulators_drift(seed, dtype, start):
    o, x, a_hat = np.random.default_rng(seed).exponential(size=(3, 12))
    zero = np.zeros(12)
    assert np.array_equal(
        bounds.output_drift(o, x, a_hat, zero, dtype, gain=3.0, start=start),
        bounds.accumulator_drift(o, x, dtype, start=start),
    )


def test_a_rounded_reference_halves_the_steps_until_drift():
    kappa = ms.AbsMax(4).kappa(2)
    for dtype in TYPES:
        exact = bounds.steps_until_drift(kappa, 10.0, dtype)
        assert bounds.steps_until_drift(kappa, 10.0, dtype, reference=10.0) == pytest.approx(exact / 2)
    steps = bounds.steps_until_drift(kappa, 10.0, "float16", reference=30.0)
    n = np.ones(40)  # ||d|| = 1, ||o|| = 10, ||â|| = 30, ||A|| = 1
    drift = bounds.output_drift(10 * n, n, 30 * n, n, "float16", gain=1.0)
    steady = bounds.max_norm_closed_loop(np.ones(100), kappa)[-1]
    assert abs(int(np.argmax(drift > steady)) + 1 - steps) <= 1


def test_steps_until_drift_is_where_the_bounds_cross():
    """4 bits, ||o|| = 10·||d||: bfloat16 drifts past the quantization error at once, float32 after 10^5 calls."""
    kappa, ratio = ms.AbsMax(4).kappa(2), 10.0
    steady = bounds.max_norm_closed_loop(np.ones(100), kappa)[-1]
    for dtype in ("float16", "bfloat16"):
        steps = bounds.steps_until_drift(kappa, ratio, dtype)
        drift = bounds.accumulator_drift(np.full(40, ratio), np.ones(40), dtype)
        first = int(np.argmax(drift > steady)) + 1
        assert first in (math.floor(steps), math.ceil(steps), math.floor(steps) + 1)
    got = {t: bounds.steps_until_drift(kappa, ratio, t) for t in TYPES}
    assert [f"{v:.2g}" for v in got.values()] == ["6.9e+13", "1.3e+05", "16", "2"]
    assert bounds.steps_until_drift(0.0, ratio, "float16") == 0


# -- the stored reference ----------------------------------------------------------------------------------------------


@given(seed=st.integers(0, 10**6), bits=st.sampled_from([2, 3, 8]), dtype=st.sampled_from(["float16", "bfloat16"]))
def test_rounding_of_the_reference_is_compensated(seed, bits, dtype):
    rng = np.random.default_rng(seed)
    inputs = 4 * rng.standard_normal((1, 3, 4)) + np.cumsum(rng.standard_normal((40, 3, 4)), axis=0)
    Q = ms.AbsMax(bits)
    states, calls = apart(rec.run(RoundedLoop(store_ref=lambda y: bounds.rounded(y, dtype)), inputs, Q))
    error = np.stack([np.abs(a - s.output).max(axis=-1) for a, s in zip(inputs, calls, strict=True)])
    rho = bounds.unit_roundoff(dtype) * np.stack([np.abs(s.ref).max(axis=-1) for s in states[1:]])
    d = np.abs(np.diff(inputs, axis=0)).max(axis=-1)
    bound = bounds.stored_reference(d, Q.kappa(4), rho, start=error[0])
    assert np.all(error[1:] <= bound + 40 * 16 * EPS * np.abs(inputs).max())
    steady = (Q.kappa(4) * d.max() + rho.max()) / (1 - Q.kappa(4))
    assert np.all(bound <= max(steady, error[0].max()) * (1 + 1e-12))


def test_the_reference_bound_is_attained_in_exact_arithmetic():
    """Q(x) = (1-k)x, rising inputs, a store that is always below by ρ."""
    k, rho = Fraction(1, 6), Fraction(1, 8)
    a = a_hat = Fraction(0)
    errors, d = [], [3, 1, 0, 5, 2, 2]
    for size in d:
        a += size
        a_hat = a_hat + (1 - k) * (a - a_hat) - rho
        errors.append(float(a - a_hat))
    assert bounds.stored_reference(d, float(k), float(rho)) == pytest.approx(errors, rel=1e-14)
    assert bounds.stored_reference(d, float(k), np.full(6, 0.125), gain=2.0)[-1] == pytest.approx(2 * errors[-1])


def test_without_the_stored_difference_the_rounding_adds_up():
    """Negative control: ô updated with A(r̂) while â is stored rounded. The gap then grows, like a random walk."""
    rng = np.random.default_rng(0)
    inputs = 100 + np.cumsum(rng.standard_normal((400, 32, 4)), axis=0)
    gap = {}
    for telescoping in (True, False):
        loop = RoundedLoop(store_ref=lambda y: bounds.rounded(y, "bfloat16"), telescoping=telescoping)
        last, _ = list(rec.run(loop, inputs, ms.AbsMax(8)))[-1]
        gap[telescoping] = np.abs(last.o_hat - last.ref).max()
    assert gap[True] < 1e-10
    assert gap[False] > 5 * bounds.unit_roundoff("bfloat16") * 100


# -- weights -----------------------------------------------------------------------------------------------------------

INPUT_ERROR = {
    "direct": lambda a, d, kappa: bounds.direct(a[1:], kappa**2),
    "open_loop": lambda a, d, kappa: bounds.max_norm_open_loop(d, kappa),
    "closed_loop": lambda a, d, kappa: bounds.max_norm_closed_loop(d, kappa),
}


@pytest.mark.parametrize("name", INPUT_ERROR)
@given(seed=st.integers(0, 10**6), bits=st.sampled_from([2, 4]), weight_bits=st.sampled_from([2, 4, 8]))
def test_weight_error_is_covered_with_and_without_an_exact_first_call(name, seed, bits, weight_bits):
    rng = np.random.default_rng(seed)
    inputs, A = np.cumsum(rng.standard_normal((12, 2, 4)), axis=0), rng.standard_normal((3, 4))
    A_q = ms.AbsMax(weight_bits, granularity=ms.PerChannel(0))(A)
    Q = ms.AbsMax(bits)
    a, d = np.abs(inputs).max(axis=-1), np.abs(np.diff(inputs, axis=0)).max(axis=-1)
    norms = {"gain": float(np.abs(A_q).sum(axis=1).max()), "weight_error": float(np.abs(A - A_q).sum(axis=1).max())}
    moved = np.abs(inputs - inputs[0]).max(axis=-1)[1:]
    for affine, size in ((None, a[1:]), (lambda x: x @ A.T, moved)):
        if affine and name == "direct":
            continue  # it has no first call to make exact
        states = infos(rec.run(name, inputs, Q, lambda x: x @ A_q.T, affine=affine))
        error = np.stack([np.abs(x @ A.T - s.output).max(axis=-1) for x, s in zip(inputs, states, strict=True)])[1:]
        bound = bounds.with_weight_error(INPUT_ERROR[name](a, d, Q.kappa(4)), size, **norms)
        assert np.all(error <= bound + 12 * 64 * EPS * a.max() * norms["gain"])


@pytest.mark.parametrize("name", INPUT_ERROR)
def test_weight_error_is_attained_by_aligned_scalars(name):
    inputs = np.cumsum([1.0, 2.0, 0.5, 4.0, 1.0])[:, None, None]
    Q, kappa = Shrink(contraction=1 / 36), 1 / 6
    states = infos(rec.run(name, inputs, Q, lambda x: 0.875 * x))
    error = np.array([(x - s.output).item() for x, s in zip(inputs, states, strict=True)])[1:]
    a = inputs[:, 0, 0]
    bound = bounds.with_weight_error(INPUT_ERROR[name](a, np.diff(a), kappa), a[1:], gain=0.875, weight_error=0.125)
    assert error == pytest.approx(bound, rel=1e-13)


# -- bad input ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bounds.unit_roundoff("float8"), "known: float64, float32, float16, bfloat16"),
        (lambda: bounds.rounded(1.0, "double"), "unknown float type 'double'"),
        (lambda: bounds.accumulator_drift([], [], "float16"), "at least one difference"),
        (lambda: bounds.accumulator_drift([1.0], [-1.0], "float16"), "finite and >= 0"),
        (lambda: bounds.accumulator_drift([1.0], [1.0], "float16", start=-1.0), "start"),
        (lambda: bounds.steps_until_drift(1.0, 10.0, "float16"), "0 <= kappa < 1"),
        (lambda: bounds.steps_until_drift(0.1, 1.0, "float16", reference=-1.0), "reference .* finite and >= 0"),
        (lambda: bounds.output_drift([1.0], [1.0], [1.0], [math.nan], "float16", gain=1.0), "finite and >= 0"),
        (lambda: bounds.output_drift([1.0], [1.0], [1.0], [1.0], "float16", gain=-1.0), "gain"),
        (lambda: bounds.output_drift([1.0], [1.0], [1.0], [1.0], "float8", gain=1.0), "unknown float type"),
        (lambda: bounds.output_drift([1.0], [1.0], [1.0], [1.0], "bfloat16", gain=1.0, terms=256), r"must be below 1"),
        (lambda: bounds.output_drift([1.0], [1.0], [1.0], [1.0], "float16", gain=1.0, terms=-1), "terms"),
        (lambda: bounds.steps_until_drift(0.1, 0.0, "float16"), "ratio .* finite and > 0"),
        (lambda: bounds.stored_reference([1.0], 0.1, -1.0), "rounding"),
        (lambda: bounds.stored_reference([1.0], 0.1, math.nan), "rounding"),
        (lambda: bounds.stored_reference([1.0], -0.1, 0.0), "contraction"),
        (lambda: bounds.with_weight_error([1.0], [1.0], gain=-1.0, weight_error=0.0), "gain"),
        (lambda: bounds.with_weight_error([1.0], [1.0], gain=1.0, weight_error=math.nan), "weight_error"),
        (lambda: bounds.with_weight_error([1.0], [math.nan], gain=1.0, weight_error=0.1), "finite and >= 0"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
