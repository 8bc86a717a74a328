"""The fused kernel against the array definition: bit for bit where the order of rounding is the same, d·eps in sums."""

import itertools
import subprocess
import sys
import threading

import numpy as np
import pytest
from calls import apart
from hypothesis import given
from hypothesis import strategies as st
from reference import PAPER

import modiff_sim as ms
from modiff_sim import processes
from modiff_sim.simulation import engines, lanes, numba_kernel
from modiff_sim.simulation.driver import AUTO_FLOATS, BLOCK_FLOATS
from modiff_sim.simulation.summary import QUANTITIES

SAME_ORDER = ("error_inf", "d_inf", "a_inf", "kappa")  # a maximum has no order; kappa is a quotient of two
numba = pytest.importorskip("numba", reason="numba is not installed (extra [fast])")


def assert_equal(fused, arrays, d, dtype):
    """Max norms and kappa: the same bytes. Sums of d squares in two orders: each off by d·eps/2 relative at most, the
    root and the quotient of two round on top, so (d + 4)·eps, in the dtype that they were summed in.
    """
    for name in fused.arrays:
        mine, theirs = fused.arrays[name], arrays.arrays[name]
        if name in SAME_ORDER:
            assert np.array_equal(mine, theirs, equal_nan=True), name
        else:
            assert np.allclose(mine, theirs, rtol=(d + 4) * np.finfo(dtype).eps, atol=0, equal_nan=True), name


