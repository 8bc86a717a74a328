"""Streaming statistics against NumPy on the kept values; the recorder against the recursion."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from models import small, walk

import modiff_sim as ms
from modiff_sim import recursion as rec
from modiff_sim.contraction import ratios
from modiff_sim.nn import modulated, record
from modiff_sim.nn.measure.histogram import BINS, Histogram, Streaming, counted

PARTS = st.lists(
    hnp.arrays(np.float64, st.integers(1, 40), elements=st.integers(-(2**20), 2**20).map(lambda i: i / 1024)),
    min_size=1,
    max_size=5,
)


@given(PARTS)
def test_streaming_equals_numpy_on_all_values(parts):
    stream = Streaming()
    for part in parts:
        stream.add(torch.from_numpy(part))
    x = np.concatenate(parts)
    off = x - x.mean()
    # merged central moments cancel: k·eps of the moment about zero, k = 64 for the few dozen operations of a merge
    eps = 64 * len(parts) * np.finfo(float).eps
    size = max(np.abs(x).max(), 1e-300)
    assert stream.count == len(x) == stream.counts.sum()
    assert (stream.low, stream.high) == (x.min(), x.max())
    assert stream.mean == pytest.approx(x.mean(), abs=eps * size)
    for value, power in ((stream.m2, 2), (stream.m3, 3), (stream.m4, 4)):
        assert value == pytest.approx((off**power).sum(), abs=eps * len(x) * size**power)
    levels = [0, 0.1, 0.5, 0.9, 1]
    ranks = np.quantile(x, levels, method="inverted_cdf"), np.quantile(x, levels, method="higher")
    got = stream.quantiles(levels)
    assert np.all(got >= np.minimum(*ranks) - stream.bin_width)
    assert np.all(got <= np.maximum(*ranks) + stream.bin_width)


def test_quantiles_of_many_values_are_within_one_bin():
    x = np.random.default_rng(0).standard_t(3, 100_000)
    stream = Streaming()
    for part in np.split(x, 10):
        stream.add(torch.from_numpy(part))
    levels = np.array([0.001, 0.01, 0.25, 0.5, 0.75, 0.99, 0.999])
    assert np.all(np.abs(stream.quantiles(levels) - np.quantile(x, levels)) <= stream.bin_width)
    assert stream.kurtosis > 5  # long tails
    wrong = Streaming()  # negative control: a stream that lost its last part
    for part in np.split(x, 10)[:-1]:
        wrong.add(torch.from_numpy(part))
    assert wrong.count != stream.count
    assert wrong.mean != stream.mean


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("exponent", [-140, -20, 0, 9, 120])
def test_bins_are_exact_beside_their_edges(dtype, exponent):
    """Each value in the bin floor(x·BINS/2R), by float64: edges, and the nearest numbers on both sides of them."""
    edges = torch.arange(-BINS // 2, BINS // 2 + 1, dtype=torch.float64) * 2.0**exponent / (BINS // 2)
    edges = edges.to(dtype)
    x = torch.cat([edges, torch.nextafter(edges, -edges.sign()), torch.nextafter(edges, 2 * edges)])
    x = x[x.isfinite() & (x.abs() <= 2.0**exponent)]
    places = np.floor(np.ldexp(x.double().numpy(), 9 - exponent)).astype(int) + BINS // 2
    assert np.array_equal(counted(x, exponent), np.bincount(np.minimum(places, BINS - 1), minlength=BINS))


def test_a_histogram_has_no_moments_to_merge():
    kept = Histogram()
    kept.add(torch.tensor([-1.0, 3.0]))
    with pytest.raises(TypeError, match="no moments"):
        Streaming().merge(kept)


def test_zeros_and_errors():
    stream = Streaming()
    with pytest.raises(ValueError, match="no values"):
        stream.quantiles([0.5])
    stream.add(torch.zeros(5))
    assert stream.quantiles([0, 0.5, 1]).tolist() == [0, 0, 0]
    assert np.isnan(stream.kurtosis)
    stream.add(torch.ones(5))
    assert stream.quantiles([0, 1]).tolist() == [0, 1]
    with pytest.raises(ValueError, match=r"in \[0, 1\]"):
        stream.quantiles([1.5])


def expected(inputs, Q):
    """Per call: a, d, r of a closed loop, by the recursion itself."""
    states = [state for state, _ in rec.run("closed_loop", inputs, Q)]
    for call, a in enumerate(inputs):
        yield {"a": a} | ({"d": a - inputs[call - 1], "r": a - states[call - 1].ref} if call else {})


def test_recorder_equals_the_recursion_on_the_same_inputs():
    model, Q = small(), ms.AbsMax(3)
    inputs = list(walk(5))
    with record(model, Q) as log:
        for x in inputs:
            model(x)
    assert log.layers == ["first", "second", "head", "head#1"]  # the head is used twice per model call
    assert log.calls == 5
    for call, parts in enumerate(expected(inputs, Q)):
        for q, x in parts.items():
            entry = log.stats["first", call, q]
            flat = x.numpy()
            assert entry.values.absmax == np.abs(flat).max()
            assert entry.values.variance == pytest.approx(flat.var(), rel=1e-10)
            assert np.allclose(entry.ratio("c"), ratios(Q, flat), rtol=1e-10, atol=0)
            assert np.allclose(entry.ratio("kappa"), ratios(Q, flat, norm="kappa"), rtol=1e-10, atol=0)
            assert np.allclose(entry.norm, np.linalg.norm(flat.reshape(3, -1), axis=1))
    assert ("first", 0, "d") not in log.stats
    assert np.isnan(log.table("d", "absmax")[0, 0])
    assert log.table("r", "kappa", reduce=np.max)[:, 1:].max() <= Q.kappa(128) * (1 + 1e-12)


def test_inside_modulated_the_residual_is_the_quantized_one():
    model, Q, seen = small(), ms.AbsMax(3), []
    with modulated(model, activations=Q, where=lambda n, m: n == "first") as run, record(model, Q) as log:
        run.observers.append(lambda name, call, a, info: seen.append(info.residual))
        for x in walk(5):
            model(x)
    for call in range(1, 5):
        assert log.stats["first", call, "r"].values.absmax == float(seen[call].abs().max())


def test_batches_are_merged_after_reset():
    model, Q = small(), ms.AbsMax(3)
    with record(model, Q) as log:
        for seed in (0, 1):
            log.reset()
            for x in walk(3, seed=seed):
                model(x)
        with pytest.raises(ValueError, match=r"shape changed .* reset\(\)"):
            model(next(walk(1, batch=7)))
    assert log.stats["first", 2, "d"].values.count == 2 * 3 * 2 * 64
    assert log.stats["first", 2, "d"].ratio("c").shape == (6,)
    assert not model.first._forward_pre_hooks


def test_bad_input():
    model = small()
    with pytest.raises(ValueError, match="deterministic"), record(model, ms.Stochastic(3)):
        pass
    with pytest.raises(ValueError, match="to record"), record(model, ms.AbsMax(3), where=lambda n, m: False):
        pass
    with record(model, ms.AbsMax(3)) as log, pytest.raises(ValueError, match="layer 'first', call 0: NaN"):
        model(torch.full((1, 2, 8, 8), torch.nan, dtype=torch.float64))
    assert not log.stats
    with pytest.raises(ValueError, match="known: a, d, r"):
        log.table("x", "c")
