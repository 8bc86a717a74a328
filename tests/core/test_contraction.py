"""c and kappa: declared against measured against searched; norms of layers against SVD, explicit sums and torch."""

from dataclasses import dataclass

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse.linalg import norm as sparse_norm

import modiff_sim as ms
from modiff_sim import contraction
from modiff_sim.quantizers import make
from modiff_sim.testing import arrays, hunt, quantizers

EPS = np.finfo(float).eps
DETERMINISTIC = [name for name, kind in ms.QUANTIZERS.items() if not kind.laws.randomised]


# -- ratios and measure ----------------------------------------


@given(x=arrays(dtypes=(np.float64,)), bits=st.integers(2, 6))
def test_ratios_equal_the_oracle(x, bits):
    got = {norm: contraction.ratios(ms.AbsMax(bits), x, norm=norm) for norm in contraction.NORMS}
    for i, row in enumerate(x.tolist()):
        error = reference.sub(row, reference.absmax(row, bits))
        size = sum(v * v for v in row)
        c = sum(v * v for v in error) / size if size else 0
        kappa = max(map(abs, error)) / max(map(abs, row)) if size else 0
        # an error is a difference of neighbours: off by 4 eps·max|x|, its square by twice that times the error
        assert abs(got["kappa"][i] - kappa) <= 8 * EPS
        assert abs(got["c"][i] - c) <= 16 * EPS * len(row) * (np.sqrt(c) + EPS)


@given(Q=quantizers(names=DETERMINISTIC, granularity=ms.PerSample()), x=arrays(dtypes=(np.float64,)))
def test_no_measured_ratio_exceeds_the_declared_one(Q, x):
    d = x.shape[1]
    for norm in contraction.NORMS:
        declared = getattr(Q, norm)(d)
        # as in modiff_sim.quantizers.laws: the scale, quotient and product round once each, relative to max|x|
        assert np.all(contraction.ratios(Q, x, norm=norm) <= declared + 32 * EPS * d)


def test_stochastic_rounding_respects_c_in_the_mean_only():
    """Over many draws the mean stays below c·(1 + 6 standard errors); single draws exceed it."""
    Q, d, n = ms.Stochastic(3), 17, 4000
    fraction = np.full((n, d), 0.4)
    fraction[:, 0] = Q.qmax  # near the worst case: one entry at qmax steps, the others at a fraction f of one
    values = contraction.ratios(Q, fraction, random=np.random.default_rng(0).random((n, d)))
    error = values.std() / np.sqrt(n)
    expected = (d - 1) * 0.4 * 0.6 / (Q.qmax**2 + (d - 1) * 0.4**2)
    assert abs(values.mean() - expected) <= 6 * error
    assert values.mean() <= Q.c(d) + 6 * error
    assert values.max() > Q.c(d)
    assert np.all(contraction.ratios(Q, fraction, norm="kappa", random=np.zeros((n, d))) <= Q.kappa(d))


def test_measure_summarises_its_values():
    x = np.random.default_rng(0).standard_normal((200, 32))
    m = contraction.measure(ms.AbsMax(3), x, seed=1)
    assert np.array_equal(m.values, contraction.ratios(ms.AbsMax(3), x))
    assert m.mean == m.values.mean()
    assert m.largest == m.values.max()
    assert m.low < m.mean < m.high
    again = contraction.measure(ms.AbsMax(3), x, seed=1)
    assert (again.low, again.high) == (m.low, m.high)
    narrow = contraction.measure(ms.AbsMax(3), x, seed=1, level=0.5)
    assert m.low < narrow.low
    assert narrow.high < m.high
    # the percentile bootstrap's half-width is the normal one, z·s/sqrt(n), to its own error of some 10 %
    assert (m.high - m.low) / 2 == pytest.approx(1.96 * m.values.std() / np.sqrt(200), rel=0.2)


def test_the_interval_covers_the_mean_about_as_often_as_it_says():
    """100 repetitions at 95 %: fewer than 84 covering has probability below 1e-4 even for a true coverage of 93 %."""
    rng = np.random.default_rng(0)
    truth = contraction.ratios(ms.AbsMax(3), rng.standard_normal((40000, 16))).mean()
    covered = 0
    for _ in range(100):
        m = contraction.measure(ms.AbsMax(3), rng.standard_normal((64, 16)), resamples=300)
        covered += m.low <= truth <= m.high
    assert covered >= 84


