"""The bounds against literal sums in exact fractions, against simulated errors, and against each other."""

import math
import re
from fractions import Fraction

import numpy as np
import pytest
import reference
from calls import apart, infos
from hypothesis import example, given, target
from hypothesis import strategies as st

import modiff_sim as ms
from modiff_sim import bounds
from modiff_sim import recursion as rec
from modiff_sim.arguments import count, number
from modiff_sim.testing import sequences
from paper_checks._shared import Shrink

EPS = np.finfo(float).eps
norms = st.lists(st.integers(0, 80).map(lambda i: i / 8), min_size=1, max_size=10).map(np.asarray)
contractions = st.sampled_from([0.0, 0.04, 0.25, 0.5, 0.64, 0.9, 1.0, 2.25])
#: recursion, its true bounds in the 2-norm and in the max norm
LOOPS = (
    ("closed_loop", (bounds.sharp_closed_loop, bounds.young_closed_loop), bounds.max_norm_closed_loop),
    ("open_loop", (bounds.sharp_open_loop, bounds.young_open_loop), bounds.max_norm_open_loop),
)


def close(got, expected, n: int) -> bool:
    """Each term of the sums rounds its square, weight and product, each sum and root once: 6 roundings per term."""
    return np.allclose(got, expected, rtol=6 * (n + 1) * EPS, atol=0)


def by_index(d, c, formula):
    """Root of a literal sum of the oracle at every step; d[0] is the paper's k = T-1, after row j we are at T-1-j."""
    T = len(d) + 3
    d2 = {T - 1 - j: Fraction(v) ** 2 for j, v in enumerate(d)}
    return [math.sqrt(formula(d2, Fraction(c), T, T - 1 - j)) for j in range(len(d))]


# -- the sums --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("bound", "formula"), [
    (bounds.printed_open_loop, reference.printed_30), (bounds.printed_closed_loop, reference.printed_31),
    (bounds.young_open_loop, reference.corrected_30), (bounds.young_closed_loop, reference.corrected_31),
])  # fmt: skip
@given(d=norms, c=contractions)
def test_equals_the_printed_sum(bound, formula, d, c):
    assert close(bound(d, c), by_index(d, c, formula), len(d))


@given(d=norms, c=contractions)
def test_sampling_order_has_the_age_as_exponent(d, c):
    n = len(d)
    age = [[Fraction(2) ** (j - k) * Fraction(d[k]) ** 2 for k in range(j + 1)] for j in range(n)]
    expected = [math.sqrt(Fraction(c) * sum(row)) for row in age]
    assert close(bounds.printed_open_loop(d, c, index="sampling"), expected, n)
    age = [[(2 * Fraction(c)) ** (j - k) * Fraction(d[k]) ** 2 for k in range(j + 1)] for j in range(n)]
    assert close(bounds.printed_closed_loop(d, c, index="sampling"), [math.sqrt(sum(row)) for row in age], n)


@given(d=norms, kappa=st.sampled_from([Fraction(0), Fraction(1, 14), Fraction(1, 2), Fraction(3, 2)]))
def test_sharp_sums(d, kappa):
    n, exact = len(d), [Fraction(v) for v in d]
    closed = [float(sum(kappa ** (j - k + 1) * exact[k] for k in range(j + 1))) for j in range(n)]
    opened = [float(kappa * sum(exact[: j + 1])) for j in range(n)]
    assert close(bounds.max_norm_closed_loop(d, float(kappa)), closed, n)
    assert close(bounds.max_norm_open_loop(d, float(kappa)), opened, n)
    assert close(bounds.sharp_closed_loop(d, float(kappa) ** 2), closed, n)
    assert close(bounds.sharp_open_loop(d, float(kappa) ** 2), opened, n)


