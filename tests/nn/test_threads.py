"""One modulated model belongs to one thread at a time: others are refused, never given other numbers."""

import functools
import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn
from torch.overrides import _get_current_function_mode_stack

import modiff_sim as ms
from analysis.faults.interrupts import differences, inputs, model, seen
from modiff_sim.nn import Attention, ByCall, ByLayer, Reuse, modulated, record, sample
from modiff_sim.nn.attention.intercept import Watchman

Q = ms.AbsMax(4)
ARMS = {
    "closed loop": {"activations": Q},
    "weights": {"activations": Q, "weights": ms.AbsMax(4)},
    "attention": {"activations": Q, "attention": Attention(q=ms.AbsMax(8), k=ms.AbsMax(8))},
}
ELSEWHERE = "a second thread .* Give every thread a model"


def elsewhere(function):
    """Call it in a thread of its own, to the end; what it returned or raised."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(function)
        return future.exception() or future.result()


class Held:
    """A call of a model in another thread that stays inside one of its layers until it is let go."""

    def __init__(self, net, x, layer="twice"):
        self._inside, self._go = threading.Event(), threading.Event()
        self.hook = net.get_submodule(layer).register_forward_pre_hook(self._wait)
        self.pool = ThreadPoolExecutor(1)
        self.future = self.pool.submit(net, x)
        assert self._inside.wait(60)

    def _wait(self, *_):
        self._inside.set()
        assert self._go.wait(60)

    def finish(self):
        self.hook.remove()
        self._go.set()
        self.pool.shutdown()
        return self.future


@pytest.mark.parametrize("arm", ARMS)
def test_during_a_call_other_threads_can_do_nothing(arm):
    net, xs = model(), inputs(3)
    with modulated(net, **ARMS[arm]) as run:
        expected = [net(x) for x in xs]
    with modulated(net, **ARMS[arm]) as run, record(net, Q) as log:
        net(xs[0])
        run.reset()
        log.reset()
        held = Held(net, xs[0])
        with pytest.raises(RuntimeError, match=ELSEWHERE):
            net(xs[1])
        with pytest.raises(RuntimeError, match=ELSEWHERE):
            net.conv_in(xs[0])
        with pytest.raises(RuntimeError, match="during a call of the model"):
            run.reset()
        with pytest.raises(RuntimeError, match="during a call of the model"):
            log.reset()
        with pytest.raises(RuntimeError, match=ELSEWHERE), run.apart("one"):
            pass
        with pytest.raises(RuntimeError, match=ELSEWHERE), run.model_call():
            pass
        run.audit()
        run.state_bytes()
        first = held.finish().result()
        rest = [net(x) for x in xs[1:]]  # that thread has ended: its sequence may be gone on with
    assert all(torch.equal(a, b) for a, b in zip([first, *rest], expected, strict=True))


def test_between_its_calls_a_sequence_is_still_one_threads():
    """Two threads in turns would share one state, without ever meeting."""
    net, xs = model(), inputs(2)
    with modulated(net, activations=Q) as run, ThreadPoolExecutor(1) as pool:
        net(xs[0])
        with pytest.raises(RuntimeError, match=ELSEWHERE):
            pool.submit(net, xs[0]).result()
        run.reset()
        first = pool.submit(net, xs[0]).result()  # handed over
        with pytest.raises(RuntimeError, match=ELSEWHERE):
            net(xs[1])
        run.reset()
        assert torch.equal(net(xs[0]), first)


@pytest.mark.parametrize("what", ["sample", "own loop"])
def test_two_threads_on_one_model_are_right_or_refused(what):
    """However they interleave: whoever is not refused has its own numbers."""
    net = model()

    def numbers(seed, run, together=None):
        if together is not None:
            together.wait(60)
        if what == "sample":
            return torch.from_numpy(sample(net, images=2, batch=2, steps=4, shape=(2, 4, 4), seed=seed, run=run))
        run.reset()
        return torch.stack([net((1 + seed) * x) for x in inputs(4)])

    with modulated(net, activations=Q) as run:
        expected = [numbers(seed, run) for seed in range(2)]
    refused = 0
    for _ in range(8):
        with modulated(net, activations=Q) as run, ThreadPoolExecutor(2) as pool:
            together = threading.Barrier(2)
            futures = [pool.submit(numbers, seed, run, together) for seed in range(2)]
            for future, right in zip(futures, expected, strict=True):
                if error := future.exception():
                    refused += 1
                    assert isinstance(error, RuntimeError)
                else:
                    assert torch.equal(future.result(), right)
    assert refused or what == "own loop"


@pytest.mark.parametrize("arm", ARMS)
def test_two_models_in_two_threads_equal_one_after_the_other(arm):
    """Bit for bit, and what is global is as it was: switches, modes, gradients, torch's functions."""
    nets = [model(), model()]
    before = [seen(net) for net in nets]

    def numbers(net):
        with modulated(net, **ARMS[arm]) as run, record(net, Q) as log:
            found = []
            for x in inputs(6):
                together.wait(60)
                found.append(net(x))
            return torch.stack(found), repr(log.table("d", "absmax")), repr(run.audit().rows())

    together = threading.Barrier(1)
    expected = numbers(nets[0])
    together = threading.Barrier(2)
    with ThreadPoolExecutor(2) as pool:
        for found in pool.map(numbers, nets):
            assert torch.equal(found[0], expected[0])
            assert found[1:] == expected[1:]
    assert [differences(a, seen(net)) for a, net in zip(before, nets, strict=True)] == [[], []]


