"""The law each input process states, and what it refuses.

Statistical tolerances are k standard errors with k = 6 (two-sided probability 2e-9 under a normal law), from a fixed
seed; the standard error of a variance estimated from n normal numbers is variance·sqrt(2/n).
"""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import modiff_sim as ms
from modiff_sim import bounds, processes
from modiff_sim.testing import sequences

K = 6


def drawn(process, steps, trials, seed=0):
    """The whole sequence, (steps, trials, d)."""
    return np.stack(list(process.stream(np.random.default_rng(seed), trials, steps)))


def assert_variance(values, expected):
    n = values.size
    assert abs(values.var() - expected) <= K * expected * np.sqrt(2 / n)
    assert abs(values.mean()) <= K * np.sqrt(expected / n)


def example(name, d=4):
    special = {
        "adversarial": lambda: processes.adversarial(ms.AbsMax(3), d, candidates=4),
        "recorded": lambda: processes.recorded(np.random.default_rng(0).standard_normal((6, 3, d))),
    }
    return special.get(name, lambda: processes.PROCESSES[name](d))()


@pytest.mark.parametrize("name", processes.PROCESSES)
def test_every_process_streams_what_it_says(name):
    process = example(name)
    rows = list(process.stream(np.random.default_rng(1), 3, 5))
    assert [(row.shape, row.dtype) for row in rows] == [((3, process.d), np.dtype(np.float64))] * 5
    assert np.isfinite(rows).all()
    again = drawn(process, 5, 3, seed=1)
    assert np.array_equal(rows, again)  # the generator decides everything
    first = drawn(process, 3, 3, seed=1)
    assert np.array_equal(first, again[:3])  # and a shorter sequence is the beginning of a longer one
    rng = np.random.default_rng(2)
    before, other = rng.bit_generator.state, list(process.stream(rng, 3, 5))
    assert (before == rng.bit_generator.state) == np.array_equal(again, other)  # where it is drawn from
    assert (name not in ("alternating", "recorded")) or np.array_equal(again, other)


def test_random_walk_has_independent_stationary_differences():
    a = drawn(processes.random_walk(16, sigma=0.5, start=3), 30, 400)
    d = np.diff(a, axis=0)
    assert_variance(a[0], 9)
    for k in (0, 14, 28):
        assert_variance(d[k], 0.25)
    assert abs(np.mean(d[:-1] * d[1:])) <= K * 0.25 / np.sqrt(d[1:].size)  # uncorrelated: products of variance 0.25²
    assert_variance(a[-1] - a[0], 29 * 0.25)


@pytest.mark.parametrize("phi", [0.9, 0.0, -0.5])
def test_ar1_is_stationary(phi):
    a = drawn(processes.ar1(16, phi=phi, sigma=2), 25, 600)
    for k in (0, 1, 24):
        assert_variance(a[k], 4)
    product = np.mean(a[1:6:2] * a[:5:2])
    n = a[1:6:2].size / (1 + abs(phi)) * (1 - abs(phi))  # neighbouring products of one entry are dependent
    assert abs(product - 4 * phi) <= K * 4 * np.sqrt((1 + phi**2) / n)


def test_ar1_at_the_ends_of_its_range():
    held = drawn(processes.ar1(3, phi=1.0), 4, 5)
    assert np.array_equal(held, np.repeat(held[:1], 4, axis=0))
    flipped = drawn(processes.ar1(3, phi=-1.0), 3, 5)
    assert np.array_equal(flipped[1], -flipped[0])


@pytest.mark.parametrize("ratio", [0.5, 0.9, 1.2])
def test_geometric_differences_shrink_by_their_ratio(ratio):
    a = drawn(processes.geometric(16, ratio=ratio, sigma=1.5, start=0), 12, 500)
    for k in range(1, 12):
        assert_variance(a[k] - a[k - 1], (1.5 * ratio**k) ** 2)


@given(at=st.lists(st.integers(1, 8), min_size=1, max_size=4))
def test_burst_moves_at_its_calls_only(at):
    a = drawn(processes.burst(3, at=at), 9, 2)
    moved = {k for k in range(1, 9) if not np.array_equal(a[k], a[k - 1])}
    assert moved == set(at)


@pytest.mark.parametrize("bits", range(2, 9))
@pytest.mark.parametrize("d", [2, 5])
def test_alternating_attains_the_max_norm_bound_at_every_call(bits, d):
    steps = 60
    Q = ms.AbsMax(bits)
    r = ms.simulate(processes.alternating(d, bits=bits), Q, steps=steps, trials=1)
    bound = bounds.max_norm_closed_loop(r.d_inf[1:], Q.kappa(d))
    assert np.allclose(r.d_inf[1:], 1, rtol=0, atol=steps * np.finfo(float).eps * r.a_inf.max())
    # every call rounds the input and the reconstruction, which are no larger than max|a|, a few times
    slack = 8 * np.finfo(float).eps * r.a_inf.max()
    assert np.allclose(r.error_inf[1:], bound, rtol=0, atol=slack * steps)
    assert np.all(r.error_inf[2:] > Q.kappa(d) * 1.0 + 1e-3 * Q.kappa(d) ** 2)  # more than one difference's worth