@given(d=norms, c=contractions, start=st.sampled_from([0.5, 3.0]))
def test_an_inexact_start_adds_its_decayed_error(d, c, start):
    n, q = len(d), math.sqrt(c)
    decay = q ** np.arange(1, n + 1) * start
    assert close(bounds.sharp_closed_loop(d, c, start=start), bounds.sharp_closed_loop(d, c) + decay, n)
    assert close(bounds.max_norm_closed_loop(d, q, start=start), bounds.max_norm_closed_loop(d, q) + decay, n)
    squares = [sum((2 * c) ** (j - k + 1) * d[k] ** 2 for k in range(j + 1)) for j in range(n)]
    expected = np.sqrt(np.asarray(squares) + (2 * c) ** np.arange(1, n + 1) * start**2)
    assert close(bounds.young_closed_loop(d, c, start=start), expected, 2 * n)


@pytest.mark.parametrize("name", bounds.BOUNDS)
@given(d=norms, c=contractions)
@example(d=np.asarray([2.625, 2.125, 0.75]), c=2.25)
def test_shapes_gain_and_scale(name, d, c):
    bound, before = bounds.BOUNDS[name], d.copy()
    one = bound(d, c)
    assert np.array_equal(d, before)  # the argument is not written to
    both = bound(np.stack([d, 2 * d], axis=1), c)
    assert one.shape == d.shape
    assert both.shape == (len(d), 2)
    assert np.array_equal(both[:, 0], one)
    assert np.array_equal(both[:, 1], 2 * one)  # homogeneous: a factor of 2 is exact
    assert np.array_equal(bound(d, c, gain=4.0), 4 * one)


# -- the truth stays below --------------------------------------------------------------------------------------------

GRIDS = [ms.AbsMax(2), ms.AbsMax(3), ms.MinMax(3), ms.Zero(), ms.Floor(2, floor=0.0), Shrink(contraction=0.7)]
OPERATOR = np.array([[2.0, -1.0, 0.5, 1.0], [1.0, 1.0, 1.0, -2.0], [0.0, 3.0, 0.0, 1.0]])


def slack(inputs) -> float:
    """As ``testing.check_bound``: â, residual and ô round once a call; A multiplies it by at most its row sums, 5."""
    return 8 * len(inputs) * EPS * 2 * max(np.abs(inputs).max(), 1.0) * 5


@pytest.mark.parametrize("Q", GRIDS, ids=str)
@given(inputs=sequences(), warmup=st.sampled_from(["exact", "quantized", 3]))
def test_errors_stay_below_every_true_bound(Q, inputs, warmup):
    spectral, row_sum = float(np.linalg.norm(OPERATOR, 2)), float(np.abs(OPERATOR).sum(axis=1).max())
    for name, two, largest in LOOPS:
        begin = warmup if name == "closed_loop" else "exact"
        states, calls = apart(rec.run(name, inputs, Q, lambda a: a @ OPERATOR.T, warmup=begin))
        error = np.stack([a @ OPERATOR.T - s.output for a, s in zip(inputs, calls, strict=True)])[1:]
        for order, gain, contraction, known in ((2, spectral, Q.c(4), two), (np.inf, row_sum, Q.kappa(4), (largest,))):
            d = np.linalg.norm(np.diff(inputs, axis=0), ord=order, axis=-1)
            start = np.linalg.norm(inputs[0] - states[0].ref, ord=order, axis=-1)
            options = {"start": start} if name == "closed_loop" else {}
            for bound in known:
                limit = bound(d, contraction, gain=gain, **options)
                got = np.linalg.norm(error, ord=order, axis=-1)
                assert np.all(got <= limit + slack(inputs)), f"{bound.__name__} is exceeded"
                target(float(np.max(got - limit)), label=f"{bound.__name__} reached")


@given(d=st.lists(st.integers(0, 20).map(Fraction), min_size=1, max_size=8), q=st.sampled_from(["1/10", "1/2", "9/10"]))
def test_sharp_bounds_are_equalities_for_the_scalar_quantizer_in_exact_arithmetic(d, q):
    q, inputs = Fraction(q), [[sum(d[:j], Fraction(0))] for j in range(len(d) + 1)]
    for run, weight in ((reference.closed_loop, lambda age: q ** (age + 1)), (reference.open_loop, lambda age: q)):
        outputs = run(inputs, lambda x: [(1 - q) * v for v in x], [[Fraction(1)]])
        for j in range(len(d)):
            assert inputs[j + 1][0] - outputs[j + 1][0] == sum(weight(j - k) * d[k] for k in range(j + 1))


