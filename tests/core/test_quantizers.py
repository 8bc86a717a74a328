"""Quantizers against the oracle, their declared laws, and a counter-example for every law that is not declared."""

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import pytest
import reference
import reference_quantizers
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

import modiff_sim as ms
from modiff_sim import LAWS, QUANTIZERS, LawBroken
from modiff_sim.contraction import ratios
from modiff_sim.quantizers import make
from modiff_sim.quantizers.law_checks import declared
from modiff_sim.quantizers.laws import SLACK
from modiff_sim.testing import arrays, check_quantizer

SURE = sorted(name for name, kind in QUANTIZERS.items() if not kind.laws.randomised)
GRANULARITIES = [ms.PerBatch(), ms.PerChannel(1), ms.PerToken(), ms.PerGroup(3)]
#: new ones have no place in that list, and come with an example
GRANULARITIES += [k.example() for k in ms.GRANULARITIES.values() if k not in {ms.PerSample, *map(type, GRANULARITIES)}]


def cases():
    for name, kind in QUANTIZERS.items():
        for bits in (2, 3, 8) if kind.fixed_bits is None else (kind.fixed_bits,):
            rest = bits == 3 and kind.fixed_bits is None  # between the others, and at every granularity below
            yield pytest.param(make(name, bits), id=f"{name}-{bits}", marks=[pytest.mark.slow] if rest else [])


@pytest.mark.parametrize("Q", list(cases()))
def test_declared_laws_hold(Q):
    assert "kappa" in check_quantizer(Q, examples=20)


@pytest.mark.parametrize("granularity", GRANULARITIES, ids=str)
@pytest.mark.parametrize("name", ["absmax", "minmax", "stochastic", "mxfp4_e2m1", "percentile", "mse"])
def test_declared_laws_hold_at_every_granularity(name, granularity):
    options = {"percentile": 60.0} if name == "percentile" else {}  # small blocks: clip them, too
    check_quantizer(make(name, 3, granularity=granularity, **options), examples=12)


#: (quantizer, law it does not declare) -> an input that breaks it
COUNTER_EXAMPLES = {
    ("minmax", "idempotent"): (4, [-17.0, 13.0, 2.0]),
    ("minmax", "sign_equivariant"): (2, [-1.5, 1.5]),
    ("minmax_raw", "idempotent"): (4, [-17.0, 13.0, 2.0]),
    ("minmax_raw", "sign_equivariant"): (2, [-1.5, 1.5]),
    ("minmax_raw", "scale_equivariant"): (4, [1e-9, 4e-8, -6e-8]),
    ("floor", "idempotent"): (2, [3.5, 1.5, 4.5]),
    ("floor", "sign_equivariant"): (2, [-1.0, 2.0, 0.5]),
    ("floor", "scale_equivariant"): (4, [1e-9, 4e-8, -6e-8]),
    ("static", "error"): (2, [5.0, 0.0]),
    ("static", "sign_equivariant"): (2, [5.0, 0.0]),
    ("static", "scale_equivariant"): (4, [0.75, 0.0]),
    ("grid_aligned", "scale_equivariant"): (4, [0.75, 0.0]),
    ("static_affine", "error"): (2, [5.0, 0.0]),
    ("static_affine", "sign_equivariant"): (2, [5.0, 0.0]),
    ("static_affine", "scale_equivariant"): (4, [5.0, 0.0]),
    ("stochastic", "sign_equivariant"): (2, [1.0, 0.5]),
    ("zero", "error"): (0, [1.0, 0.0]),
    ("mid_rise", "sign_equivariant"): (2, [3.0, 0.0]),
    ("mid_rise", "zero_to_zero"): (2, [0.0, 3.0]),
    ("dead_zone", "error"): (4, [7.0, 1.4]),
    ("dead_zone", "idempotent"): (4, [7.0, 1.45]),
    ("percentile", "error"): (4, [50.0] + [1.0] * 100),
    ("mse", "error"): (2, [4.0] + [1.0] * 20),
}


#: no counter-example: Stochastic's idempotence fails only by a float's last bit
BARELY = {("stochastic", "idempotent")}


def undeclared():
    """(quantizer, law) of every law that is not declared; unbiased belongs to randomised quantizers."""
    return [
        (name, law) for name in QUANTIZERS for law in LAWS if law != "unbiased" and not declared(make(name, 4), law)
    ]


def bold(Q, law):
    """The same quantizer, declaring one law too many."""

    @dataclass(frozen=True, kw_only=True)
    class Claims(type(Q)):
        laws = replace(type(Q).laws, **{law: 0.5 if law == "error" else True})

    return Claims(**vars(Q))