def both(process, Q, recursion="closed_loop", **options):
    fused = ms.simulate(process, Q, recursion, engine="numba", **options)
    arrays = ms.simulate(process, Q, recursion, engine="numpy", **options)
    assert (fused.params["engine"], arrays.params["engine"]) == ("numba", "numpy")
    return fused, arrays


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("recursion", PAPER)
@pytest.mark.parametrize(("warmup", "refresh"), [("exact", "never"), ("quantized", 3), (3, (2, 4))])
def test_equals_the_definition(recursion, warmup, refresh, dtype):
    """Several blocks, the last one smaller; d below, at and above a multiple of the lanes and of a tile."""
    for d in (1, 7, 16, BLOCK_FLOATS // 3):
        values = np.random.default_rng(d).standard_normal((6, 7, d)).cumsum(axis=0)
        for process in (processes.random_walk(d), processes.recorded(values)):
            for bits in (2, 4):
                options = {"steps": 6, "trials": 7, "seed": d, "warmup": warmup, "refresh": refresh, "dtype": dtype}
                assert_equal(*both(process, ms.AbsMax(bits), recursion, **options), d, dtype)


@given(
    values=st.integers(1, 9).flatmap(
        lambda d: st.lists(
            st.lists(st.floats(-1e6, 1e6, width=32) | st.integers(-7, 7).map(float), min_size=d, max_size=d),
            min_size=2,
            max_size=6,
        )
    ),
    bits=st.integers(2, 16),
    recursion=st.sampled_from(PAPER),
)
def test_equals_the_definition_on_ties_zeros_and_small_numbers(values, bits, recursion):
    """Integers give exact ties, which go to even in both; repeated rows give exact zeros, whose scale is guarded."""
    inputs = np.array(values)[:, None, :].repeat(2, axis=1)
    inputs[:, 1] *= 2.0**-1060  # a subnormal scale, or one that underflows to zero
    fused, arrays = both(processes.recorded(inputs), ms.AbsMax(bits), recursion, steps=len(inputs), trials=2)
    for name in SAME_ORDER:
        assert np.array_equal(fused.arrays[name], arrays.arrays[name], equal_nan=True), name
    rtol = (inputs.shape[2] + 4) * np.finfo(float).eps
    for name in set(QUANTITIES) - set(SAME_ORDER):
        # squares of subnormals vanish in both
        assert np.allclose(fused.arrays[name], arrays.arrays[name], rtol=rtol, atol=0, equal_nan=True), name


@pytest.mark.parametrize("name", processes.PROCESSES)
def test_equals_the_definition_on_every_process(name):
    special = {
        "alternating": lambda: processes.alternating(5, bits=3),
        "adversarial": lambda: processes.adversarial(ms.AbsMax(3), 5, candidates=4),
        "recorded": lambda: processes.recorded(np.random.default_rng(0).standard_normal((9, 6, 5))),
    }
    process = special.get(name, lambda: processes.PROCESSES[name](5))()
    assert_equal(*both(process, ms.AbsMax(3), steps=9, trials=6), 5, np.float64)


def test_one_step_from_a_shared_state_has_the_same_bytes():
    """The state itself, not only its norms: after every call ô of the kernel is ô of the recursion."""
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((5, 3, 8)).cumsum(axis=0)
    kernel = numba_kernel.compiled(numba_kernel.kernel)
    for recursion in ("closed_loop", "open_loop"):
        states, _ = apart(ms.recursion.run(recursion, inputs, ms.AbsMax(3)))
        for k, (before, after) in enumerate(itertools.pairwise(states), start=1):
            o_hat, begins = before.o_hat.ravel().copy(), np.array([k - 1, k]) * 24
            base = (before.ref.ravel().copy(), np.zeros(1, np.int64)) if recursion == "open_loop" else (None, None)
            tables = [np.empty(3) for _ in QUANTITIES]
            assert kernel(inputs.ravel(), begins, 3, 8, o_hat, *base, np.array([False]), 3.0, 0, 3, *tables) == -1
            assert np.array_equal(o_hat.reshape(3, 8), after.o_hat)


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("recursion", PAPER)
def test_compiled_and_interpreted_kernel_have_the_same_bytes(recursion, dtype):
    """The order of the sums is that of the NumPy text of the lanes, whatever processor it is compiled for."""
    rows = numba_kernel.TOGETHER + 5  # a whole group, and some rows of one
    x = np.random.default_rng(1).standard_normal((6, rows, 24)).cumsum(axis=0).astype(dtype)
    begins, exact = np.arange(6) * x[0].size, np.array([False, False, True, False, False])
    found = []
    for kernel in (numba_kernel.compiled(numba_kernel.kernel), numba_kernel.kernel):
        tables = [np.full((6, rows), -1.0) for _ in QUANTITIES]
        state = None if recursion == "direct" else x[0].ravel().copy()
        base = (x.ravel(), begins[:-1]) if recursion == "open_loop" else (None, None)
        flat = [table.reshape(-1) for table in tables]
        assert kernel(x.ravel(), begins, rows, 24, state, *base, exact, dtype(7), rows, rows, *flat) == -1
        found.append([*(t.tobytes() for t in tables), b"" if state is None else state.tobytes()])
        assert all(np.all(t[0] == -1) for t in tables)  # written from row 1 on, as asked
    assert found[0] == found[1]


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
def test_copy_fills_rows_up_and_counts_what_is_not_finite(dtype):
    drawn = np.array([[1.0, np.nan, 3.0], [np.inf, -np.inf, 1e300]])
    found = []
    for copy in (numba_kernel.compiled(numba_kernel.copy), numba_kernel.copy):
        x = np.zeros(12, dtype)
        with np.errstate(over="ignore"):
            assert copy(drawn, x, 2, 4) == (3 if dtype is np.float64 else 4)  # 1e300 is Inf in float32
        found.append(x.tobytes())
        assert np.array_equal(x[[0, 1, 5, 9, 10, 11]], np.zeros(6))
        assert (x[2], x[4]) == (1, 3)
    assert found[0] == found[1]


def test_same_bytes_for_any_number_of_workers():
    d = BLOCK_FLOATS // 4
    for process in (processes.ar1(d), processes.recorded(np.random.default_rng(0).standard_normal((4, 11, d)))):
        runs = [
            ms.simulate(process, ms.AbsMax(4), steps=4, trials=11, seed=3, workers=n, engine="numba") for n in (1, 2, 3)
        ]
        for name in QUANTITIES:
            assert len({run.arrays[name].tobytes() for run in runs}) == 1, name
        assert len(np.unique(runs[0].a[0])) == 11


@pytest.mark.parametrize("measure", [("error", "d_inf", "a", "kappa"), ("error_inf", "d", "a_inf", "c")])
def test_measuring_less_changes_nothing_else(measure):
    walk = processes.random_walk(12)
    every = ms.simulate(walk, ms.AbsMax(3), steps=6, trials=4, engine="numba")
    some = ms.simulate(walk, ms.AbsMax(3), steps=6, trials=4, engine="numba", measure=measure)
    assert tuple(some.arrays) == measure
    for name in measure:
        assert np.array_equal(some.arrays[name], every.arrays[name], equal_nan=True)


def test_auto_takes_it_for_large_jobs_it_can_do():
    walk = processes.random_walk(AUTO_FLOATS // 16)
    options = {"steps": 8, "trials": 1, "measure": ("error_inf",), "workers": 1}
    job = engines.Job(
        process=walk,
        Q=ms.AbsMax(4),
        scheme=ms.recursion.Scheme("closed_loop"),
        steps=16,
        seed=0,
        operator=None,
        dtype=np.dtype(float),
        measure=("error",),
    )
    assert engines.refuses(job) == ""
    from modiff_sim.simulation import driver as simulation

    assert simulation._fused(job, "auto", trials=1)
    assert not simulation._fused(job, "numpy", trials=1)
    assert ms.simulate(processes.random_walk(8), ms.AbsMax(4), **options).params["engine"] == "numpy"  # too small


class Subclass(ms.AbsMax):
    pass


@pytest.mark.parametrize(
    ("Q", "options", "why"),
    [
        (ms.MinMax(4), {}, "not AbsMax"),
        (ms.Stochastic(4), {}, "not AbsMax"),
        (Subclass(4), {}, "not AbsMax"),
        (ms.AbsMax(4, granularity=ms.PerBatch()), {}, "one scale per sample"),
        (ms.AbsMax(4, granularity=ms.PerGroup(2)), {}, "one scale per sample"),
        (ms.AbsMax(4), {"operator": np.eye(6)}, "operators are not supported"),
        (ms.AbsMax(4), {"dtype": np.float16}, "float16"),
        (ms.AbsMax(24), {"dtype": np.float32}, "24 bits are clamped in float32"),
    ],
)
def test_refuses_what_it_cannot_do(Q, options, why):
    with pytest.raises(ValueError, match=f'engine="numba" cannot run this: .*{why}'):
        ms.simulate(processes.random_walk(6), Q, steps=2, trials=2, engine="numba", **options)
    auto = ms.simulate(processes.random_walk(6), Q, steps=2, trials=2, **options)
    assert auto.params["engine"] == "numpy"


@pytest.mark.parametrize("engine", ["numpy", "numba"])
def test_an_overflow_is_named_by_step(engine):
    inputs = np.full((4, 2, 8), 1e308)
    inputs[2, 1, 3] = -1e308
    with (
        np.errstate(over="ignore", invalid="ignore"),
        pytest.raises(ValueError, match="quantized in step 2 overflows float64"),
    ):
        ms.simulate(processes.recorded(inputs), ms.AbsMax(4), steps=4, trials=2, engine=engine)
    with pytest.raises(ValueError, match="input of step 0 holds numbers too large for float32"):
        ms.simulate(processes.recorded(inputs), ms.AbsMax(4), steps=4, trials=2, engine=engine, dtype=np.float32)


@pytest.mark.parametrize("engine", ["numpy", "numba"])
def test_nan_is_named_by_step(engine):
    def draw(rng, trials, steps):
        for k in range(steps):
            yield np.full((trials, 2), np.nan if k == 2 else 1.0)

    with pytest.raises(ValueError, match="process broken: input of step 2 holds NaN or Inf"):
        ms.simulate(processes.Process("broken", 2, {}, draw), ms.AbsMax(3), steps=4, trials=1, engine=engine)


def test_a_process_may_reuse_its_array():
    def draw(rng, trials, steps):
        a = np.zeros((trials, 8))
        for _ in range(steps):
            a += rng.standard_normal(a.shape)
            yield a

    def fresh(rng, trials, steps):
        return (a.copy() for a in draw(rng, trials, steps))

    for engine in ("numpy", "numba"):
        reused, copied = (
            ms.simulate(processes.Process("p", 8, {}, f), ms.AbsMax(3), steps=5, trials=3, engine=engine)
            for f in (draw, fresh)
        )
        assert np.array_equal(reused.d, copied.d)
        assert np.all(reused.d[1:] > 0)


def test_code_kept_by_numba_is_of_these_lanes(monkeypatch, tmp_path):
    """numba looks at the time of the kernel's file alone, so that the content of the lanes' file is in the name."""
    kept = numba_kernel.compiled(numba_kernel.kernel).py_func
    (tmp_path / "lanes.py").write_text("another meaning of the lanes", encoding="utf-8")
    monkeypatch.setattr(lanes, "__file__", str(tmp_path / "lanes.py"))
    other = lanes._compiled.__wrapped__(numba_kernel.kernel).py_func
    assert kept.__code__ is other.__code__
    assert kept.__qualname__ != other.__qualname__


def test_compiling_from_several_threads_teaches_numba_once():
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(numba_kernel.compiled(numba_kernel.kernel))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, found))) == 1


def test_without_numba_auto_is_numpy_and_numba_is_an_error():
    """In a process where numba cannot be found: same call, the definition runs, and params say so."""
    code = """
import importlib.util, sys
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "numba" else find(name, *rest)
import modiff_sim as ms
from modiff_sim.simulation import driver
driver.AUTO_FLOATS = 1
walk = ms.processes.random_walk(8)
assert ms.simulate(walk, ms.AbsMax(4), steps=3, trials=2).params["engine"] == "numpy"
assert "numba" not in sys.modules
try:
    ms.simulate(walk, ms.AbsMax(4), steps=3, trials=2, engine="numba")
except ValueError as error:
    assert "numba is not installed (extra [fast])" in str(error), error
else:
    raise SystemExit("engine='numba' ran without numba")
"""
    subprocess.run([sys.executable, "-c", code], check=True)
