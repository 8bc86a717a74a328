"""Processes, quantizers, recursions and operators of the user's own that return what they must not."""

import dataclasses

import numpy as np
import pytest

import modiff_sim as ms
from modiff_sim import processes, recursion
from modiff_sim.testing import check_quantizer


def drawing(*arrays):
    """A process whose inputs are these."""
    return processes.Process("mine", 3, {}, lambda rng, trials, steps: iter(arrays))


GOOD = np.arange(6.0).reshape(2, 3)
BAD = GOOD.copy()
BAD[1, 2] = np.nan


@pytest.mark.parametrize("engine", ["numpy", "numba"])
@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ([GOOD, BAD], "process mine: input of step 1 holds NaN or Inf"),
        ([GOOD, GOOD[0]], r"process mine: input of step 1 has shape \(3,\), asked for were 2 trials of 3 entries"),
        ([GOOD[:1], GOOD], r"input of step 0 has shape \(1, 3\)"),
        ([GOOD, GOOD[:, :2]], r"shape \(2, 2\)"),
        ([GOOD], "process mine ended after 1 steps, asked for were 2"),
        ([GOOD, GOOD * 1j], r"process mine: input of step 1 must be an array of real numbers, got complex"),
        ([np.ma.masked_array(GOOD), GOOD], "process mine: input of step 0 must not be masked"),
        ([GOOD.astype(str), GOOD], "got text"),
        ([None, GOOD], "got a NoneType"),
    ],
)
def test_processes(arrays, message, engine):
    with pytest.raises((TypeError, ValueError), match=message):
        ms.simulate(drawing(*arrays), ms.AbsMax(4), steps=2, trials=2, engine=engine)


def test_a_process_may_draw_lists_and_whole_numbers():
    floats = ms.simulate(drawing(GOOD, GOOD + 1), ms.AbsMax(4), steps=2, trials=2)
    others = ms.simulate(drawing(GOOD.tolist(), GOOD.astype(int) + 1), ms.AbsMax(4), steps=2, trials=2)
    assert np.array_equal(floats.error, others.error)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"d": 2.0}, "dimension d must be an int"),
        ({"draw": None}, "one of the two"),
        ({"values": np.zeros((2, 2, 3))}, "one of the two"),
        ({"draw": None, "values": np.zeros((2, 2, 4))}, r"shape \(steps, trials, 3\)"),
        ({"draw": None, "values": BAD[None]}, "NaN or Inf, first at step 0"),
    ],
)
def test_descriptions_of_processes(options, message):
    with pytest.raises(ValueError, match=message):
        processes.Process(**({"name": "mine", "d": 3, "params": {}, "draw": lambda *_: iter(())} | options))


# -- quantizers --------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mine(ms.AbsMax):
    """What ``made`` makes of AbsMax's values."""

    made: object = None

    def dequantize(self, codes, qparams):
        return self.made(super().dequantize(codes, qparams))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Writing(ms.AbsMax):
    """Rounds in place."""

    def quantize(self, blocks, qparams, *, random=None):
        blocks /= qparams.scale
        return np.round(blocks, out=blocks)


WRONG = {
    "another shape": (lambda v: v[:, :1], r"must have shape \(2, 3\) and float64, got shape \(2, 1\)|cannot reshape"),
    "another dtype": (lambda v: v.astype(np.float32), "must have shape .* and float64, got .* and float32"),
    "complex": (lambda v: v + 0j, "got .* and complex128"),
    "masked": (lambda v: np.ma.masked_array(v, v > 1), "must not be masked"),
}


@pytest.mark.parametrize("kind", WRONG)
@pytest.mark.parametrize("way", ["called", "simulate", "run"])
def test_quantizers(kind, way):
    made, message = WRONG[kind]
    Q = Mine(4, made=made)
    ways = {
        "called": lambda: Q(GOOD),
        "simulate": lambda: ms.simulate(drawing(GOOD, GOOD + 1), Q, steps=2, trials=2),
        "run": lambda: list(recursion.run("closed_loop", [GOOD, GOOD + 1], Q)),
    }
    with pytest.raises((TypeError, ValueError), match=message):
        ways[way]()