def breaks(Q, law, x):
    """Whether the bold quantizer breaks its law there."""
    try:
        LAWS[law](Q, x, random=np.full_like(x, 0.75) if Q.laws.randomised else None)
    except LawBroken as broken:
        return law in str(broken)
    return False


@pytest.mark.parametrize(("name", "law"), COUNTER_EXAMPLES)
def test_laws_not_declared_have_a_counter_example(name, law):
    bits, x = COUNTER_EXAMPLES[name, law]
    Q = make(name, bits)
    assert not declared(Q, law)
    assert breaks(bold(Q, law), law, np.array([x]))


def counter_example(Q, law):
    """An input that breaks a law which the quantizer does not declare, as Hypothesis finds it, or None."""
    claims, rows = bold(Q, law), st.tuples(st.just(1), st.integers(1, 8))
    options = settings(max_examples=2000, database=None, derandomize=True, phases=[Phase.generate])
    try:
        return find(arrays(shapes=rows, dtypes=[np.float64]), lambda x: breaks(claims, law, x), settings=options)
    except NoSuchExample:
        return None


@pytest.mark.parametrize("name", QUANTIZERS)
def test_other_laws_that_are_not_declared_are_broken_somewhere(name):
    """Where there is no entry above, one is searched."""
    for law in sorted(law for of, law in {*undeclared()} - {*COUNTER_EXAMPLES} - BARELY if of == name):
        found = counter_example(make(name, 4), law)
        assert found is not None, f"{name} seems to obey {law!r}: declare it, or give a counter-example above"


@pytest.mark.slow
def test_the_search_for_counter_examples_finds_some_and_not_others():
    assert counter_example(ms.DeadZone(4), "idempotent") is not None
    assert counter_example(ms.AbsMax(4), "idempotent") is None
    assert set(COUNTER_EXAMPLES) <= {*undeclared()}


def test_stochastic_is_not_idempotent_in_floats():
    Q, rng = ms.Stochastic(4), np.random.default_rng(0)
    x = rng.standard_normal((4000, 3))
    once = Q(x, random=rng.random(x.shape))
    assert np.any(np.abs(Q(once, random=np.zeros_like(x)) - once) > 0.1)


#: those that the plain loops of ``reference_quantizers`` write out; "mse" is a choice among sums, and has its own tests
ORACLES = [name for name in SURE if name in reference_quantizers.QUANTIZERS and name != "mse"]


@pytest.mark.parametrize("name", ORACLES)
@given(x=arrays(dtypes=[np.float64]), bits=st.integers(2, 8))
def test_equals_the_oracle_bit_for_bit(name, x, bits):
    Q = make(name, bits, granularity=ms.PerSample())
    expected = np.array([reference_quantizers.QUANTIZERS[name](row, Q.bits) for row in x.tolist()], dtype=np.float64)
    assert np.array_equal(Q(x), expected)


@given(x=arrays(dtypes=[np.float64]), bits=st.integers(2, 8), data=st.data())
def test_stochastic_equals_the_oracle(x, bits, data):
    u = data.draw(arrays(shapes=st.just(x.shape), dtypes=[np.float64], magnitude=1)) % 1.0
    expected = [reference.stochastic(row, bits, w) for row, w in zip(x.tolist(), u.tolist(), strict=True)]
    assert np.array_equal(ms.Stochastic(bits)(x, random=u), np.array(expected, dtype=np.float64))


@given(x=arrays(shapes=st.tuples(st.just(1), st.integers(2, 12)), dtypes=[np.float64]), bits=st.integers(2, 6))
def test_theorem_4_3_in_exact_fractions(x, bits):
    """||x - Q(x)||² <= s²d with floor, s²d/4 with nearest, no slack at all, because the arithmetic is exact."""
    row = reference.exact(x[0].tolist())
    s = (max(row) - min(row)) / (2**bits - 1)
    for quantize, r in ((reference.minmax_raw, Fraction(1, 4)), (reference.floor_, Fraction(1))):
        error2 = sum(v * v for v in reference.sub(row, quantize(row, bits)))
        assert error2 <= r * max(s, Fraction(1e-8)) ** 2 * len(row)


def test_affine_worst_case_for_every_dimension():
    """The closed form d/(d-2+2N²) is attained by the input its docstring names."""
    for bits in (2, 3, 4):
        N = 2**bits - 1
        for d in (2, 3, 10, 1000):
            x = np.full((1, d), 0.5)
            x[0, 0], x[0, 1] = N / 2, -N / 2
            for Q in (ms.MinMax(bits), ms.MinMaxRaw(bits)):
                assert ratios(Q, x)[0] == pytest.approx(Q.c(d), rel=1e-12)