def test_the_papers_typical_values_come_back():
    """PAPER 2.3: c of absmax at d = 131072, normal entries, is .94, .21, .038 at 2, 3, 4 bits (single draws)."""
    x = np.random.default_rng(0).standard_normal((4, 131072))
    for bits, typical in ((2, 0.94), (3, 0.21), (4, 0.038)):
        assert contraction.ratios(ms.AbsMax(bits), x).mean() == pytest.approx(typical, rel=0.15)


# -- search ----------------------------------------


def searched():
    """From one entry to a hundred thousand, or a million. Where a format decides its bits, some in the tail."""
    for name, kind in ms.QUANTIZERS.items():
        for bits, d in [(3, 1), (2, 2), (4, 9), (3, 33), (4, 1000), (2, 10**6 if name == "absmax" else 10**5)]:
            if not kind.laws.randomised and (d < 1000 or make(name).laws.c == "tight"):
                rest = kind.fixed_bits is not None and d in (9, 1000)
                yield pytest.param(name, bits, d, marks=[pytest.mark.slow] if rest else [])


@pytest.mark.parametrize(("name", "bits", "d"), list(searched()))
def test_search_attains_what_is_declared_tight_and_never_exceeds(name, bits, d):
    """Above: the slack of modiff_sim.quantizers.laws, as in the test above."""
    Q = make(name, bits, granularity=ms.PerSample())  # all d entries share a scale
    for norm in contraction.NORMS:
        declared, tight = getattr(Q, norm)(d), getattr(Q.laws, norm) == "tight"
        rounds = 4 if name.startswith("mx") else 1  # the others are found at once
        found = contraction.search(Q, d, norm=norm, rounds=rounds, tries=12 if tight else 2)
        assert found.value <= declared + 32 * EPS * d
        assert found.x.shape == (1, d)
        assert contraction.ratios(Q, found.x, norm=norm)[0] == found.value  # the input is the proof
        if tight:
            assert found.value >= declared * (1 - 1e-6), f"{norm}: found {found.value} of {declared}"


@pytest.mark.parametrize("name", ["absmax", "minmax", "mxfp4_e2m1", "mid_rise"])
@pytest.mark.parametrize("seed", [1, 2])  # 0 is the default, and everywhere else
def test_search_does_not_depend_on_luck(name, seed):
    Q = make(name, 4)
    for d in (3, 6, 100):
        assert contraction.search(Q, d, seed=seed).value == pytest.approx(Q.c(d), rel=1e-6)
    assert contraction.search(Q, 64, tries=1, rounds=8, seed=seed).value > Q.c(64) / 2


def test_search_finds_a_halved_declaration_out():
    """Negative control: were c half of what it is, the search would exceed it."""
    for Q in (ms.AbsMax(3), ms.MinMax(3), ms.FP8E4M3(), ms.MXFP4E2M1()):
        assert contraction.search(Q, 16).value > Q.c(16) / 2 + 1e-3
        assert contraction.search(Q, 16, norm="kappa").value > Q.kappa(16) / 2 + 1e-3


def test_search_speaks_of_a_block_whatever_the_granularity():
    for granularity in (ms.PerBatch(), ms.PerGroup(32), ms.PerToken()):
        Q = ms.MXFP4E2M1(granularity=granularity)
        assert contraction.search(Q, 32).value == pytest.approx(Q.c(32), rel=1e-6)


def test_polishing_gains_where_the_worst_case_is_on_no_boundary():
    """MSE-optimal clipping: two ratios are equally good there, and no code changes. Elsewhere it changes nothing."""
    Q = ms.MSEClip(4)
    plain, polished = (contraction.search(Q, 40, tries=4, rounds=2, polish=p) for p in (False, True))
    assert plain.value * 1.001 < polished.value < Q.c(40)
    assert contraction.search(ms.AbsMax(3), 40, polish=True).value == pytest.approx(ms.AbsMax(3).c(40), rel=1e-9)