def test_parts_of_a_model_in_two_threads():
    net, x = model(), torch.randn(2, 4, 4, 4)

    def numbers(part):
        with modulated(part, activations=Q):
            return torch.stack([part(x * (1 + 0.01 * i)) for i in range(20)])

    parts = [net.mid_block, net.twice]
    expected = [numbers(part) for part in parts]
    with ThreadPoolExecutor(2) as pool:
        assert all(torch.equal(a, b) for a, b in zip(pool.map(numbers, parts), expected, strict=True))


@pytest.mark.parametrize("enter", [lambda net: modulated(net, activations=Q), lambda net: record(net, Q)])
def test_a_call_that_began_before_another_thread_entered_a_context_fails(enter):
    """The rest of it would be quantized, or recorded."""
    net, x = model(), inputs()[0]
    before, plain = seen(net), net(x)
    held = Held(net, x)
    with enter(net):
        with pytest.raises(RuntimeError, match="call of the Small began before another thread entered"):
            held.finish().result()
        net(x)
    assert differences(before, seen(net)) == []
    assert torch.equal(net(x), plain)


def test_a_call_whose_context_another_thread_leaves_fails():
    net, x = model(), inputs()[0]
    before = seen(net)
    with modulated(net, activations=Q, attention=Attention(q=Q)):
        held = Held(net, x)
    with pytest.raises(RuntimeError, match="left the context during this call"):
        held.finish().result()
    assert differences(before, seen(net)) == []


def test_two_recordings_in_two_threads_are_refused_on_one_model():
    net, xs = model(), inputs(3)
    with record(net, Q) as log:
        held = Held(net, xs[0])
        with pytest.raises(RuntimeError, match=ELSEWHERE):
            net(xs[0])
        held.finish().result()
        assert log.calls == 1


def test_data_parallel_replicas_are_refused():
    """They are shallow copies, called by one thread each."""
    net, x = model(), inputs()[0]
    with modulated(net, activations=Q):
        replica = net._replicate_for_data_parallel()
        held = Held(net, x)
        error = elsewhere(lambda: replica(x))
        held.finish().result()
    assert isinstance(error, RuntimeError)


def test_gradients_are_each_threads_own():
    net, x = model(), inputs()[0]

    def inside():
        torch.set_grad_enabled(False)
        with modulated(net, activations=Q):
            net(x)
        return torch.is_grad_enabled()

    assert elsewhere(inside) is False
    assert torch.is_grad_enabled()


def test_the_message_says_what_to_do():
    net, x = nn.Sequential(nn.Linear(3, 3)), torch.ones(1, 3)
    with modulated(net, activations=Q):
        net(x)
        said = str(elsewhere(lambda: net(x)))
    assert "copy.deepcopy(model), before it is modulated" in said
    assert "reset()" in said


class Waiting:
    """Quantized weights that are ready when ``wait`` has returned: the model was looked at, and is not patched yet."""

    def __init__(self, wait):
        self._wait, self._waited = wait, False

    def weight(self, name, module):
        if not self._waited:
            self._waited = True
            self._wait()
        return module.weight.detach()

    def bits(self, name):
        return 8


@pytest.mark.parametrize("parts", [("", ""), ("", "mid_block"), ("mid_block", "")])
def test_of_two_threads_that_enter_a_model_at_the_same_moment_one_gets_it(parts):
    net, x = model(), inputs()[0]
    before = seen(net)
    looked, tried = threading.Barrier(2), threading.Barrier(2)

    def enter(part):
        try:
            with modulated(net.get_submodule(part), activations=Q, weights=Waiting(lambda: looked.wait(60))) as run:
                tried.wait(60)
                return run
        except RuntimeError as error:
            tried.wait(60)
            return str(error)

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(enter, parts))
    (error,) = [one for one in found if isinstance(one, str)]
    assert "is modulated already (by Run(" in error
    assert differences(before, seen(net)) == []
    with modulated(net, activations=Q):
        net(x)


def test_a_recording_that_another_thread_begins_meanwhile_is_not_covered():
    net = model()
    before = seen(net)
    recording = record(net, Q)
    with (
        pytest.raises(RuntimeError, match="is being recorded"),
        modulated(net, activations=Q, weights=Waiting(lambda: elsewhere(recording.__enter__))),
    ):
        pass
    recording.__exit__(None, None, None)
    assert differences(before, seen(net)) == []


