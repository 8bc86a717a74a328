"""The simulator against a per-trial loop over the oracle, and its promise of equal bytes for any number of workers."""

import numpy as np
import pytest
import reference

import modiff_sim as ms
from modiff_sim import processes
from modiff_sim.simulation import BLOCK_FLOATS

ORACLE = {"direct": reference.direct, "open_loop": reference.open_loop, "closed_loop": reference.closed_loop}
COLUMNS = ("error", "error_inf", "d", "d_inf", "a", "a_inf", "c", "kappa")


def process(name, d=6):
    """One of each process, of small dimension."""
    special = {
        "alternating": lambda: processes.alternating(d, bits=3),
        "adversarial": lambda: processes.adversarial(ms.AbsMax(3), d, candidates=4),
        "recorded": lambda: processes.recorded(np.random.default_rng(0).standard_normal((9, 5, d))),
    }
    return special.get(name, lambda: processes.PROCESSES[name](d))()


def inputs_of(process, steps, trials, seed):
    """The inputs a simulation of one block sees: the generator is documented, block 0 of the root seed."""
    generator = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0,)).spawn(2)[0])
    return np.stack(list(process.stream(generator, trials, steps)))


@pytest.mark.parametrize("recursion", ms.RECURSIONS)
@pytest.mark.parametrize("name", processes.PROCESSES)
def test_equals_a_loop_over_trials_with_the_oracle(name, recursion):
    rng = np.random.default_rng(1)
    matrix, steps, trials = rng.integers(-3, 4, (4, 6)).astype(float), 7, 3
    drawn = process(name)
    r = ms.simulate(drawn, ms.AbsMax(3), recursion, steps=steps, trials=trials, seed=5, operator=matrix)
    inputs = inputs_of(drawn, steps, trials, 5)
    # float64 against float64 in another order of summation: entries below 100, 7 steps, a few roundings each
    close = {"rtol": 1e-9, "atol": 1e-11}
    for trial in range(trials):
        rows = inputs[:, trial].tolist()
        outputs = np.array(ORACLE[recursion](rows, lambda x: reference.absmax(x, 3), matrix.tolist()))
        off = inputs[:, trial] @ matrix.T - outputs
        assert np.allclose(r.error[:, trial], np.linalg.norm(off, axis=1), **close)
        assert np.allclose(r.error_inf[:, trial], np.abs(off).max(axis=1), **close)
        differences = np.diff(inputs[:, trial], axis=0, prepend=inputs[:1, trial])
        assert np.allclose(r.d[:, trial], np.linalg.norm(differences, axis=1), **close)
        assert np.allclose(r.d_inf[:, trial], np.abs(differences).max(axis=1), **close)
        assert np.allclose(r.a[:, trial], np.linalg.norm(inputs[:, trial], axis=1), **close)
        assert np.allclose(r.a_inf[:, trial], np.abs(inputs[:, trial]).max(axis=1), **close)