@pytest.mark.parametrize("bits", range(2, 9))
def test_the_max_norm_bound_is_attained_at_every_step_in_exact_arithmetic(bits):
    """Two coordinates take turns: one carries the error on by 1 and is exact, the other is set on a tie."""
    qmax = 2 ** (bits - 1) - 1
    kappa, zero = Fraction(1, 2 * qmax), Fraction(0)
    inputs, a_hat, bound = [[zero, zero]], [zero, zero], zero
    for step in range(12):
        big, small = step % 2, 1 - step % 2
        error = reference.sub(inputs[-1], a_hat)
        residual = [zero, zero]
        residual[big] = (1 if error[big] >= 0 else -1) * (1 + abs(error[big]))
        residual[small] = abs(residual[big]) / qmax / 2
        a = reference.add(a_hat, residual)
        assert max(abs(v) for v in reference.sub(a, inputs[-1])) == 1  # ||d||_inf, at every step
        inputs.append(a)
        a_hat = reference.add(a_hat, reference.absmax(residual, bits))
        bound = kappa * (1 + bound)
        assert max(abs(v) for v in reference.sub(a, a_hat)) == bound
    identity = [[Fraction(1), zero], [zero, Fraction(1)]]
    outputs = reference.closed_loop(inputs, lambda x: reference.absmax(x, bits), identity)
    assert max(abs(v) for v in reference.sub(inputs[-1], outputs[-1])) == bound
    assert math.isclose(bounds.max_norm_closed_loop(np.ones(12), float(kappa))[-1], bound, rel_tol=24 * EPS)


@given(st.lists(st.integers(-200, 200), min_size=2, max_size=8), *(st.integers(1, n) for n in (5, 12, 2000)))
def test_theorem_4_3_in_exact_arithmetic(x, bits, over, shift):
    """Fractions with small denominators, where ties live, and ranges far from zero, where codes are clipped."""
    x = [Fraction(v, over) + Fraction(shift - 1000, 8) for v in x]
    s = (max(x) - min(x)) / (2**bits - 1)
    for quantize, factor in ((reference.minmax_raw, Fraction(1, 4)), (reference.floor_, Fraction(1))):
        lost = sum(v**2 for v in reference.sub(x, quantize(x, bits)))
        assert lost <= factor * s**2 * len(x)
    assert float(bounds.theorem_4_3(float(s), len(x))) == pytest.approx(float(s**2 * len(x)), rel=8 * EPS)


def test_theorem_4_3_nearest_is_attained_where_codes_are_clipped():
    x = [Fraction(-1, 2), Fraction(1, 2), Fraction(5, 2)]  # s = 1 at 2 bits, zero point round(1/2) = 0, all ties
    lost = [v**2 for v in reference.sub(x, reference.minmax_raw(x, 2))]
    assert lost == [Fraction(1, 4)] * 3


# -- the paper's numbers ----------------------------------------------------------------------------------------------


def true_squared(name, d, c):
    inputs = np.concatenate([[0.0], np.cumsum(d)])[:, None, None]
    *_, (_, last) = rec.run(name, inputs, Shrink(contraction=c))
    return float((inputs[-1] - last.output).item() ** 2)


