"""Float grids against ml_dtypes over every value, midpoint and neighbour of a format; MX against the specification."""

import array_api_strict as strict
import ml_dtypes
import numpy as np
import pytest
import reference_quantizers as oracle
import torch
from hypothesis import given
from hypothesis import strategies as st

import modiff_sim as ms
from modiff_sim.contraction import ratios
from modiff_sim.quantizers import floats
from modiff_sim.quantizers.formats import E2M1, E2M3, E3M2, E4M3, E5M2, INT8, power_of_two, round_to

FORMATS = (E4M3, E5M2, E2M3, E3M2, E2M1)
MX = (ms.MXFP8E4M3, ms.MXFP8E5M2, ms.MXFP6E2M3, ms.MXFP6E3M2, ms.MXFP4E2M1, ms.MXINT8)


def critical(format, dtype):
    """All finite values of the format, all midpoints, and both neighbouring floats of each; both signs."""
    values = np.array([float(v) for v in oracle.decoded(format.name)], dtype)
    around = np.concatenate([values, (values[1:] + values[:-1]) / 2])
    around = np.concatenate([around, np.nextafter(around, dtype(0)), np.nextafter(around, dtype(np.inf))])
    around = around[around <= values[-1]]
    return np.concatenate([around, -around])


def rounded(x, format):
    unit = x.dtype.type(2.0**format.emax)
    return round_to(np, x / unit, format) * unit


@pytest.mark.parametrize("format", FORMATS, ids=lambda f: f.name)
def test_elements_equal_ml_dtypes_with_no_tolerance(format):
    """float32 against the casts of ml_dtypes; float64 against the nearest of its values in exact fractions, because
    it casts float64 by way of float32, which rounds twice (the negative control)."""
    x = critical(format, np.float32)
    assert np.array_equal(rounded(x, format), x.astype(getattr(ml_dtypes, format.name)).astype(np.float32))
    wide = critical(format, np.float64)
    values = oracle.decoded(format.name)
    expected = [np.copysign(float(oracle.nearest(values, abs(oracle.Fraction(v)))), v) for v in wide.tolist()]
    assert np.array_equal(rounded(wide, format), expected)
    assert np.any(wide.astype(getattr(ml_dtypes, format.name)).astype(np.float64) != expected)


@pytest.mark.parametrize("format", FORMATS, ids=lambda f: f.name)
def test_formats_are_what_ml_dtypes_says(format):
    info = ml_dtypes.finfo(getattr(ml_dtypes, format.name))
    assert (format.bits, format.mantissa, format.largest) == (info.bits, info.nmant, float(info.max))
    assert 2.0**format.emin == float(info.smallest_normal)
    assert format.step(-format.depth) * 2.0**format.emax == float(info.smallest_subnormal)
    values = np.array([float(v) for v in oracle.decoded(format.name)]) / 2.0**format.emax
    h = np.diff(values) / 2
    every = set(zip((values[:-1] + h).tolist(), h.tolist(), strict=True))
    assert set(format.boundaries()) <= every
    worst = {step: min(m for m, s in every if s == step) for step in h.tolist()}
    assert {(m, h) for h, m in worst.items()} <= set(format.boundaries())  # the innermost of every gap is there


@pytest.mark.parametrize("format", [*FORMATS, INT8], ids=lambda f: f.name)
def test_elements_are_the_same_on_every_backend(format):
    values = [float(v) for v in (oracle.INT8 if format is INT8 else oracle.decoded(format.name))]
    x = np.linspace(-2, 2, 4001, dtype=np.float32)[1:-1] * np.float32(max(values) / format.top / 2.0**format.emax)
    expected = round_to(np, x, format)
    assert np.array_equal(round_to(torch, torch.from_numpy(x), format).numpy(), expected)
    assert np.array_equal(np.asarray(round_to(strict, strict.asarray(x), format)), expected)
    assert set(np.unique(np.abs(expected))) <= {v / 2.0**format.emax for v in values}
    assert np.abs(expected).max() == format.top  # beyond it: clamped


