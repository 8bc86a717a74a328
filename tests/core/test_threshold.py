"""Residuals below a threshold: what is skipped, and that its error is the larger of the two, not their sum."""

import math

import numpy as np
import pytest
import torch
from calls import apart, infos
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import modiff_sim as ms
from modiff_sim import Threshold, bounds
from modiff_sim import recursion as rec
from modiff_sim.recursion.threshold import NORMS
from modiff_sim.testing import sequences

EPS = np.finfo(float).eps
A = np.array([[2.0, -1.0, 0.0, 3.0], [1.0, 1.0, 1.0, -2.0]])
taus = st.sampled_from([0.0, 1 / 64, 0.1, 0.5, 1.0])
quantizers = st.sampled_from([ms.AbsMax(2), ms.AbsMax(4), ms.MinMax(3), ms.Zero(), ms.Identity(), ms.DeadZone(3)])


def norm_of(x, norm):
    """Per sample, by NumPy's own norms."""
    order = {"l1": 1, "l2": 2, "max": np.inf}[norm]
    return np.array([np.linalg.norm(row.ravel(), ord=order) for row in x])


# -- the decision ----------------------------------------


@pytest.mark.parametrize("norm", NORMS)
@given(x=hnp.arrays(np.float64, (3, 2, 5), elements=st.floats(-1e3, 1e3)))
def test_sizes_are_the_norms_of_samples(norm, x):
    size = Threshold(0.1, norm).size(x)
    assert size.shape == (3, 1, 1)
    # a sum of 10 terms and a root; numbers that underflow (below 1e-150) are of no size next to the largest
    assert np.allclose(size.ravel(), norm_of(x, norm), rtol=20 * EPS, atol=1e-150)


def test_squares_neither_overflow_nor_underflow():
    threshold = Threshold(0.5, "l2")
    for unit in (1e300, 1e-300):
        assert threshold.size(np.full((1, 4), unit)).item() == pytest.approx(2 * unit)
        kept = threshold.keeps(unit * np.array([[3.0, 0, 0, 4], [1.0, 0, 0, 1]]), np.full((2, 4), 4 * unit))
        assert kept.ravel().tolist() == [True, False]
    assert threshold.size(np.zeros((2, 3))).ravel().tolist() == [0, 0]


def test_a_call_in_full_precision_is_the_first_unless_it_is_said_which():
    wrapped = rec.Skipping(rec.get("closed_loop"), Threshold(0.1))
    x = np.ones((1, 4))
    assert wrapped.exact(x, lambda a: 2 * a)[0].call == 1
    assert wrapped.exact(x, lambda a: 2 * a, 6)[0].call == 7


def test_strictly_below_is_skipped_and_zero_skips_nothing():
    ref, residual = np.full((3, 4), 8.0), np.array([[1.0], [2.0], [3.0]]) * np.ones((3, 4))
    for norm in NORMS:
        assert Threshold(0.25, norm).keeps(residual, ref).ravel().tolist() == [False, True, True]
        assert Threshold(0.0, norm).keeps(np.zeros((2, 4)), ref[:2]).all()
    assert Threshold(0.25).keeps(np.array([1.0, 3.0]), np.array([8.0, 8.0])).tolist() == [False, True]  # one axis


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_kept(norm, bad):
    """So that it reaches the quantizer's check instead of disappearing."""
    residual = np.zeros((2, 4))
    residual[1, 2] = bad
    assert Threshold(0.5, norm).keeps(residual, np.ones((2, 4))).ravel().tolist() == [False, True]


@pytest.mark.parametrize("norm", NORMS)
@given(x=hnp.arrays(np.float32, (4, 6), elements=st.floats(-100, 100, width=32)))
def test_one_definition_for_numpy_and_torch(norm, x):
    ref = np.roll(x, 1, axis=0)
    threshold = Threshold(0.4, norm)
    ours = threshold.size(torch.from_numpy(x.copy())).numpy()
    assert np.allclose(ours, threshold.size(x), rtol=20 * np.finfo(np.float32).eps, atol=0)
    if norm == "max":  # no sum whose order could differ
        kept = threshold.keeps(torch.from_numpy(x.copy()), torch.from_numpy(ref.copy()))
        assert np.array_equal(kept.numpy(), threshold.keeps(x, ref))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((-0.1,), ValueError, "tau >= 0"),
        ((math.nan,), ValueError, "tau must be finite"),
        ((math.inf,), ValueError, "tau must be finite"),
        ((True,), TypeError, "number tau"),
        (("0.1",), TypeError, "number tau"),
        ((0.1, "l3"), ValueError, "unknown norm 'l3'; known: l1, l2, max"),
    ],
)
def test_bad_thresholds_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        Threshold(*arguments)


# -- in the recursions ----------------------------------------