@dataclass(frozen=True, kw_only=True)
class Softened(ms.AbsMax):
    """A user's quantizer with a smooth loss: entries shrink by up to 30 %, most at 0.6 of the largest one."""

    def dequantize(self, codes, qparams):
        return codes

    def quantize(self, blocks, qparams, *, random=None):
        size = np.abs(blocks) / (qparams.scale * self.qmax)
        return blocks * (1 - 0.3 * np.exp(-(((size - 0.6) / 0.1) ** 2)))


def test_search_and_hunt_find_a_smooth_worst_case():
    """No code boundary anywhere: the maximum is inside, known by a fine scan; the polish makes it exact."""
    v = np.linspace(0, 1, 200_001)
    lost = 0.3 * v * np.exp(-(((v - 0.6) / 0.1) ** 2))
    for d in (2, 50, 10**5):
        c = np.max((d - 1) * lost**2 / (1 + (d - 1) * v**2))
        assert contraction.search(Softened(3), d, polish=True).value == pytest.approx(c, rel=1e-5)
        if d == 50:
            assert 0.8 * c < hunt(Softened(3), d).value <= c * (1 + 1e-9)


@pytest.mark.parametrize(("name", "least"), [("absmax", 0.8), ("mxfp4_e2m1", 0.4)])
def test_hunt_comes_near_what_is_declared_and_never_exceeds(name, least):
    Q = make(name, 3, granularity=ms.PerSample())
    for norm, d in (("c", 10**4), ("kappa", 2)):
        declared, found = getattr(Q, norm)(d), hunt(Q, d, norm=norm)
        assert least * declared <= found.value <= declared + 32 * EPS * d
        assert found.x.shape == (1, d)
        assert contraction.ratios(Q, found.x, norm=norm)[0] == found.value


# -- norms of layers ----------------------------------------


@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_linear_norms(rows, columns, seed):
    W = np.random.default_rng(seed).standard_normal((rows, columns))
    spectral, row_sum = contraction.linear_norms(W)
    assert spectral == pytest.approx(np.linalg.svd(W, compute_uv=False)[0], rel=1e-12)
    assert row_sum == pytest.approx(max(sum(abs(v) for v in row) for row in W.tolist()), rel=1e-14)
    worst = np.sign(W[np.argmax(np.abs(W).sum(axis=1))])  # attains the row sum in the max norm
    assert np.abs(W @ worst).max() == pytest.approx(row_sum, rel=1e-14)


CONVOLUTIONS = [
    # spatial size, kernel, in, out, options
    ((6,), (3,), 2, 4, {}),
    ((7,), (3,), 2, 3, {"stride": 2, "padding": 1}),
    ((9,), (2,), 4, 4, {"dilation": 3, "groups": 2}),
    ((5, 6), (3, 3), 2, 3, {"padding": 1}),
    ((6, 5), (3, 2), 2, 4, {"stride": 2, "padding": 1, "dilation": 2}),
    ((4, 4), (3, 3), 4, 4, {"padding": 1, "groups": 4}),
    ((6, 6), (3, 3), 6, 4, {"stride": 3, "padding": 2, "groups": 2}),
    ((3, 3), (1, 1), 3, 5, {}),
]