@pytest.mark.parametrize(
    ("loop", "index", "d", "c", "true", "printed"),
    [
        ("closed", "paper", (0, 0, 0, 0, 1), 0.1, 0.100, 0.0016),
        ("open", "paper", (1, 0.5), 0.1, 0.225, 0.150),
        ("open", "sampling", (1, 1), 0.2, 0.8, 0.6),
        ("open", "sampling", (0.5, 1), 0.1, 0.225, 0.15),
        ("open", "sampling", (1, 0.5), 0.1, 0.225, 0.225),
    ],
)
def test_the_counter_examples_of_the_notes(loop, index, d, c, true, printed):
    bound = {"closed": bounds.printed_closed_loop, "open": bounds.printed_open_loop}[loop]
    corrected = {"closed": bounds.young_closed_loop, "open": bounds.young_open_loop}[loop]
    got = true_squared(f"{loop}_loop", d, c)
    assert got == pytest.approx(true, rel=1e-12)
    assert bound(np.asarray(d), c, index=index)[-1] ** 2 == pytest.approx(printed, rel=1e-12)
    assert got <= corrected(np.asarray(d), c)[-1] ** 2 * (1 + 16 * EPS)


def test_numbers_of_the_notes():
    assert [round(bounds.bits_saved(b, 10), 1) for b in (2, 3, 4)] == [1.6, 2.7, 3.0]
    assert round(bounds.corollary_a3_bits(1024, 0.5), 1) == 6.5
    assert round(bounds.corollary_a3_bits(64 * 384 * 32 * 32, 0.5), 1) == 13.8


# -- which bound is below which ---------------------------------------------------------------------------------------


@given(d=norms, c=contractions)
def test_order_of_the_bounds(d, c):
    some = 1 + 32 * len(d) * EPS
    sharp, young = bounds.sharp_closed_loop(d, c), bounds.young_closed_loop(d, c)
    sharp_open, young_open = bounds.sharp_open_loop(d, c), bounds.young_open_loop(d, c)
    assert np.all(sharp <= young * some)
    assert np.all(sharp_open <= young_open * some)
    if c <= 1:
        assert np.all(sharp <= sharp_open * some)
        assert np.all(bounds.max_norm_closed_loop(d, c) <= bounds.max_norm_open_loop(d, c) * some)
    if 2 * c <= 1:
        assert np.all(young <= bounds.printed_closed_loop(d, c, index="sampling") * some)
    assert np.all(young_open <= math.sqrt(2) * bounds.printed_open_loop(d, c, index="sampling") * some)


def test_the_order_is_strict_somewhere_and_fails_where_it_may():
    d = np.array([1.0, 1.0, 1.0])
    assert bounds.sharp_closed_loop(d, 0.2)[-1] < 0.99 * bounds.young_closed_loop(d, 0.2)[-1]
    assert bounds.sharp_closed_loop(d, 2.25)[-1] > bounds.sharp_open_loop(d, 2.25)[-1]  # c > 1: compensation hurts
    assert bounds.young_closed_loop(d, 0.9)[-1] > bounds.printed_closed_loop(d, 0.9, index="sampling")[-1]


@pytest.mark.parametrize("bits", range(2, 9))
def test_closed_loop_beats_direct_below_a_ratio_of_one_minus_kappa(bits):
    kappa = ms.AbsMax(bits).kappa(2)
    steady = float(bounds.max_norm_closed_loop(np.ones(80), kappa)[-1])
    for ratio, better in ((1 - kappa - 1e-9, True), (1 - kappa + 1e-9, False)):
        assert (steady < bounds.direct(np.array([1 / ratio]), kappa**2)[0]) == better


def test_a_single_instance_can_differ_from_the_bounds():
    inputs = np.array([[[9.0, 9.6]], [[10.0, 10.0]]])
    runs = {name: infos(rec.run(name, inputs, ms.AbsMax(2))) for name in ("direct", "closed_loop")}
    error = {
        name: [np.abs(a - s.output).max() for a, s in zip(inputs, calls, strict=True)] for name, calls in runs.items()
    }
    assert error["direct"][1] == 0
    assert error["closed_loop"][1] == pytest.approx(0.4)


