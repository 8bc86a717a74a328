"""The scheme of a sequence (what is done at which call), and the recursions that wrap a recursion."""

import foreign
import numpy as np
import pytest
from calls import apart, infos

import modiff_sim as ms
from modiff_sim import recursion as rec
from modiff_sim.recursion import Info, Scheme, Skipping, State, Storage, Stored, Threshold

Q = ms.AbsMax(3)
A = np.random.default_rng(1).standard_normal((3, 8))


def inputs(steps=8, trials=3):
    return np.random.default_rng(0).standard_normal((steps, trials, 8)).cumsum(axis=0)


def linear(a):
    return a @ A.T


@pytest.mark.parametrize("recursion", rec.RECURSIONS)
@pytest.mark.parametrize("warmup", ["exact", "quantized", 3])
@pytest.mark.parametrize("refresh", ["never", 3, [2, 5]])
def test_a_sequence_is_its_methods_one_after_the_other(recursion, warmup, refresh):
    """``run`` by hand: init, exact at the refreshes, step at all other calls."""
    chosen, refreshed = rec.get(recursion), rec.refresh_calls(refresh)
    x, state = inputs(), None
    for call, (after, info) in enumerate(rec.run(recursion, x, Q, linear, warmup=warmup, refresh=refresh)):
        if call == 0:
            state, expected = chosen.init(x[0], Q, linear, warmup=warmup)
        elif refreshed(call):
            state, expected = chosen.exact(x[call], linear, call)
        else:
            state, expected = chosen.step(state, x[call], Q, linear)
        assert after.call == call + 1 == state.call
        assert np.array_equal(info.output, expected.output)
        assert np.array_equal(after.ref, state.ref) if chosen.has_state else after.ref is state.ref is None


@pytest.mark.parametrize(
    ("recursion", "warmup", "feeds", "draws"),
    [("closed_loop", "exact", 0, 1), ("open_loop", "quantized", 1, 1), ("closed_loop", 4, 4, 4), ("direct", 4, 1, 4)],
)
def test_how_often_the_first_input_is_fed(recursion, warmup, feeds, draws):
    scheme = Scheme(recursion, warmup)
    assert (scheme.feeds, scheme.draws) == (feeds, draws)


def test_everything_that_has_to_be_kept_is_in_the_state():
    """A run that goes on from a copy of its states alone gives the same bytes."""
    x, scheme = inputs(), Scheme("closed_loop").wrapped(Storage(ref=ms.AbsMax(8), o_hat="float32"), Threshold(0.1))
    state, whole = (
        None,
        infos(rec.run("closed_loop", x, Q, linear, storage=Storage(ms.AbsMax(8), "float32"), skip=Threshold(0.1))),
    )
    for a, expected in zip(x, whole, strict=True):
        state, info = scheme.advance(state, a, Q, linear)
        state = State(state.ref, state.o_hat, state.call)
        assert np.array_equal(info.output, expected.output)


@pytest.mark.parametrize("recursion", ["closed_loop", "open_loop"])
def test_wrappers_that_change_nothing_change_nothing(recursion):
    plain_states, plain = apart(rec.run(recursion, inputs(), Q, linear))
    idle = {"threshold": Skipping(rec.get(recursion), Threshold(0.0)), "storage": Stored(rec.get(recursion), Storage())}
    for name, wrapper in (*idle.items(), ("both", Stored(idle["threshold"], Storage()))):
        states, calls = apart(rec.run(wrapper, inputs(), Q, linear))
        assert all(np.array_equal(a.output, b.output) for a, b in zip(plain, calls, strict=True)), name
        assert all(np.array_equal(a.ref, b.ref) for a, b in zip(plain_states, states, strict=True)), name
        assert rec.standard(wrapper) is None, name  # no fast path takes it for what it wraps


def test_a_recursion_of_ones_own_can_be_wrapped_where_it_overrides_next_ref_alone():
    storage, skip = Storage(ref="float32", o_hat="float32"), Threshold(0.7, "l2")
    calls = infos(rec.run(foreign.Leaky(), inputs(), Q, linear, storage=storage, skip=skip))
    assert any(info.kept is not None and not info.kept.all() for info in calls)
    # by hand: decode, residual, threshold, next_ref, sums in float64, encode
    ref, o_hat = None, None
    for a, info in zip(inputs(), calls, strict=True):
        if ref is None:
            ref, output = a, linear(a)
        else:
            residual = a - ref
            hat = np.where(skip.keeps(residual, ref), Q(residual), 0.0)
            ref, output = 0.5 * (ref + hat), linear(hat) + o_hat
        assert np.array_equal(info.output, output)
        ref, o_hat = (x.astype(np.float32).astype(np.float64) for x in (ref, output))


@pytest.mark.parametrize("wrap", [lambda r: Skipping(r, Threshold(0.1)), lambda r: Stored(r, Storage("float32"))])
def test_what_cannot_be_wrapped_is_refused(wrap):
    with pytest.raises(ValueError, match="means nothing for direct, which keeps no state: leave it out"):
        wrap(rec.get("direct"))
    for other in (foreign.Momentum(), foreign.TwoBack()):
        with pytest.raises(ValueError, match=rf"{type(other).__name__}.init is another: leave .* or override next_ref"):
            wrap(other)
    put_on = rec.ClosedLoop()
    put_on.step = rec.ClosedLoop().step
    with pytest.raises(ValueError, match=r"closed_loop.step is another|ClosedLoop.step is another"):
        wrap(put_on)


@pytest.mark.parametrize("method", ["init", "step", "exact"])
def test_a_recursion_that_gives_its_state_alone_is_refused(method):
    class Old(rec.ClosedLoop):
        pass

    setattr(Old, method, lambda self, *_, **__: State(None, None, 1))
    with pytest.raises(TypeError, match=r"Old gave State: every method returns \(State, Info\)"):
        list(rec.run(Old(), inputs(), Q, refresh=2))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"recursion": "half"}, ValueError, "known: direct, open_loop, closed_loop"),
        ({"recursion": rec.ClosedLoop}, TypeError, r"pass an instance, ClosedLoop\(\)"),
        ({"warmup": 0}, ValueError, "warmup must be"),
        ({"refresh": "often"}, ValueError, "refresh must be"),
    ],
)
def test_bad_options_are_refused_when_the_scheme_is_made(options, error, message):
    with pytest.raises(error, match=message):
        Scheme(**({"recursion": "closed_loop"} | options))


def test_an_info_says_whether_its_call_was_quantized():
    first, second = infos(rec.run("closed_loop", inputs(2), Q))
    assert not first.quantized
    assert second.quantized
    assert Info(None) == Info(None, None, None, None, None)