def test_alternating_scales_with_its_size():
    one, four = (drawn(processes.alternating(2, bits=3, size=s), 20, 1) for s in (1.0, 4.0))
    assert np.array_equal(4 * one, four)  # a power of two: exact


@pytest.mark.parametrize("Q", [ms.AbsMax(2), ms.AbsMax(3), ms.MinMax(3)], ids=str)
def test_adversarial_reaches_more_than_random_differences_of_the_same_norm(Q):
    d, steps, trials = 8, 25, 16

    def random(rng, n, count):
        a = rng.standard_normal((n, d))
        for _ in range(count):
            yield a
            step = rng.standard_normal((n, d))
            a = a + step / np.linalg.norm(step, axis=1, keepdims=True)

    plain = ms.simulate(processes.Process("random", d, {}, random), Q, steps=steps, trials=trials)
    hard = ms.simulate(processes.adversarial(Q, d), Q, steps=steps, trials=trials)
    # rounding of a (below 100) when the difference is taken
    assert np.allclose(hard.d[1:], 1, rtol=0, atol=1e-12)
    assert np.mean(hard.error[5:]) > 1.3 * np.mean(plain.error[5:])
    q = np.sqrt(Q.c(d))
    assert hard.error.max() <= q / (1 - q) + 1e-12


@given(inputs=sequences())
def test_recorded_gives_back_what_was_recorded(inputs):
    process = processes.recorded(inputs)
    assert process.d == inputs.shape[2]
    assert np.array_equal(drawn(process, len(inputs), inputs.shape[1]), inputs)
    assert np.array_equal(drawn(process, 1, 1), inputs[:1, :1])


def test_recorded_from_files(tmp_path):
    inputs = np.random.default_rng(0).standard_normal((4, 3, 5)).astype(np.float32)
    np.save(tmp_path / "run.npy", inputs)
    np.savez(tmp_path / "run.npz", inputs=inputs, other=np.zeros(2))
    for path in (tmp_path / "run.npy", str(tmp_path / "run.npz")):
        assert np.array_equal(drawn(processes.recorded(path), 4, 3), inputs.astype(np.float64))
    np.savez(tmp_path / "no.npz", outputs=inputs)
    with pytest.raises(ValueError, match="no array 'inputs'; it holds outputs"):
        processes.recorded(tmp_path / "no.npz")
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="saved with objects"):
        processes.recorded(tmp_path / "objects.npy")  # never unpickled: it would run code of the file
    with pytest.raises(FileNotFoundError):
        processes.recorded(tmp_path / "absent.npy")


def test_recorded_is_never_repeated():
    process = processes.recorded(np.zeros((4, 3, 2)))
    for steps, trials in itertools.product((4, 5), (3, 4)):
        if (steps, trials) == (4, 3):
            continue
        with pytest.raises(ValueError, match=rf"recorded with 4 steps × 3 trials; asked for {steps} × {trials}"):
            drawn(process, steps, trials)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_recorded_names_the_step_of_a_bad_value(value):
    inputs = np.zeros((4, 3, 2))
    inputs[2, 1, 0] = value
    with pytest.raises(ValueError, match="NaN or Inf, first at step 2"):
        processes.recorded(inputs)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: processes.random_walk(0), "dimension d must be an int >= 1, got 0"),
        (lambda: processes.random_walk(True), "dimension d must be an int"),
        (lambda: processes.random_walk(2.0), "dimension d must be an int"),
        (lambda: processes.random_walk(2, sigma=np.nan), "sigma must be finite"),
        (lambda: processes.ar1(2, phi=1.1), "-1 <= phi <= 1"),
        (lambda: processes.ar1(2, phi=np.nan), "phi must be finite"),
        (lambda: processes.geometric(2, ratio=0), "ratio > 0"),
        (lambda: processes.geometric(2, ratio=np.inf), "ratio must be finite"),
        (lambda: processes.burst(2, at=()), "calls of a difference are >= 1"),
        (lambda: processes.burst(2, at=(0,)), "calls of a difference are >= 1"),
        (lambda: processes.alternating(1), "d >= 2"),
        (lambda: processes.alternating(2, bits=1), "2 <= bits"),
        (lambda: processes.alternating(2, size=np.inf), "size must be finite"),
        (lambda: processes.adversarial(ms.Stochastic(3)), "deterministic quantizer"),
        (lambda: processes.adversarial(ms.AbsMax(3), candidates=0), "at least one candidate"),
        (lambda: processes.recorded(np.zeros((3, 2))), r"shape \(steps, trials, d\)"),
        (lambda: processes.recorded(np.zeros((3, 0, 2))), "none of them 0"),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(ValueError, match=message):
        make()
