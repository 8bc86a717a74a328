"""The three recursions against the oracle in exact arithmetic, and what distinguishes them."""

import numpy as np
import pytest
import reference
from calls import infos
from hypothesis import given
from hypothesis import strategies as st

import modiff_sim as ms
from modiff_sim import recursion as rec
from modiff_sim.recursion.state import nothing
from modiff_sim.testing import check_bound, check_recursion, sequences
from paper_checks._broken import Dropped, Flipped

A = np.array([[2.0, -1.0, 0.0, 3.0], [1.0, 1.0, 1.0, -2.0]])
ORACLE = {"direct": reference.direct, "open_loop": reference.open_loop, "closed_loop": reference.closed_loop}
# float64 against exact fractions: each call rounds residual, scale, quotient, product, sums; entries stay below 100
TOLERANCE = 1e-11


@pytest.mark.parametrize("name", ORACLE)
@given(inputs=sequences(), bits=st.integers(2, 5))
def test_equals_the_oracle(name, inputs, bits):
    """Bit for bit as in floats: entries are multiples of 1/4, the matrix is integer, and both sum in one order."""
    states = infos(rec.run(name, inputs, ms.AbsMax(bits), lambda a: a @ A.T))
    for sample in range(inputs.shape[1]):
        rows = inputs[:, sample].tolist()
        expected = ORACLE[name](rows, lambda x: reference.absmax(x, bits), A.tolist())
        got = [s.output[sample] for s in states]
        assert np.allclose(got, expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize(("warmup", "feeds"), [("exact", 0), ("quantized", 1), (1, 1), (3, 3)])
@given(inputs=sequences())
def test_warm_up_equals_the_oracle(warmup, feeds, inputs):
    states = infos(rec.run("closed_loop", inputs, ms.AbsMax(3), lambda a: a @ A.T, warmup=warmup))
    for sample in range(inputs.shape[1]):
        expected = reference.closed_loop(
            inputs[:, sample].tolist(), lambda x: reference.absmax(x, 3), A.tolist(), feeds=feeds
        )
        assert np.allclose([s.output[sample] for s in states], expected, rtol=0, atol=TOLERANCE)


#: whether the error is this call's rounding or the sum of all; of others, neither is demanded
COMPENSATED = {"open_loop": False, "closed_loop": True}


@pytest.mark.parametrize("name", ["direct", "open_loop", "closed_loop"])
def test_a_call_in_full_precision_is_the_first_unless_it_is_said_which(name):
    recursion, x = rec.get(name), np.ones((1, 4))
    assert recursion.exact(x, lambda a: 2 * a)[0].call == 1
    assert recursion.exact(x, lambda a: 2 * a, 6)[0].call == 7


def test_adding_nothing_keeps_the_sign_of_zero():
    added = np.array([0.0, -0.0]) + nothing(np.ones(2))
    assert np.signbit(added).tolist() == [False, True]


@pytest.mark.parametrize(("name", "compensated"), [(name, COMPENSATED.get(name)) for name in rec.RECURSIONS])
def test_error_structure(name, compensated):
    check_recursion(name, compensated=compensated, examples=50)


@pytest.mark.parametrize(("warmup", "call"), [("exact", 1), (2, 0), (2, 1)])
def test_random_bits_are_checked_at_every_call_that_draws(warmup, call):
    """An exact start draws nothing, and a start that is fed twice draws twice."""

    def bits(at):
        wrong = 1.0 if at == call else 0.5
        drawn = np.full((1, 3), wrong)
        return [drawn] * 2 if at == 0 and warmup == 2 else drawn

    inputs = np.array([[[1.0, 0.5, 0.25]], [[0.5, 0.5, 1.0]]])
    with pytest.raises(ValueError, match=rf"random\({call}\): random= must be uniform in \[0, 1\)"):
        list(rec.run("closed_loop", inputs, ms.Stochastic(4), warmup=warmup, random=bits))


@pytest.mark.parametrize("told", [("residual",), ("residual_hat",), ()])
def test_what_a_recursion_of_ones_own_does_not_tell_is_not_checked(told):
    class Silent(rec.ClosedLoop):
        name = "silent"

        def step(self, state, a, Q, A, *, random=None):
            state, info = super().step(state, a, Q, A, random=random)
            return state, rec.Info(info.output, **{key: getattr(info, key) for key in told})

    inputs = np.array([[[1.0, 0.5]], [[0.25, 2.0]], [[1.0, 1.0]]])
    silent, full = (infos(rec.run(recursion, inputs, ms.AbsMax(3))) for recursion in (Silent(), "closed_loop"))
    assert [info.output.tolist() for info in silent] == [info.output.tolist() for info in full]


@pytest.mark.parametrize(
    ("broken", "compensated"),
    [(rec.OpenLoop(), True), (rec.ClosedLoop(), False), (Dropped(), True), (Flipped(), True)],
    ids=lambda v: getattr(v, "name", str(v)),
)
def test_broken_recursions_are_caught(broken, compensated):
    with pytest.raises(AssertionError, match=r"rounding|telescope|Identity"):
        check_recursion(broken, compensated=compensated, shrink=False)


@pytest.mark.parametrize(
    "Q", [ms.AbsMax(2), ms.AbsMax(4), ms.MinMax(3), ms.MinMaxRaw(3), ms.Zero(), ms.Floor(3)], ids=str
)
@pytest.mark.parametrize("norm", ["c", "kappa"])
@pytest.mark.parametrize("name", ["open_loop", "closed_loop"])
def test_sharp_bounds_hold(name, norm, Q):
    check_bound(name, Q, norm=norm, examples=15)


def test_halved_contraction_is_caught():
    class Half(ms.AbsMax):
        def kappa(self, d):
            return super().kappa(d) / 2

    with pytest.raises(AssertionError, match="exceeds its kappa bound"):
        check_bound("closed_loop", Half(bits=2), norm="kappa", shrink=False)


def test_bias_is_added_once():
    inputs = np.random.default_rng(0).standard_normal((5, 2, 4))
    for name, warmup in [("closed_loop", "exact"), ("closed_loop", 3), ("open_loop", "quantized"), ("direct", "exact")]:
        plain = rec.run(name, inputs, ms.AbsMax(3), lambda a: a @ A.T, warmup=warmup)
        biased = rec.run(name, inputs, ms.AbsMax(3), lambda a: a @ A.T, affine=lambda a: a @ A.T + 64.0, warmup=warmup)
        for (_, p), (_, b) in zip(plain, biased, strict=True):
            # one more float addition of a number below 128: half an ulp of 128 per call
            assert np.allclose(b.output - 64.0, p.output, rtol=0, atol=5 * 128 * np.finfo(float).eps), name


def test_refresh_restarts_the_state():
    inputs = np.random.default_rng(0).standard_normal((9, 2, 4))
    for refresh, exact in [(4, {0, 4, 8}), ((2, 7), {0, 2, 7}), ("never", {0}), (1, set(range(9)))]:
        for call, state in enumerate(infos(rec.run("closed_loop", inputs, ms.AbsMax(2), refresh=refresh))):
            assert np.array_equal(state.output, inputs[call]) == (call in exact)
            assert state.quantized == (call not in exact)


LOOPS = ("open_loop", "closed_loop")
WAYS = [
    *((name, {}) for name in ("direct", *LOOPS)),
    *((name, {"skip": ms.Threshold(0.5)}) for name in LOOPS),
    *((name, {"storage": ms.Storage(ref=ms.AbsMax(8))}) for name in LOOPS),
    ("closed_loop", {"storage": ms.Storage(o_hat="recompute")}),
]


@pytest.mark.parametrize(("name", "options"), WAYS, ids=lambda v: v if isinstance(v, str) else "-".join(v))
@pytest.mark.parametrize("warmup", ["exact", "quantized"])
def test_every_refresh_has_the_bias(name, options, warmup):
    """A refresh is A(a) + bias, and the calls after it go on from there."""
    inputs, bias = np.random.default_rng(0).standard_normal((9, 2, 4)), np.array([64.0, -32.0])
    again, stored = (3, 4, 7), name == "closed_loop" and "storage" in options  # then A is applied to what is stored
    options = {**options, "warmup": warmup, "refresh": again}
    plain = infos(rec.run(name, inputs, ms.AbsMax(3), lambda a: a @ A.T, **options))
    biased = infos(rec.run(name, inputs, ms.AbsMax(3), lambda a: a @ A.T, affine=lambda a: a @ A.T + bias, **options))
    for call, (p, b) in enumerate(zip(plain, biased, strict=True)):
        if call in again and not stored:
            assert np.array_equal(b.output, inputs[call] @ A.T + bias), call
        # each call rounds numbers below 128 once more
        assert np.allclose(b.output, p.output + bias, rtol=0, atol=9 * 128 * np.finfo(float).eps), call


def test_zero_bits_reuse_the_output_bit_for_bit():
    inputs = np.random.default_rng(0).standard_normal((5, 2, 4))
    calls = []

    def counted(a):
        calls.append(1)
        return a @ A.T

    for name in ("closed_loop", "open_loop"):
        states = infos(rec.run(name, inputs, ms.Zero(), counted))
        assert all(np.array_equal(s.output, states[0].output) for s in states)
    assert len(calls) == 2  # A was applied at the two first calls only: the computation is skipped


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"warmup": "warm"}, "warmup must be"),
        ({"warmup": 0}, "warmup must be"),
        ({"warmup": 1.5}, "warmup must be"),
        ({"refresh": "always"}, "refresh must be"),
        ({"refresh": 0}, "k >= 1"),
        ({"refresh": (1, -2)}, "call indices"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        infos(rec.run("closed_loop", np.ones((2, 1, 2)), ms.AbsMax(3), **options))
    with pytest.raises(ValueError, match="known: direct, open_loop, closed_loop"):
        rec.get("half_open")


def test_checks_take_recursions_without_names_and_formats_in_blocks():
    class Nameless(type(rec.RECURSIONS["closed_loop"])):
        name = None

    check_recursion(Nameless(), compensated=True, examples=5)
    check_bound(rec.RECURSIONS["closed_loop"], ms.AbsMax(3), examples=10)
    check_bound("closed_loop", ms.MXFP4E2M1(), norm="c", examples=10)
