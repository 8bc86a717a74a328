"""The simulator against a per-trial loop over the oracle, and its promise of equal bytes for any number of workers."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest
import reference
from calls import infos

import modiff_sim as ms
from modiff_sim import processes
from modiff_sim.simulation import driver
from modiff_sim.simulation.driver import BLOCK_FLOATS

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


@pytest.mark.parametrize("recursion", ORACLE)
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


@pytest.mark.parametrize("bit_generator", driver.GENERATORS)
def test_every_bit_generator_draws_inputs_of_its_own_and_the_same_again(bit_generator):
    """The first block's first input is what NumPy draws from this generator, seeded as the documentation says."""
    walk = processes.random_walk(BLOCK_FLOATS // 4, start=2.0)
    options = {"steps": 3, "trials": 9, "seed": 5, "bit_generator": bit_generator}
    runs = [ms.simulate(walk, ms.Stochastic(4), workers=n, **options) for n in (1, 2)]
    assert runs[0].params["bit_generator"] == bit_generator
    assert all(runs[0].arrays[name].tobytes() == runs[1].arrays[name].tobytes() for name in runs[0].arrays)
    of_inputs, _ = np.random.SeedSequence(5, spawn_key=(0,)).spawn(2)
    rng = np.random.Generator(getattr(np.random, bit_generator)(of_inputs))
    assert np.array_equal(runs[0].a_inf[0, :4], np.abs(2 * rng.standard_normal((4, walk.d))).max(axis=1))
    default = ms.simulate(walk, ms.Stochastic(4), **options | {"bit_generator": "PCG64"})
    assert np.array_equal(default.a, runs[0].a) == (bit_generator == "PCG64")


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
    states = infos(ms.recursion.run("closed_loop", inputs, Q))
    expected = [np.linalg.norm(a - s.output, axis=1) for a, s in zip(inputs, states, strict=True)]
    # both sum squares of 2^14 entries, in different orders: relative error at most 2^14·eps
    assert np.allclose(r.error, expected, rtol=2**14 * np.finfo(float).eps, atol=0)


def test_measured_contraction_is_of_what_was_quantized():
    drawn = process("random_walk")
    inputs = inputs_of(drawn, 5, 2, 0)
    for recursion in ("direct", "closed_loop"):
        r = ms.simulate(drawn, ms.AbsMax(3), recursion, steps=5, trials=2)
        for k, info in enumerate(infos(ms.recursion.run(recursion, inputs, ms.AbsMax(3)))):
            if info.quantized:
                for norm, found in (("c", r.c[k]), ("kappa", r.kappa[k])):
                    expected = ms.contraction.ratios(ms.AbsMax(3), info.residual, norm=norm)
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


@pytest.mark.parametrize("recursion", ms.RECURSIONS)
def test_no_operator_is_the_unit_matrix(recursion):
    """Without an operator ô of the closed loop is not summed apart from â; with one it is: the same bytes."""
    options = {"steps": 6, "trials": 3, "refresh": 4, "seed": 2}
    plain = ms.simulate(process("random_walk"), ms.AbsMax(3), recursion, **options)
    unit = ms.simulate(process("random_walk"), ms.AbsMax(3), recursion, operator=np.eye(6), **options)
    assert np.array_equal(plain.error_inf, unit.error_inf)
    assert np.array_equal(plain.kappa, unit.kappa, equal_nan=True)


def test_float32_stays_near_float64():
    """From the same inputs one step of direct quantization differs by one grid step at most, s = max|a|/qmax."""
    drawn = process("ar1")
    wide, narrow = (
        ms.simulate(drawn, ms.AbsMax(4), "direct", steps=4, trials=5, dtype=t) for t in (np.float64, np.float32)
    )
    assert not np.array_equal(narrow.error, wide.error)
    assert np.all(np.abs(wide.error_inf - narrow.error_inf) <= wide.a_inf / ms.AbsMax(4).qmax)
    assert narrow.params["dtype"] == "float32"


def test_recorded_trials_of_every_block_are_the_recorded_ones():
    """Blocks after the first are fed their own trials, in order, on one worker and on two."""
    d = BLOCK_FLOATS // 2
    values = np.random.default_rng(0).standard_normal((2, 5, d))
    for workers, engine in ((1, "numpy"), (2, "numpy")):
        r = ms.simulate(
            processes.recorded(values),
            ms.AbsMax(4),
            steps=2,
            trials=5,
            workers=workers,
            engine=engine,
            dtype=np.float32,
        )
        assert np.array_equal(r.a_inf, np.abs(values.astype(np.float32)).max(axis=2))
        r = ms.simulate(processes.recorded(values), ms.AbsMax(4), steps=2, trials=5, workers=workers, engine=engine)
        assert np.array_equal(r.a_inf, np.abs(values).max(axis=2))
    with pytest.raises(ValueError, match="recorded with 2 steps × 5 trials; asked for 2 × 6"):
        ms.simulate(processes.recorded(values), ms.AbsMax(4), steps=2, trials=6)


def test_only_what_is_asked_for_is_measured():
    every = ms.simulate(process("ar1"), ms.AbsMax(3), steps=4, trials=3)
    some = ms.simulate(process("ar1"), ms.AbsMax(3), steps=4, trials=3, measure=("kappa", "error_inf"))
    assert list(some.arrays) == ["error_inf", "kappa"]
    assert some.params["measure"] == ("error_inf", "kappa")
    for name in some.arrays:
        assert np.array_equal(some.arrays[name], every.arrays[name], equal_nan=True)
    with pytest.raises(AttributeError, match="d was not measured: add it to measure="):
        _ = some.d
    with pytest.raises(AttributeError, match="no attribute 'errors'"):
        _ = some.errors
    assert set(next(some.rows())) == {"step", "trial", "error_inf", "kappa"}
    assert list(some.frame().columns) == ["step", "trial", "error_inf", "kappa"]
    assert list(ms.simulate(process("ar1"), ms.AbsMax(3), steps=1, trials=1, measure="error").arrays) == ["error"]


def test_a_result_can_be_copied_and_pickled():
    r = ms.simulate(process("ar1"), ms.AbsMax(3), steps=2, trials=2)
    for copied in (copy.deepcopy(r), pickle.loads(pickle.dumps(r))):
        assert np.array_equal(copied.error, r.error)


# -- keep="summary" ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("Q", [ms.AbsMax(3), ms.Stochastic(3)], ids=["absmax", "stochastic"])
def test_a_summary_is_that_of_the_full_result(Q):
    """Many blocks, several array operations, the last one smaller."""
    drawn = processes.random_walk(BLOCK_FLOATS // 8)
    options = {"steps": 5, "trials": 77, "seed": 1, "refresh": (3,)}
    full = ms.simulate(drawn, Q, **options)
    found = ms.simulate(drawn, Q, keep="summary", **options)
    assert found.params["keep"] == "summary"
    assert found.arrays == {}
    with pytest.raises(AttributeError, match='error was summarised: see summary\\(\\), or keep="trials"'):
        _ = found.error
    for summary in (found.summary(), full.summary()):
        for name in COLUMNS:
            values = full.arrays[name]
            # 77 numbers of one sign are added in two orders
            close = {"rtol": 77 * np.finfo(float).eps, "atol": 0, "equal_nan": True}
            assert np.allclose(summary.mean[name], values.mean(axis=1), **close)
            assert np.allclose(summary.rms[name], np.sqrt((values**2).mean(axis=1)), **close)
            assert np.array_equal(summary.max[name], values.max(axis=1), equal_nan=True)
            assert np.array_equal(summary.counts[name].sum(axis=1), (~np.isnan(values)).sum(axis=1))
            for q in (0, 0.1, 0.5, 0.99, 1):
                # the ceil(q·n)-th smallest, to the middle of its bin: half of 1/32
                exact = np.quantile(values, q, axis=1, method="inverted_cdf")
                off = np.abs(summary.quantile(name, q) - exact)
                assert np.all((off <= exact / 64) | np.isnan(exact)), (name, q)
                assert np.array_equal(np.isnan(summary.quantile(name, q)), np.isnan(exact))


@pytest.mark.parametrize("engine", ["numpy", "auto"])
def test_a_summary_has_the_same_bytes_for_any_number_of_workers(engine, monkeypatch):
    monkeypatch.setattr(driver, "AUTO_FLOATS", 1)  # the fused kernel, where numba is installed
    drawn = processes.ar1(BLOCK_FLOATS // 4)
    options = {"steps": 3, "trials": 75, "keep": "summary", "engine": engine, "measure": ("error", "d_inf")}
    one, two, three = (ms.simulate(drawn, ms.AbsMax(4), workers=n, **options).summary() for n in (1, 2, 3))
    for other in (two, three):
        for kind in ("mean", "rms", "max", "counts"):
            for name, values in getattr(one, kind).items():
                assert np.array_equal(values, getattr(other, kind)[name])


def test_the_histogram_at_its_ends():
    values = np.array([[0.0, 2.0**-80, 2.0**-62, 1.0, 2.0**62, 2.0**80]])
    summary = ms.Result({"error": values}, {"steps": 1, "trials": 6}).summary()
    found = [float(summary.quantile("error", (i + 1) / 6)[0]) for i in range(6)]
    assert found[:2] == [0, 0]
    assert found[5] == np.inf
    assert np.allclose(found[2:5], values[0, 2:5], rtol=1 / 64, atol=0)
    for q in (-0.1, 1.1):
        with pytest.raises(ValueError, match="0 <= q <= 1"):
            summary.quantile("error", q)
    with pytest.raises(ValueError, match="'d' was not measured, only error"):
        summary.quantile("d", 0.5)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_does_not_grow_with_the_number_of_trials():
    """Peak memory of whole processes: 150,000 more trials, 57 MiB if they were kept, cost 16 MiB at most.

    (16 MiB is what allocators and a second thread may add; the arrays of a block are 1 MiB each.)
    """
    code = """
import sys
import modiff_sim as ms
walk = ms.processes.random_walk(16)
ms.simulate(walk, ms.AbsMax(4), steps=6, trials=int(sys.argv[1]), keep="summary", engine="numpy")
# of this process alone: ru_maxrss begins with that of the process it was forked from
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))  # KiB
"""
    few, many = (
        int(subprocess.run([sys.executable, "-c", code, str(n)], check=True, capture_output=True, text=True).stdout)
        for n in (30_000, 180_000)
    )
    assert many - few < 16 * 1024


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"measure": ("error", "errors")}, "measure: unknown 'errors'; known: error, error_inf"),
        ({"measure": ()}, "measure: nothing to measure; known"),
        ({"keep": "means"}, "keep must be one of trials, summary, got 'means'"),
        ({"engine": "fortran"}, "engine must be one of auto, numpy, numba, got 'fortran'"),
        ({"bit_generator": "dice"}, "bit_generator must be one of PCG64, .*, MT19937, got 'dice'"),
        ({"trials": 2**32, "keep": "summary"}, "counts up to 4294967295 trials"),
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