def test_stochastic_c_is_the_supremum_of_the_expectation():
    for bits in (2, 3, 4):
        for d in (2, 16, 4096):
            Q = ms.Stochastic(bits)
            f = np.linspace(1e-4, 1 - 1e-4, 20001)
            expected = (d - 1) * f * (1 - f) / (Q.qmax**2 + (d - 1) * f**2)
            assert np.max(expected) == pytest.approx(Q.c(d), rel=1e-6)
            assert np.max(expected) <= Q.c(d) * (1 + 1e-12)
            assert (Q.c(d) < 1) == (d - 1 < 8 * Q.qmax**2)


def test_zero_range_and_constant_inputs():
    for name in SURE:
        Q = make(name, 3, granularity=ms.PerSample())
        zeros = np.zeros((2, 5), np.float32)
        assert np.array_equal(Q(zeros), zeros), name
    for value in (3.3, -0.7, 1e-12):
        constant = np.full((1, 5), value)
        assert np.array_equal(ms.MinMaxRaw(3)(constant), constant)
    tiny = np.full((1, 3), 1e-7, np.float16)  # absmax is not 0, absmax/qmax underflows: exact zeros, not NaN
    assert np.array_equal(ms.AbsMax(8)(tiny), np.zeros_like(tiny))


def test_the_laws_of_min_max_as_printed_hold_above_its_floor_and_for_constants():
    """Ranges of 0, of less than the floor times the levels (3 at two bits), of as much, and of more."""
    x = np.array([[5.0, 5.0], [0.0, 2.0], [0.0, 3.0], [0.0, 4.0]])
    assert ms.MinMaxRaw(2, floor=1.0).in_domain(x).ravel().tolist() == [True, False, False, True]


@pytest.mark.parametrize("Q", [ms.Static(4), ms.StaticAffine(4, low=-1.0, high=1.0)], ids=str)
def test_a_fixed_scale_is_of_no_empty_range(Q):
    x = np.array([[0.0, 0.0], [0.25, 1.0]])
    assert Q.choose_qparams(x).zero_range.ravel().tolist() == [False, False]


@pytest.mark.parametrize("bits", [2, 4, 8, 12, 16, 24, 32])
def test_a_scale_of_one_rounds_to_integers(bits):
    """Whether or not codes are clipped, which is only done where the dtype makes it necessary."""
    top = 2.0 ** (bits - 1) - 1
    assert ms.AbsMax(bits)(np.array([[top, 0.4, -0.6, -top]])).tolist() == [[top, 0.0, -1.0, -top]]


@pytest.mark.parametrize("law", LAWS)
def test_a_law_is_checked_on_finite_floats_only(law):
    with pytest.raises(ValueError, match="laws hold for finite inputs"):
        LAWS[law](ms.AbsMax(4), np.array([[1.0, np.nan]]))
    with pytest.raises(TypeError, match="real floats"):
        LAWS[law](ms.AbsMax(4), np.array([[1, 2]]))


def test_idempotent_in_exact_arithmetic_on_the_grid():
    x = np.array([[7.0, -3.0, 0.0, 1.0]])
    assert np.array_equal(ms.AbsMax(4)(x), x)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_dtype_is_kept_and_error_is_half_a_step(dtype):
    x = np.random.default_rng(0).standard_normal((4, 64)).astype(dtype)
    Q = ms.AbsMax(4)
    out = Q(x)
    assert out.dtype == dtype
    slack = SLACK * np.finfo(dtype).eps * np.abs(x).max()
    assert np.all(np.abs(out - x) <= Q.choose_qparams(x).scale / 2 + slack)