@pytest.mark.parametrize(("size", "kernel", "into", "out", "options"), CONVOLUTIONS)
def test_conv_matrix_is_torchs_convolution(size, kernel, into, out, options):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    W = rng.integers(-4, 5, (out, into // options.get("groups", 1), *kernel)).astype(float)
    x = rng.integers(-4, 5, (2, into, *size)).astype(float)
    convolve = torch.nn.functional.conv1d if len(size) == 1 else torch.nn.functional.conv2d
    expected = convolve(torch.from_numpy(x), torch.from_numpy(W), **options).numpy()
    M = contraction.conv_matrix(W, size, **options)
    got = np.stack([M @ row.ravel() for row in x]).reshape(expected.shape)
    assert np.array_equal(got, expected)  # small integers: every sum is exact
    assert M.nnz <= expected[0].size * W[0].size

    spectral, row_sum = contraction.conv_norms(W, size, **options)
    # svds stops at machine precision relative to the largest singular value; dense SVD likewise
    assert spectral == pytest.approx(np.linalg.svd(M.toarray(), compute_uv=False)[0], rel=1e-9)
    assert row_sum == np.abs(M.toarray()).sum(axis=1).max()


def test_conv_norms_of_a_matrix_that_is_not_small():
    """Above 64 rows the iterative SVD is used: same answer, every time, and between max|row| and Frobenius."""
    W = np.random.default_rng(1).standard_normal((4, 3, 3, 3))
    M = contraction.conv_matrix(W, (8, 8), padding=1)
    assert min(M.shape) > 64
    spectral, row_sum = contraction.conv_norms(W, (8, 8), padding=1)
    assert spectral == pytest.approx(np.linalg.svd(M.toarray(), compute_uv=False)[0], rel=1e-9)
    assert contraction.conv_norms(W, (8, 8), padding=1) == (spectral, row_sum)
    assert spectral < sparse_norm(M)
    assert row_sum == pytest.approx(np.abs(W).sum(axis=(1, 2, 3)).max(), rel=1e-14)  # the kernel's, where it fits


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: contraction.ratios(ms.AbsMax(3), np.ones((2, 2)), norm="two"), "unknown norm 'two'; known: c, kappa"),
        (lambda: contraction.measure(ms.AbsMax(3), np.ones((1, 4))), "at least 2 blocks"),
        (lambda: contraction.search(ms.Stochastic(3), 4), "deterministic"),
        (lambda: contraction.search(ms.AbsMax(3), 0), "d must be an int >= 1"),
        (lambda: contraction.search(ms.AbsMax(3), 2, norm="max"), "unknown norm 'max'; known: c, kappa"),
        (lambda: contraction.search(ms.AbsMax(3), 2, tries=0), "tries must be an int >= 1"),
        (lambda: hunt(ms.Stochastic(3), 4), "deterministic"),
        (lambda: contraction.summary([1.0]), "at least 2 blocks"),
        (lambda: contraction.linear_norms(np.ones(3)), r"shape \(out, in\)"),
        (lambda: contraction.linear_norms(np.ones((0, 3))), r"shape \(out, in\)"),
        (lambda: contraction.conv_matrix(np.ones((1, 1, 3)), (4, 4)), "matching size"),
        (lambda: contraction.conv_matrix(np.ones((1, 1, 3, 3, 3)), (4, 4, 4)), "1 or 2 spatial axes"),
        (lambda: contraction.conv_matrix(np.ones((3, 1, 3)), (4,), groups=2), "cannot be split into 2 groups"),
        (lambda: contraction.conv_matrix(np.ones((1, 1, 5)), (4,)), "does not fit"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_what_cannot_be_searched_is_told_what_can_be_called_and_can_be():
    Q, x = ms.Custom(lambda x: np.round(x), kappa=1.0), np.random.default_rng(0).standard_normal((8, 4))
    with pytest.raises(TypeError, match=r"contraction\.measure\(Q, x, norm='kappa'\).*testing\.hunt\(Q, d, norm='ka"):
        contraction.search(Q, 4, norm="kappa")
    assert 0 < contraction.measure(Q, x, norm="kappa").largest <= Q.kappa(4)
    assert 0 < hunt(Q, 4, norm="kappa", examples=20).value <= Q.kappa(4)
    with pytest.raises(ValueError, match=r"contraction\.measure\(Q, x, norm='c', random=\.\.\.\)"):
        contraction.search(ms.Stochastic(3), 4)
    for look in (contraction.search, hunt):
        with pytest.raises(ValueError, match=r"search each of Q\.quantizers"):
            look(ms.Split(ms.AbsMax(3), at=(2,)), 4)


def test_one_block_has_ratios_but_no_interval():
    assert contraction.ratios(ms.AbsMax(3), np.array([[1.0, 0.5]])).shape == (1,)
    assert contraction.ratios(ms.AbsMax(3), np.zeros((2, 3))).tolist() == [0, 0]
    assert contraction.search(ms.AbsMax(3), 1).value <= 16 * EPS**2  # one entry: on the grid