@given(x=st.floats(2.0**-140, 2.0**127, width=32), low=st.integers(-126, 0), high=st.integers(0, 127))
def test_power_of_two_is_exact(x, low, high):
    expected = 2.0 ** min(max(np.frexp(x)[1] - 1, low), high)
    assert power_of_two(np, np.array([x], np.float32), low, high)[0] == expected


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_power_of_two_at_every_exponent(dtype):
    info = np.finfo(dtype)
    exponents = np.arange(info.minexp, min(info.maxexp, 1023))
    for factor in (1.0, 2 - float(info.eps)):
        x = np.ldexp(dtype(factor), exponents).astype(dtype)
        assert np.array_equal(power_of_two(np, x, int(info.minexp), int(info.maxexp) - 1), np.ldexp(1.0, exponents))
    with np.errstate(invalid="ignore"):
        got = power_of_two(np, np.array([np.nan, np.inf], dtype), -14, 15)
    assert np.isnan(got[0])
    assert np.isinf(got[1])


@pytest.mark.parametrize("kind", MX)
def test_mx_scales_are_powers_of_two_and_exponents_stay_within_e8m0(kind):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((64, 32)) * 2.0 ** rng.integers(-100, 100, (64, 1))
    Q = kind(granularity=ms.PerSample())
    scale = Q.choose_qparams(x).scale
    assert np.all(np.frexp(scale)[0] == 0.5)
    assert np.array_equal(np.frexp(scale)[1], np.frexp(np.abs(x).max(axis=1, keepdims=True))[1])
    for size in (2.0**400, 2.0**-400):  # float64 reaches further than E8M0
        X = np.log2(Q.choose_qparams(x / np.abs(x).max() * size).scale) - Q.element.emax
        assert np.all(np.abs(X) <= 127)
        assert np.any(np.abs(X) == 127)


def test_mx_blocks_of_32_as_the_specification_has_them():
    """Every run of 32 has its own scale, so an outlier costs its run only."""
    x = np.random.default_rng(0).standard_normal((2, 96)).astype(np.float32)
    x[0, 40] = 1000.0
    whole = ms.MXFP4E2M1(granularity=ms.PerSample())
    grouped = ms.MXFP4E2M1()(x)
    assert np.array_equal(grouped, ms.MXFP4E2M1(granularity=ms.PerGroup(32))(x))
    for row in range(2):
        for start in (0, 32, 64):
            block = x[row : row + 1, start : start + 32]
            assert np.array_equal(grouped[row : row + 1, start : start + 32], whole(block))
    far = np.abs(grouped - x).max(axis=1)
    assert far[1] < 1
    assert np.array_equal(whole(x)[0, 64:], np.zeros(32))  # one scale per sample: nothing else is left