@pytest.mark.parametrize("name", ["closed_loop", "open_loop"])
@given(inputs=sequences(), tau=taus, norm=st.sampled_from(NORMS), Q=quantizers)
def test_a_skipped_sample_repeats_its_output_and_the_others_do_not_notice(name, inputs, tau, norm, Q):
    """Each sample alone gives what it gives in the batch: states and the decision itself."""
    skip = Threshold(tau, norm)
    states, together = apart(rec.run(name, inputs, Q, lambda a: a @ A.T, skip=skip))
    for sample in range(inputs.shape[1]):
        kept, alone = apart(rec.run(name, inputs[:, sample : sample + 1], Q, lambda a: a @ A.T, skip=skip))
        for call, (whole, one) in enumerate(zip(together, alone, strict=True)):
            assert np.array_equal(states[call].ref[sample], kept[call].ref[0])
            if call and not whole.kept[sample]:
                before = together[call - 1]
                assert np.array_equal(whole.output[sample], before.output[sample])
                if name == "closed_loop":
                    assert np.array_equal(states[call].ref[sample], states[call - 1].ref[sample])
            elif call:
                assert np.array_equal(whole.kept[sample], one.kept[0])


@pytest.mark.parametrize("name", ["closed_loop", "open_loop"])
@given(inputs=sequences(), Q=quantizers)
def test_the_ends_of_the_range(name, inputs, Q):
    """tau = 0 is no threshold; a threshold that nothing reaches is caching."""
    plain = infos(rec.run(name, inputs, Q))
    zero = infos(rec.run(name, inputs, Q, skip=Threshold(0.0)))
    assert all(np.array_equal(a.output, b.output) for a, b in zip(plain, zero, strict=True))
    inputs = 1 + 1e-3 * inputs  # a reference that is far from 0
    never = infos(rec.run(name, inputs, Q, skip=Threshold(100.0)))
    cached = infos(rec.run(name, inputs, ms.Zero()))
    assert all(np.array_equal(a.output, b.output) for a, b in zip(never, cached, strict=True))


def test_a_refresh_computes_what_was_skipped():
    inputs = 1 + 1e-3 * np.random.default_rng(0).standard_normal((7, 2, 4)).cumsum(axis=0)
    states = infos(rec.run("closed_loop", inputs, ms.AbsMax(4), skip=Threshold(1.0), refresh=3))
    assert [np.array_equal(s.output, a) for s, a in zip(states, inputs, strict=True)] == [
        True, False, False, True, False, False, True,
    ]  # fmt: skip


# -- the law ----------------------------------------


@pytest.mark.parametrize(("norm", "worst"), [("l2", lambda Q: math.sqrt(Q.c(4))), ("max", lambda Q: Q.kappa(4))])
@given(inputs=sequences(max_steps=12), tau=taus, Q=quantizers)
def test_each_call_loses_the_larger_of_the_two(norm, worst, inputs, tau, Q):
    """||e|| <= max(k·||r||, τ·||â_prev||) per call, and the bounds that follow from it over a run."""
    slack = 64 * len(inputs) * EPS * (1 + np.abs(inputs).max())  # residual, scale, code, sums; each call, 4 entries
    for name in ("closed_loop", "open_loop"):
        states, calls = apart(rec.run(name, inputs, Q, skip=Threshold(tau, norm)))
        d = np.stack([norm_of(x, norm) for x in np.diff(inputs, axis=0)])
        refs = np.stack([norm_of(s.ref, norm) for s in states[:-1]])
        error = np.stack([norm_of(a - s.output, norm) for a, s in zip(inputs, calls, strict=True)])[1:]
        if name == "closed_loop":
            r = np.stack([norm_of(s.residual, norm) for s in calls[1:]])
            assert np.all(error <= np.maximum(worst(Q) * r, tau * refs) + slack)
            steady = max(tau * refs.max(), worst(Q) * d.max() / (1 - worst(Q)) if worst(Q) < 1 else math.inf)
            assert np.all(error <= steady + slack)
        bound = getattr(bounds, f"skipped_{name}")(d, worst(Q), tau, refs)
        # where the decision falls on the threshold itself, rounding may take either side: τ·||ref|| is continuous there
        assert np.all(error <= bound + slack)


def test_without_a_threshold_they_are_the_plain_bounds():
    d = np.random.default_rng(0).uniform(0, 2, (9, 3))
    closed, opened = bounds.max_norm_closed_loop(d, 0.25), bounds.max_norm_open_loop(d, 0.25)
    assert np.allclose(bounds.skipped_closed_loop(d, 0.25, 0.0, 5.0), closed, rtol=9 * EPS, atol=0)
    assert np.allclose(bounds.skipped_open_loop(d, 0.25, 0.0, 5.0), opened, rtol=9 * EPS, atol=0)
    everything = np.cumsum(d, axis=0)  # a threshold that skips all: nothing is followed any more
    assert np.allclose(bounds.skipped_closed_loop(d, 0.25, 100.0, 5.0), everything, rtol=9 * EPS, atol=0)
    assert np.allclose(bounds.skipped_open_loop(d, 0.25, 100.0, 5.0), everything, rtol=9 * EPS, atol=0)
    assert bounds.skipped_closed_loop([1.0], 0.5, 0.1, 2.0, gain=3.0, start=1.0).tolist() == [3.0]
    for bound in (bounds.skipped_closed_loop, bounds.skipped_open_loop):
        with pytest.raises(ValueError, match="tau is a part"):
            bound(d, 0.25, -1.0, 5.0)
        with pytest.raises(ValueError, match="norm of the reference"):
            bound(d, 0.25, 0.1, -5.0)