@pytest.mark.parametrize(
    ("make_it", "error", "message"),
    [
        (lambda: ms.AbsMax(-1), ValueError, "2 <= bits <= 32"),
        (lambda: ms.AbsMax(33), ValueError, "2 <= bits <= 32"),
        (lambda: ms.AbsMax(0), ValueError, r"Zero\(\)"),
        (lambda: ms.AbsMax(1), ValueError, "2 <= bits"),
        (lambda: ms.AbsMax(4.0), TypeError, "must be an int"),
        (lambda: ms.AbsMax(True), TypeError, "must be an int"),
        (lambda: ms.AbsMax(4, granularity=3), TypeError, "granularity"),
        (lambda: ms.Static(4, scale=0.0), ValueError, "scale must be finite and > 0"),
        (lambda: ms.StaticAffine(4, low=0.5, high=1.0), ValueError, "low <= 0 <= high"),
        (lambda: ms.StaticAffine(4, low=0.0, high=0.0), ValueError, "that differ"),
        (lambda: ms.StaticAffine(4, low=-5e-324, high=0.0), ValueError, "smallest float"),
        (lambda: ms.Zero(3), ValueError, "0 bits"),
        (lambda: ms.Identity(8), ValueError, "32 bits"),
        (lambda: make("absmin"), ValueError, "known: absmax, half_away"),
        (lambda: ms.AbsMax(4).c(0), ValueError, "at least one entry"),
        (lambda: ms.FP8E4M3(4), ValueError, "FP8E4M3 has 8 bits, got 4"),
        (lambda: ms.MidRise(0), ValueError, "1 <= bits"),
        (lambda: ms.DeadZone(4, threshold=1.0), ValueError, "0 <= threshold < 1"),
        (lambda: ms.DeadZone(4, threshold=np.nan), ValueError, "0 <= threshold < 1"),
        (lambda: ms.Percentile(4, percentile=0.0), ValueError, "0 < percentile <= 100"),
        (lambda: ms.MSEClip(4, candidates=0), ValueError, "candidates must be an int >= 1"),
        (lambda: ms.MSEClip(4, candidates=2.0), ValueError, "candidates must be an int >= 1"),
        (lambda: declared(ms.AbsMax(4), "nice"), ValueError, "known: error, c"),
    ],
)
def test_bad_quantizers_are_refused(make_it, error, message):
    with pytest.raises(error, match=message):
        make_it()


@pytest.mark.parametrize("name", sorted(QUANTIZERS))
@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.array([[1.0, np.nan]]), ValueError, "not finite: 1 of 2 entries"),
        (np.array([[1.0, -np.inf], [1.0, 2.0]]), ValueError, r"span \[0, 2\]|span \[1, 2\]|1 of 4"),
        (np.zeros((0, 4)), ValueError, "empty"),
        (np.zeros((4, 0)), ValueError, "empty"),
        (np.array([[1, 2]]), TypeError, "real floats"),
    ],
)
def test_bad_inputs_are_refused(name, x, error, message):
    Q = make(name, granularity=ms.PerSample())
    random = np.zeros(x.shape) if Q.laws.randomised else None
    with np.errstate(invalid="ignore"), pytest.raises(error, match=message):
        Q(x, random=random)


def test_range_overflow_and_missing_random_bits():
    huge = np.array([[3e38, -3e38]], np.float32)
    with np.errstate(over="ignore", invalid="ignore"), pytest.raises(ValueError, match="overflows"):
        ms.MinMax(4)(huge)
    with pytest.raises(ValueError, match="random="):
        ms.Stochastic(4)(np.ones((1, 2)))
    with pytest.raises(ValueError, match="cannot hold codes"):
        ms.AbsMax(20)(np.ones((1, 2), np.float16))


def test_a_grid_that_overflows_the_dtype_is_an_error_not_an_inf():
    with np.errstate(over="ignore"):
        for x in (np.array([[65504, 1]], np.float16), np.array([[np.finfo(np.float32).max, 1]], np.float32)):
            for bits in (3, 4, 6):
                try:
                    assert np.isfinite(ms.AbsMax(bits)(x)).all()
                except ValueError as error:
                    assert "overflows" in str(error)  # noqa: PT017
    for scale, dtype in ((1e-9, np.float16), (1e-60, np.float32), (1e9, np.float16)):
        with pytest.raises(ValueError, match="cannot hold this scale"):
            ms.Static(4, scale=scale)(np.ones((1, 2), dtype))


def test_codes_stay_within_qmax_in_short_mantissas():
    """bfloat16 has 8 bits of mantissa: x/s can round to 128 where qmax is 127."""
    import torch

    x = torch.randn(200, 16, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16)
    Q = ms.AbsMax(8)
    assert float(Q.quantize(x, Q.choose_qparams(x)).abs().max()) == Q.qmax
    unclamped = torch.round(x / Q.choose_qparams(x).scale)  # the negative control
    assert float(unclamped.abs().max()) > Q.qmax


@pytest.mark.parametrize("floor", [-1.0, np.nan, np.inf])
def test_the_scale_floor_is_checked(floor):
    with pytest.raises(ValueError, match="floor must be finite and >= 0"):
        ms.MinMaxRaw(4, floor=floor)
