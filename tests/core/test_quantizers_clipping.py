"""Grids that clip (percentile, MSE-optimal) and variants of the symmetric grid: mid-rise, ties away, dead zone."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import modiff_sim as ms
from modiff_sim.contraction import ratios
from modiff_sim.quantizers import worst_case as closed_form
from modiff_sim.testing import arrays

EPS = np.finfo(float).eps
ROWS = st.tuples(st.integers(1, 4), st.integers(1, 40))


# -- the closed form ----------------------------------------


@given(
    top=st.floats(0.5, 64),
    gaps=st.lists(st.floats(2.0**-6, 1), min_size=1, max_size=8),
    d=st.sampled_from([1, 2, 3, 17, 1000]),
)
def test_the_closed_form_bounds_and_is_attained_by_any_symmetric_grid(top, gaps, d):
    """A random grid, nearest level, against random entries and against its own boundaries."""
    levels = np.concatenate([[0.0], np.cumsum(gaps)])
    levels = levels / levels[-1] * top
    middle, half = (levels[1:] + levels[:-1]) / 2, np.diff(levels) / 2
    boundaries = list(zip(middle.tolist(), half.tolist(), strict=True))
    c, kappa = closed_form.sup_c(d, boundaries, top), closed_form.sup_kappa(d, boundaries, top)

    def lost(v):
        return np.abs(np.abs(v)[..., None] - levels).min(axis=-1)

    x = np.random.default_rng(0).uniform(-top, top, (64, d))
    x[::2] = np.random.default_rng(1).choice(middle, (32, d)) if d > 1 else top
    x[:, 0] = top
    slack = 8 * EPS * d
    assert np.all(np.sum(lost(x) ** 2, axis=1) <= (c + slack) * np.sum(x**2, axis=1))
    assert np.all(lost(x).max(axis=1) <= (kappa + slack) * top)
    if d > 1:
        worst = [np.full(d, m) for m in middle]
        for row in worst:
            row[0] = top
        attained = [np.sum(lost(row) ** 2) / np.sum(row**2) for row in worst]
        assert max(attained) == pytest.approx(c, rel=1e-9)
        assert max(np.max(lost(row)) for row in worst) / top == pytest.approx(kappa, rel=1e-9)


def test_the_closed_form_gives_the_known_formulas():
    for bits in (2, 3, 4, 8):
        qmax = 2 ** (bits - 1) - 1
        for d in (1, 2, 36, 4096, 10**6):
            assert ms.AbsMax(bits).c(d) == pytest.approx((d - 1) / (d - 1 + 4 * qmax**2), rel=4 * EPS, abs=0)
            assert ms.MidRise(bits).c(d) == pytest.approx((d - 1) / (2**bits - 1) ** 2, rel=4 * EPS, abs=0)
            assert (ms.HalfAway(bits).c(d), ms.HalfAway(bits).kappa(d)) == (
                ms.AbsMax(bits).c(d),
                ms.AbsMax(bits).kappa(d),
            )
    assert ms.FP8E4M3().kappa(2) == 1 / 28
    assert ms.FP8E5M2().kappa(2) == 1 / 14
    assert ms.FP8E4M3().c(7 * 10**8) < 1 / 289 < ms.FP8E4M3().c(8 * 10**8)
    assert ms.Logarithmic(8).c(10**6) == pytest.approx(1 / 9, rel=1e-5)
    # dead zone: below half a step it is absmax
    assert ms.DeadZone(3, threshold=0.1).c(50) == pytest.approx(ms.AbsMax(3).c(50), rel=4 * EPS)
    assert ms.DeadZone(8, threshold=0.5).kappa(2) == 0.5


@pytest.mark.parametrize("bits", [1, 2, 3, 8])
@pytest.mark.parametrize("d", [2, 3, 10, 1000])
def test_floor_worst_case_formula(bits, d):
    """max(2(d-1)/(N²+1), (2d-3)/N²): attained in the limit by the two inputs of its proof, exceeded by none."""
    Q, N, tiny = ms.Floor(bits, floor=0.0), 2**bits - 1, 2.0**-40
    rows = []
    for low in (-N / 2 - tiny / 4, -(N - 1) / 2 - tiny, -(N + 1) / 2 + tiny, -N / 2):
        row = np.full(d, -tiny)
        row[0], row[1] = low, low + N
        rows.append(row)
    found = ratios(Q, np.stack(rows))
    assert found.max() == pytest.approx(Q.c(d), rel=1e-6)
    assert np.all(found <= Q.c(d) * (1 + 1e-12))
    assert ratios(Q, np.stack(rows), norm="kappa").max() == pytest.approx(Q.kappa(d), rel=1e-6)


# -- variants of the symmetric grid ----------------------------------------


def test_mid_rise_has_no_zero_level():
    Q = ms.MidRise(2)
    assert np.array_equal(Q(np.array([[3.0, 1.0, 0.5, 0.0, -0.5, -3.0]])), [[3.0, 1.0, 1.0, 1.0, -1.0, -3.0]])
    assert np.array_equal(Q(np.zeros((2, 3))), np.zeros((2, 3)))
    assert np.array_equal(ms.MidRise(1)(np.array([[2.0, -0.1]])), [[2.0, -2.0]])
    for bits in (2, 3):  # one large entry and zeros: more error than signal from d - 1 > (2^b-1)² on
        N = 2**bits - 1
        for d, gains in ((N**2 + 1, False), (N**2 + 2, True)):
            x = np.zeros((1, d))
            x[0, 0] = 1.0
            assert (ratios(ms.MidRise(bits), x)[0] > 1 + 8 * EPS * d) == gains
            assert (ms.MidRise(bits).c(d) > 1) == gains


def test_ties_go_away_from_zero_and_the_float_below_a_tie_does_not():
    Q = ms.HalfAway(4)
    below = np.nextafter(0.5, 0)
    x = np.array([[7.0, 0.5, -0.5, 1.5, 2.5, -2.5, below, -below]])
    assert np.array_equal(Q(x), [[7.0, 1.0, -1.0, 2.0, 3.0, -3.0, 0.0, 0.0]])
    assert math.floor(below + 0.5) == 1  # what the obvious formula would make of it
    assert np.array_equal(ms.AbsMax(4)(x), [[7.0, 0.0, 0.0, 2.0, 2.0, -2.0, 0.0, 0.0]])


@given(x=arrays(shapes=ROWS, dtypes=[np.float64]), threshold=st.floats(0, 0.9))
def test_dead_zone_zeroes_what_is_small_and_nothing_else(x, threshold):
    out = ms.DeadZone(8, threshold=threshold)(x)
    top = np.abs(x).max(axis=1, keepdims=True)
    assert np.all(out[np.abs(x) <= threshold * top * (1 - 4 * EPS)] == 0)
    kept = np.abs(x) > threshold * top * (1 + 4 * EPS)
    assert np.array_equal(out[kept], ms.AbsMax(8)(x)[kept])


# -- clipping ----------------------------------------


@given(x=arrays(shapes=ROWS), bits=st.integers(2, 6), percentile=st.floats(5, 100))
def test_percentile_is_absmax_of_the_clipped_input(x, bits, percentile):
    """Q(x) = absmax(clip(x, ±end)) with the end of rank ⌈p·d/100⌉, wherever that is not 0; a few eps for the scale."""
    Q = ms.Percentile(bits, percentile=percentile)
    end = np.sort(np.abs(x), axis=1)[:, Q.rank(x.shape[1]) - 1 :][:, :1]
    end = np.where(end == 0, np.abs(x).max(axis=1, keepdims=True), end)
    assert np.array_equal(Q(x), ms.AbsMax(bits)(np.clip(x, -end, end)))


def test_percentile_ranks():
    assert [ms.Percentile(4, percentile=99.9).rank(d) for d in (1, 999, 1000, 1001, 2000)] == [1, 999, 999, 1000, 1998]
    assert [ms.Percentile(4, percentile=p).rank(10) for p in (1e-6, 10, 11, 90, 100)] == [1, 1, 2, 9, 10]
    Q = ms.Percentile(4)
    assert (Q.c(50), Q.c(101), Q.kappa(101)) == (ms.AbsMax(4).c(50), 1.0, 1.0)
    sparse = np.zeros((1, 200))
    sparse[0, 0] = 3.0
    assert np.array_equal(Q(sparse), sparse)  # the percentile is 0: the grid reaches the maximum


@given(x=arrays(shapes=ROWS, dtypes=[np.float64]), bits=st.integers(2, 6), candidates=st.integers(1, 16))
def test_mse_takes_the_best_of_its_ratios(x, bits, candidates):
    """Per row the squared error is the smallest over the ratios, each computed here by clipping and absmax codes."""
    Q, qmax = ms.MSEClip(bits, candidates=candidates), 2 ** (bits - 1) - 1
    top = np.abs(x).max(axis=1, keepdims=True)
    errors = []
    for k in range(1, candidates + 1):
        s = np.where(top > 0, top * k / candidates / qmax, 1.0)
        errors.append(np.sum((x - s * np.clip(np.round(x / s), -qmax, qmax)) ** 2, axis=1))
    best, absmax = np.min(errors, axis=0), errors[-1]
    got = np.sum((x - Q(x)) ** 2, axis=1)
    slack = (
        64 * EPS * x.shape[1] * top[:, 0] ** 2
    )  # two sums of d squares in different orders, each entry off by eps·top
    assert np.all(got <= best + slack)
    assert np.all(got <= absmax + slack)


def test_mse_is_better_on_typical_data_and_worse_in_the_max_norm():
    x = np.random.default_rng(0).standard_normal((16, 4096))
    for bits, gain in ((2, 3.0), (3, 2.0), (4, 1.2)):
        better = ratios(ms.AbsMax(bits), x).mean() / ratios(ms.MSEClip(bits), x).mean()
        assert better > gain
        assert ratios(ms.MSEClip(bits), x, norm="kappa").max() > 1.4 * ms.AbsMax(bits).kappa(4096)


@pytest.mark.parametrize("shape", [(3, 7), (2, 3, 4, 5)])
@pytest.mark.parametrize(
    "granularity", [ms.PerBatch(), ms.PerSample(), ms.PerChannel(1), ms.PerChannel((0, 1)), ms.PerToken()], ids=str
)
@pytest.mark.parametrize("kind", [ms.MSEClip, ms.Percentile])
def test_clipping_by_blocks_equals_clipping_block_by_block(kind, granularity, shape):
    """Axes are moved for sorting and summing: every block gets the scale it gets on its own."""
    options = {"percentile": 70.0} if kind is ms.Percentile else {}
    x = np.random.default_rng(0).standard_t(2, shape)
    whole = kind(3, granularity=granularity, **options)(x)
    blocks, axes = granularity.blocked(shape)
    kept = [i for i in range(len(blocks)) if i not in axes]
    for index in np.ndindex(*[blocks[i] for i in kept]):
        place = tuple(index[kept.index(i)] if i in kept else slice(None) for i in range(len(blocks)))
        block = np.reshape(x, blocks)[place].reshape(1, -1)
        assert np.array_equal(np.reshape(whole, blocks)[place].reshape(1, -1), kind(3, **options)(block))


@pytest.mark.parametrize("kind", [ms.MSEClip, ms.Percentile])
def test_nan_and_inf_are_seen_though_the_scale_does_not_need_them(kind):
    x = np.ones((1, 300))
    for bad in (np.nan, np.inf, -np.inf):
        x[0, 7] = bad
        with np.errstate(invalid="ignore"), pytest.raises(ValueError, match="1 of 300 entries are NaN or Inf"):
            kind(3)(x)


def test_saturation_is_counted_where_entries_are_clipped():
    """In a modulated layer: of 200 entries one lies beyond the 99th percentile's grid by more than half a step."""
    from modiff_sim.nn import modulated

    whole = ms.MXFP4E2M1(granularity=ms.PerSample())  # 200 is no multiple of its blocks of 32
    x = torch.linspace(0.5, 1, 200)[None]
    x[0, 0] = 40.0
    model = torch.nn.Sequential(torch.nn.Linear(200, 2))
    for Q, share in ((ms.Percentile(4), 1 / 200), (whole, 0.0), (ms.AbsMax(4), None)):
        with modulated(model, activations=Q, recursion="direct") as run:
            model(x)
        row = run.audit().layers[0].row()
        assert row["saturated_share"] == (share if share is not None else 0.0)
    x[0, 0] = 7.9  # MXFP4: the largest value is 6
    with modulated(model, activations=whole, recursion="direct") as run:
        model(x)
    assert run.audit().layers[0].row()["saturated_share"] == 1 / 200


def test_torch_takes_the_same_choice():
    """The sums that decide are halved in the same order on every backend: bit for bit on long rows, too."""
    x = np.random.default_rng(0).standard_t(3, (64, 333)).astype(np.float32)
    for bits in (2, 3, 4):
        assert np.array_equal(ms.MSEClip(bits)(torch.from_numpy(x)).numpy(), ms.MSEClip(bits)(x))