# -- bad input and edges ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", bounds.BOUNDS)
def test_bad_input(name):
    for c in (-0.1, math.nan, math.inf):
        with pytest.raises(ValueError, match="must be finite and >= 0, got"):
            bounds.BOUNDS[name]([1.0], c)
    for d in ([], 1.0, np.zeros((3, 0))):
        with pytest.raises(ValueError, match="at least one difference"):
            bounds.BOUNDS[name](d, 0.1)
    for value in (math.nan, math.inf, -1.0):
        with pytest.raises(ValueError, match="d are norms of differences: finite and >= 0"):
            bounds.BOUNDS[name]([1.0, value], 0.1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bounds.printed_open_loop([1.0], 0.1, index="time"), "known: paper, sampling"),
        (lambda: bounds.sharp_closed_loop([1.0], 0.1, start=-1.0), "start"),
        (lambda: bounds.young_closed_loop([1.0], 0.1, start=math.nan), "start"),
        (lambda: bounds.direct([1.0], -0.1), "must be finite and >= 0"),
        (lambda: bounds.theorem_4_3(1.0, 4, rounding="up"), "known: floor, nearest"),
        (lambda: bounds.theorem_4_3(1.0, 0), "d must be an int >= 1, got 0"),
        (lambda: bounds.theorem_4_3(1.0, math.nan), "d must be an int >= 1, got nan"),
        (lambda: bounds.theorem_4_3(-1.0, 4), "scales >= 0"),
        (lambda: bounds.theorem_4_3(math.inf, 4), "finite scales"),
        (lambda: bounds.corollary_a3_bits(0, 0.5), "d must be an int >= 1"),
        (lambda: bounds.corollary_a3_bits(4, 0.0), "c must be finite and > 0"),
        (lambda: bounds.corollary_a3_bits(4, math.inf), "c must be finite and > 0"),
        (lambda: bounds.bits_saved(1, 10.0), "int >= 2, got 1"),
        (lambda: bounds.bits_saved(math.nan, 10.0), "int >= 2, got nan"),
        (lambda: bounds.bits_saved(2000, 10.0), "at most 32 bits"),
        (lambda: bounds.bits_saved(3, 0.0), "ratio .* finite and > 0"),
        (lambda: bounds.bits_saved(3, math.inf), "ratio .* finite and > 0"),
    ],
)
def test_bad_input_of_the_others(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("name", [*bounds.BOUNDS, "direct", "stochastic_closed_loop", "stochastic_open_loop"])
def test_arguments_that_are_no_numbers(name):
    """A name and what was given, instead of a comparison that Python cannot make; and no negative or NaN bound."""
    bound = getattr(bounds, name)
    for c in ("0.1", None, [0.1, 0.2], 0.1j):
        with pytest.raises(TypeError, match="must be one real number, got"):
            bound([1.0], c)
    for gain in (-1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="gain is the norm of an operator and must be finite and >= 0"):
            bound([1.0], 0.1, gain=gain)
    with pytest.raises(TypeError, match=r"gain .* must be one real number"):
        bound([1.0], 0.1, gain=[1.0])


def test_ranges_are_named_as_they_are():
    for value in (0, 1, -1.0, math.nan):
        with pytest.raises(ValueError, match=f"x must be such that 0 < x < 1, got {value}"):
            number("x", value, above=0, below=1)
    with pytest.raises(ValueError, match="x is a share and must be such that 0 <= x < 2, got 2"):
        number("x", 2, below=2, what="a share")
    assert [number("x", v, least=-1) for v in (-1, 0.5, np.float32(2), Fraction(1, 3))] == [-1, 0.5, 2, Fraction(1, 3)]
    for value in (True, 1.0, "1", None, 0):
        with pytest.raises(ValueError, match=re.escape(f"n must be an int >= 1, got {value!r}")):
            count("n", value)
    assert count("n", np.int64(3)) == 3


@pytest.mark.parametrize("name", bounds.BOUNDS)
def test_a_long_run_is_infinite_rather_than_nan(name):
    """2^k leaves the floats after 1023 steps; zero differences must not become 0·inf."""
    d = np.zeros(1200)
    d[::7] = 1.0
    bound = bounds.BOUNDS[name](d, 1.0)
    assert not np.isnan(bound).any()
    assert np.isinf(bound[-1]) == ("printed" in name or "young" in name)