@pytest.mark.parametrize("kind", MX)
def test_mx_blocks_are_the_standards_by_default(kind):
    """Runs of 32 along the last axis, whatever the number of entries: c does not grow with it."""
    Q = kind()
    assert Q.granularity == ms.PerGroup(32, axis=-1)
    assert ms.quantizers.make(next(n for n, k in ms.QUANTIZERS.items() if k is kind)) == Q
    x = np.random.default_rng(0).standard_t(2, (3, 4096))
    assert Q.granularity.block_size(x.shape) == 32
    lost = np.sum((x - Q(x)) ** 2, axis=1) / np.sum(x**2, axis=1)
    assert np.all(lost <= Q.c(32))
    assert Q.c(32) < 0.11
    for shape in ((2, 5, 64), (8, 32)):  # tokens, the weight of a linear layer
        assert Q.choose_qparams(np.ones(shape)).scale.shape == (*shape[:-1], shape[-1] // 32, 1)


def test_mxfp4_with_one_scale_per_sample_is_what_it_was():
    assert ms.MXFP4E2M1().c(32) == pytest.approx(0.109, abs=5e-4)
    assert ms.MXFP4E2M1().c(4096) == pytest.approx(0.94, abs=5e-3)  # of 4096 entries that share a scale


def test_mx_of_another_length_says_what_to_do():
    with pytest.raises(ValueError, match=r"axis -1 of shape \(2, 100\) is not a multiple.*one of: granularity="):
        ms.MXFP4E2M1()(np.ones((2, 100)))
    x = np.random.default_rng(0).standard_normal((2, 64, 8, 8))
    with pytest.raises(ValueError, match=r"PerGroup\(32, axis=1\)"):
        ms.MXFP4E2M1()(x)
    channels = ms.MXFP4E2M1(granularity=ms.PerGroup(32, axis=1))
    moved = np.moveaxis(ms.MXFP4E2M1()(np.ascontiguousarray(np.moveaxis(x, 1, -1))), -1, 1)
    assert np.array_equal(channels(x), moved)


@pytest.mark.parametrize("kind", MX)
def test_mx_worst_cases_by_enumeration(kind):
    """Against a scan of pairs that knows nothing of the proof: a largest entry M and d-1 others at v."""
    Q = kind(granularity=ms.PerSample())
    fine = np.unique(np.concatenate([np.linspace(0, 2, 1025)[:-1], [2 - 2.0**-40], *(
        [m * (1 - 2.0**-50), m] for m, _ in Q.element.boundaries() if m > 2.0**-12)]))  # fmt: skip
    M, v = (a.ravel() for a in np.meshgrid(fine[fine >= 1], fine, indexing="ij"))
    M, v = M[v <= M], v[v <= M]
    lost = np.stack([M, v], axis=1) - Q(np.stack([M, v], axis=1))
    for d in (1, 2, 5, 32, 1000):
        scanned = np.max((lost[:, 0] ** 2 + (d - 1) * lost[:, 1] ** 2) / (M**2 + (d - 1) * v**2))
        assert scanned <= Q.c(d) * (1 + 1e-12)
        # tiny entries are left out of the scan: they matter where the format is fine and d is large
        assert scanned >= Q.c(d) * (1 - 1e-4) - d * 2.0**-24
        assert np.max(np.maximum(np.abs(lost[:, 0]), np.abs(lost[:, 1]) * (d > 1)) / M) == pytest.approx(
            Q.kappa(d), rel=1e-9
        )


def test_logarithmic_at_two_bits_is_absmax_and_its_levels_are_powers():
    x = np.random.default_rng(0).standard_normal((50, 9))
    assert np.array_equal(ms.Logarithmic(2)(x), ms.AbsMax(2)(x))
    for bits in (3, 5, 8):
        Q = ms.Logarithmic(bits)
        out = np.abs(Q(x)) / np.abs(x).max(axis=1, keepdims=True)
        levels = np.log2(out[out > 0])
        assert np.array_equal(levels, np.round(levels))
        assert levels.min() >= -(2 ** (bits - 1) - 2)
    tiny = np.array([[1.0, 0.26, 0.125, 0.12]])
    assert np.array_equal(ms.Logarithmic(3)(tiny), [[1.0, 0.25, 0.0, 0.0]])  # 3 bits: 0, 1/4, 1/2, 1; the tie goes to 0


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("kind", [ms.FP8E4M3, ms.FP8E5M2, *MX])
def test_short_floats_hold_the_grid(kind, dtype):
    """Values in units of the top binade: float16 holds the scale max/1.75; max/57344 would be 0 here."""
    x = (np.random.default_rng(0).standard_normal((8, 64)) * 2.0**-9).astype(dtype)
    Q = kind()
    bound = Q.kappa(64) + 16 * np.finfo(dtype).eps
    assert ratios(Q, x, norm="kappa").max() <= bound


def test_a_long_logarithm_stops_where_floats_do():
    Q = ms.Logarithmic(32)
    assert Q.format.depth == 1022
    x = np.array([[1.0, 2.0**-300, 3 * 2.0**-302]])
    assert np.array_equal(Q(x), [[1.0, 2.0**-300, 2.0**-300]])
    assert floats.Logarithmic(32).kappa(5) == 0.25