def test_a_context_that_is_left_in_another_thread_leaves_nothing_at_work():
    """The first thread's mode of torch cannot be taken off by the second: it does nothing, and goes when it can."""
    net, xs = model(), inputs(3)
    plain = [net(x) for x in xs]
    context = modulated(net, activations=Q, attention=Attention(q=Q))
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(context.__enter__).result()
        pool.submit(net, xs[0]).result()
        context.__exit__(None, None, None)
        held = weakref.ref(run)
        del run
        gc.collect()
        assert held() is None
        assert torch.equal(pool.submit(net, xs[0]).result(), plain[0])
        assert [type(mode) for mode in pool.submit(_get_current_function_mode_stack).result()] == [Watchman]

        def again():
            with modulated(net, activations=ms.Identity(), recursion="direct", attention=Attention(q=ms.Identity())):
                inside = _get_current_function_mode_stack()
                return net(xs[1]), len(inside)

        found, modes = pool.submit(again).result()
        assert torch.allclose(found, plain[1], atol=1e-5)
        assert modes == 1
        assert pool.submit(_get_current_function_mode_stack).result() == []


def test_threads_that_reset_after_their_calls_may_come_again():
    net, xs = model(), inputs(2)
    with modulated(net, activations=Q) as run, ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:

        def request():
            made = [net(x) for x in xs]
            run.reset()
            return torch.stack(made)

        found = [pool.submit(request).result() for pool in (one, other, one, other)]
        found.append(request())
    assert all(torch.equal(y, found[0]) for y in found)


@pytest.mark.parametrize("resets", [1, 2])
def test_a_thread_whose_sequence_another_one_has_cut_off_is_refused_until_it_resets(resets):
    net, xs = model(), inputs(2)
    with modulated(net, activations=Q) as run, ThreadPoolExecutor(1) as pool:
        pool.submit(run.reset).result()
        first = pool.submit(net, xs[0]).result()
        for _ in range(resets):
            run.reset()
        with pytest.raises(RuntimeError, match=ELSEWHERE):
            pool.submit(net, xs[1]).result()
        pool.submit(run.reset).result()
        assert torch.equal(pool.submit(net, xs[0]).result(), first)


STATELESS = {
    "direct": {},
    "by layer": {"activations": ByLayer({"twice": ms.AbsMax(8)}, default=Q)},
    "attention": {"attention": Attention(q=ms.AbsMax(8))},
}
STATES = {
    "refresh": {"refresh": 2},
    "by call": {"activations": ByCall(lambda call: ms.AbsMax(4 + call))},
    "random": {"activations": ms.Stochastic(4)},
    "random in one layer": {"activations": ByLayer({"twice": ms.Stochastic(4)}, default=Q)},
    "random attention": {"attention": Attention(v=ms.Stochastic(4))},
    "modulated attention": {"attention": Attention(v=ms.AbsMax(4), recursion="closed_loop")},
    "reuse": {"reuse": Reuse(("mid_block",), every=2)},
}


@pytest.mark.parametrize("options", STATELESS.values(), ids=list(STATELESS))
def test_what_depends_on_no_other_call_needs_no_turn(options):
    net, xs = model(), inputs(3)
    with modulated(net, **{"activations": Q, "recursion": "direct", **options}), ThreadPoolExecutor(1) as pool:
        expected = [net(x) for x in xs]
        assert all(torch.equal(pool.submit(net, x).result(), y) for x, y in zip(xs, expected, strict=True))
        held = Held(net, xs[0])
        with pytest.raises(RuntimeError, match=ELSEWHERE):  # at one time there is still one
            net(xs[1])
        assert torch.equal(held.finish().result(), expected[0])


@pytest.mark.parametrize("options", STATES.values(), ids=list(STATES))
def test_what_depends_on_other_calls_needs_a_turn(options):
    net, x = model(), inputs()[0]
    with modulated(net, **{"activations": Q, "recursion": "direct", **options}):
        net(x)
        error = elsewhere(lambda: net(x))
    assert isinstance(error, RuntimeError)


@pytest.mark.parametrize("enter", [lambda net: modulated(net, activations=Q), lambda net: record(net, Q)])
def test_requests_in_threads_on_a_model_whose_hook_is_taken_off_and_put_on_after_each(enter):
    """As diffusers does with offloading: what was there before the hook, and before the context, is put back."""
    net, xs = model(), inputs(3)
    before = seen(net)

    def hook():
        net._old_forward = net.forward
        net.forward = functools.partial(lambda module, *args: module._old_forward(*args), net)

    def unhook():
        net.forward = net._old_forward
        del net._old_forward

    def request():
        what.reset()
        made = torch.stack([net(x) for x in xs])
        unhook()
        hook()
        return made

    hook()
    with enter(net) as what:
        found = [elsewhere(request) for _ in range(3)]
        assert all(torch.equal(y, found[0]) for y in found)
        what.reset()
        held = Held(net, xs[0])
        with pytest.raises(RuntimeError, match=ELSEWHERE):
            net(xs[0])
        held.finish().result()
    unhook()
    del net.forward
    assert differences(before, seen(net)) == []