def test_a_quantizer_that_returns_nan():
    Q = Mine(4, made=lambda v: np.where(v > 4, np.nan, v))
    for call in (
        lambda: Q(GOOD),
        lambda: ms.simulate(drawing(GOOD, GOOD + 5), Q, steps=2, trials=2),
        lambda: list(recursion.run("closed_loop", [GOOD, GOOD + 5], Q)),
    ):
        with pytest.raises(ValueError, match=r"Mine.* NaN or Inf"):
            call()


def test_a_quantizer_that_writes_into_its_argument():
    with pytest.raises(ValueError, match=r"Writing.*writes into its argument"):
        ms.simulate(drawing(GOOD, GOOD), Writing(4), "direct", steps=2, trials=2)
    recorded = processes.recorded(np.stack([GOOD, GOOD]))
    with pytest.raises(ValueError, match="writes into its argument"):
        ms.simulate(recorded, Writing(4), "direct", steps=2, trials=2)
    with pytest.raises(AssertionError, match="wrote into its argument"):
        check_quantizer(Writing(4), examples=20)
    assert np.array_equal(GOOD, np.arange(6.0).reshape(2, 3))


def test_what_is_right_is_left_alone():
    """A subclass that computes the same gives the same numbers (sums apart, whose order follows the memory's)."""
    mine, ours = Mine(4, made=lambda v: v), ms.AbsMax(4)
    process = processes.random_walk(5)
    a, b = (ms.simulate(process, Q, steps=9, trials=7, engine="numpy") for Q in (mine, ours))
    assert np.array_equal(a.error_inf, b.error_inf)
    assert np.array_equal(a.kappa, b.kappa, equal_nan=True)


# -- recursions and operators ------------------------------------------------------------------------------------------


class Spoiling(recursion.ClosedLoop):
    """A closed loop whose output is spoilt."""

    def __init__(self, spoil):
        self.spoil = spoil

    def step(self, state, a, Q, A, **options):
        state, info = super().step(state, a, Q, A, **options)
        output = self.spoil(info.output)
        return dataclasses.replace(state, o_hat=output), dataclasses.replace(info, output=output)


def test_recursions():
    process = drawing(GOOD, GOOD + 1)
    with pytest.raises(ValueError, match="recursion Spoiling: its output holds NaN or Inf in step 1"):
        ms.simulate(process, ms.AbsMax(4), Spoiling(lambda o: o * np.nan), steps=2, trials=2)
    with pytest.raises(ValueError, match="the output of recursion Spoiling must have shape"):
        ms.simulate(process, ms.AbsMax(4), Spoiling(lambda o: o[:1]), steps=2, trials=2, warmup="quantized")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_operators(bad):
    weight = np.eye(3)
    weight[0, 1] = bad
    with pytest.raises(ValueError, match=r"operator must be finite, but holds NaN or Inf, first at \[0, 1\]"):
        ms.simulate(drawing(GOOD, GOOD), ms.AbsMax(4), steps=2, trials=2, operator=weight)
    with pytest.raises(ValueError, match="the operator's output, of a finite first input"), np.errstate(all="ignore"):
        list(recursion.run("closed_loop", [GOOD + 1], ms.AbsMax(4), lambda a: a @ weight.T))
    with pytest.raises(ValueError, match="layer 'mine': weight must be finite"):
        ms.denoisers.Linear("mine", weight)
    with pytest.raises(ValueError, match="operator must be finite"):  # beyond float16
        ms.simulate(drawing(GOOD), ms.AbsMax(4), steps=1, trials=2, operator=np.eye(3) * 1e6, dtype=np.float16)


def test_inputs_of_a_run_are_alike():
    Q = ms.AbsMax(4)
    for later, message in (
        (GOOD[:1], "input of call 1 must have shape"),
        (GOOD.astype("f4"), "float32"),
        (BAD, "call 1"),
    ):
        with pytest.raises(ValueError, match=message):
            list(recursion.run("closed_loop", [GOOD, later], Q))