@pytest.mark.parametrize("Q", [ms.AbsMax(3), ms.Stochastic(3)], ids=["absmax", "stochastic"])
@pytest.mark.parametrize("recursion", ms.RECURSIONS)
def test_same_bytes_for_any_number_of_workers(recursion, Q):
    """Several blocks, the last one smaller: 11 trials of which BLOCK_FLOATS holds 4 at a time."""
    drawn = processes.random_walk(BLOCK_FLOATS // 4)
    runs = [
        ms.simulate(drawn, Q, recursion, steps=4, trials=11, seed=3, workers=workers, warmup=2) for workers in (1, 2, 3)
    ]
    for name in COLUMNS:
        assert len({run.arrays[name].tobytes() for run in runs}) == 1, name
    other = ms.simulate(drawn, Q, recursion, steps=4, trials=11, seed=4, workers=1, warmup=2)
    assert not np.array_equal(other.error, runs[0].error)  # the seed matters
    assert len(np.unique(runs[0].a[0])) == 11  # and no two trials, of one block or of two, are the same


def test_trials_are_independent_of_how_many_there_are_before_a_block():
    """A block's generator depends on its index alone: whole blocks keep their bytes when trials are added."""
    drawn = processes.ar1(BLOCK_FLOATS // 4)
    few, many = (ms.simulate(drawn, ms.AbsMax(4), steps=3, trials=n, workers=1) for n in (8, 12))
    assert np.array_equal(few.error, many.error[:, :8])


def test_a_scale_shared_by_trials_is_not_cut():
    """PerBatch: one scale over all trials, so the result equals the recursion on the whole array."""
    Q = ms.AbsMax(3, granularity=ms.PerBatch())
    drawn = processes.random_walk(BLOCK_FLOATS // 2)
    r = ms.simulate(drawn, Q, steps=3, trials=5, seed=2)
    inputs = inputs_of(drawn, 3, 5, 2)
    states = list(ms.recursion.run("closed_loop", inputs, Q))
    expected = [np.linalg.norm(a - s.o_hat, axis=1) for a, s in zip(inputs, states, strict=True)]
    # both sum squares of 2^14 entries, in different orders: relative error at most 2^14·eps
    assert np.allclose(r.error, expected, rtol=2**14 * np.finfo(float).eps, atol=0)


def test_measured_contraction_is_of_what_was_quantized():
    drawn = process("random_walk")
    inputs = inputs_of(drawn, 5, 2, 0)
    for recursion in ("direct", "closed_loop"):
        r = ms.simulate(drawn, ms.AbsMax(3), recursion, steps=5, trials=2)
        for k, state in enumerate(ms.recursion.run(recursion, inputs, ms.AbsMax(3))):
            if state.quantized:
                for norm, found in (("c", r.c[k]), ("kappa", r.kappa[k])):
                    expected = ms.contraction.ratios(ms.AbsMax(3), state.residual, norm=norm)
                    assert np.allclose(found, expected, rtol=1e-12, atol=0)  # six entries: a dozen roundings
            else:
                assert recursion == "closed_loop"
                assert k == 0
                assert np.isnan(r.c[k]).all()
                assert np.isnan(r.kappa[k]).all()
    held = ms.simulate(processes.burst(6, at=(2,)), ms.AbsMax(3), steps=4, trials=2)
    assert np.all(held.c[1] == 0)  # an exact zero was quantized: nothing lost
    assert np.all(held.error[1] == 0)


def test_rows_and_frame_hold_the_arrays():
    r = ms.simulate(process("ar1"), ms.AbsMax(4), steps=3, trials=2)
    rows = list(r.rows())
    assert [(row["step"], row["trial"]) for row in rows] == [(k, t) for k in range(3) for t in range(2)]
    for row in rows:
        for name in COLUMNS:
            value = r.arrays[name][row["step"], row["trial"]]
            assert row[name] == value or (np.isnan(value) and np.isnan(row[name]))
    frame = r.frame()
    assert list(frame.columns) == ["step", "trial", *COLUMNS]
    assert frame.to_numpy(float).tolist()[3][:3] == [1, 1, r.error[1, 1]]
    assert r.params["steps"] == 3
    assert r.params["quantizer"] == ms.AbsMax(4)


def test_warm_up_starts_with_the_rounding_of_the_first_input():
    drawn = process("random_walk")
    exact, quantized, once, thrice = (
        ms.simulate(drawn, ms.AbsMax(3), steps=2, trials=4, warmup=w) for w in ("exact", "quantized", 1, 3)
    )
    direct = ms.simulate(drawn, ms.AbsMax(3), "direct", steps=2, trials=4)
    assert np.all(exact.error[0] == 0)
    assert np.array_equal(quantized.error, once.error)
    assert np.array_equal(quantized.error[0], direct.error[0])
    kappa = ms.AbsMax(3).kappa(6)
    eps = 4 * np.finfo(float).eps * thrice.a_inf[0]  # three roundings of numbers no larger than |a|, and a subtraction
    assert np.all(thrice.error_inf[0] <= kappa**3 * thrice.a_inf[0] + eps)
    assert np.all(thrice.error_inf[0] < once.error_inf[0])


def test_refresh_is_exact_at_its_calls_only():
    drawn = process("random_walk")
    for recursion in ms.RECURSIONS:
        r = ms.simulate(drawn, ms.AbsMax(2), recursion, steps=8, trials=3, refresh=3)
        exact = np.flatnonzero(np.all(r.error == 0, axis=1)).tolist()
        assert exact == ([3, 6] if recursion == "direct" else [0, 3, 6])


def test_operator_is_applied_to_the_error():
    """A scaled permutation permutes and scales every number exactly: the error does likewise."""
    drawn = process("random_walk")
    A = 4.0 * np.eye(6)[[3, 1, 0, 5, 4, 2]]
    plain = ms.simulate(drawn, ms.AbsMax(3), steps=5, trials=3)
    moved = ms.simulate(drawn, ms.AbsMax(3), steps=5, trials=3, operator=A)
    assert np.array_equal(moved.error_inf, 4 * plain.error_inf)
    assert np.array_equal(moved.d, plain.d)
    assert moved.params["operator"] == [6, 6]
    wide = ms.simulate(drawn, ms.AbsMax(3), steps=5, trials=3, operator=np.vstack([A, A]))
    # twice the squares: sqrt(2) and the sum round once each
    assert np.allclose(wide.error, np.sqrt(2) * moved.error, rtol=8 * np.finfo(float).eps, atol=0)


def test_float32_stays_near_float64():
    """From the same inputs one step of direct quantization differs by one grid step at most, s = max|a|/qmax."""
    drawn = process("ar1")
    wide, narrow = (
        ms.simulate(drawn, ms.AbsMax(4), "direct", steps=4, trials=5, dtype=t) for t in (np.float64, np.float32)
    )
    assert not np.array_equal(narrow.error, wide.error)
    assert np.all(np.abs(wide.error_inf - narrow.error_inf) <= wide.a_inf / ms.AbsMax(4).qmax)
    assert narrow.params["dtype"] == "float32"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps must be an int >= 1"),
        ({"trials": 0}, "trials must be an int >= 1"),
        ({"trials": 2.0}, "trials must be an int >= 1"),
        ({"steps": True}, "steps must be an int >= 1"),
        ({"recursion": "half_open"}, "known: direct, open_loop, closed_loop"),
        ({"warmup": "hot"}, "warmup must be"),
        ({"refresh": -1}, "k >= 1"),
        ({"operator": np.ones((3, 5))}, r"operator must have shape \(m, 6\)"),
        ({"operator": np.ones(6)}, r"operator must have shape \(m, 6\)"),
        ({"workers": 0}, "workers must be"),
    ],
)
def test_bad_input(options, message):
    with pytest.raises(ValueError, match=message):
        ms.simulate(process("random_walk"), ms.AbsMax(3), **options)


def test_inputs_with_nan_are_named_by_step():
    def draw(rng, trials, steps):
        for k in range(steps):
            yield np.full((trials, 2), np.inf if k == 2 else 1.0)

    with pytest.raises(ValueError, match="process broken: input of step 2 holds NaN or Inf"):
        ms.simulate(processes.Process("broken", 2, {}, draw), ms.AbsMax(3), steps=4, trials=1)
